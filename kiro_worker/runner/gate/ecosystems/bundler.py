"""Ruby projects: RSpec, Rake, Rails, and plain minitest or test-unit, with or without bundler."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles, script

if TYPE_CHECKING:
    from pathlib import Path

_INSTALL: Final = script(
    # Gems that the image brings are enough, if all are there.
    "if bundle check > /dev/null 2>&1; then exit 0; fi",
    # In a folder of setup's home that the agent gets, too. A repository's own .bundle/config has precedence.
    'bundle config set --global path "$HOME/.bundle/gems"',
    "bundle install --jobs 4 --retry 3",
)
_TEST_TASK: Final = re.compile(
    r"^[ \t]*(?:Rake::TestTask\.new|Minitest::TestTask\.create|(?:multi)?task[ \t]{0,20}\(?\s{0,200}:?[\"']?test\b)",
    re.MULTILINE,
)
_ALL_TESTS: Final = 'Dir["./test/**/{test_*,*_test}.rb"].sort.each { |file| require file }'
_LEVELS: Final = 6


def detect_bundler(folder: Path) -> Detected | None:
    """Return how the Ruby project in ``folder`` is installed and tested; None if it is none.

    RSpec's files decide before Rake's tasks, because a task often runs linters, too, which need more than the tests.
    """
    files = ProjectFiles(folder)
    gemfile = files.first("Gemfile.lock", "Gemfile", "gems.rb")
    tests = any(map(_is_test, files.names("*.rb", levels=_LEVELS, under="test")))
    specs = bool(files.names("*_spec.rb", levels=_LEVELS, under="spec"))
    gemspec = next(iter(files.names("*.gemspec")), "")
    if not gemfile and not gemspec and not tests and not specs:
        return None
    setup = _INSTALL if gemfile else ()
    bundled = ("bundle", "exec") if gemfile else ()
    reason = f"{gemfile} → bundle install" if gemfile else "no Gemfile → no setup"
    rakefile = files.first("Rakefile", "rakefile", "Rakefile.rb")
    if specs or files.has(".rspec"):
        return Detected("ruby", f"{reason}; spec → rspec", setup, (*bundled, "rspec"))
    if tests and files.has("bin/rails"):
        return Detected("ruby", f"{reason}; bin/rails → rails test", setup, (*bundled, "rails", "test"))
    if rakefile and _TEST_TASK.search(files.text(rakefile)):
        return Detected("ruby", f"{reason}; {rakefile} → rake test", setup, (*bundled, "rake", "test"))
    if tests:
        test = (*bundled, "ruby", "-Ilib", "-Itest", "-e", _ALL_TESTS)
        return Detected("ruby", f"{reason}; test → ruby -Ilib -Itest", setup, test)
    problem = (
        "the Ruby project has neither spec/**/*_spec.rb, nor test/**/*_test.rb, nor a test task in its Rakefile."
        ' Write the test command into .kiro-worker.yml, for example "test: bundle exec rake check"'
    )
    return Detected("ruby", reason, setup, problem=problem, likely=False)


def _is_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.endswith("_test.rb") or (name.startswith("test_") and name != "test_helper.rb")
