"""The options that make a detected test command write reports, where its tool can without a further package.

What the project's own settings already ask for is left to them. Reports go to the home folder if the tool allows it, so
that they do not clutter the checkout. Surefire and Gradle write JUnit reports anyway.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.runner.gate.ecosystems.node import detect_node, test_script
from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SHELL_SYNTAX: Final = frozenset(";&|<>()`$\n")
_LAUNCHERS: Final = frozenset(("cross-env", "npx", "node", "php", "@php"))
_PHP_RUNNERS: Final = ("phpunit", "simple-phpunit", "pest", "paratest")
_VITEST_COVERAGE: Final = frozenset(("@vitest/coverage-v8", "@vitest/coverage-istanbul"))
_VITEST_FILES: Final = tuple(
    f"{name}.config.{suffix}" for name in ("vitest", "vite") for suffix in ("ts", "mts", "cts", "js", "mjs", "cjs")
)
_NO_VITEST_THRESHOLDS: Final = ("lines=0", "functions=0", "branches=0", "statements=0", "100=false")
_WATCHES: Final = frozenset(("watch", "-w", "--watch", "--ui", "bench", "list", "related"))
_RUBY_TOOLS: Final = (("rspec", "RSpec"), ("ruby", "minitest"))


def with_report_options(
    command: tuple[str, ...], folder: Path, home: Path
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the command with its options, and the tools of which one must print a summary; any if empty.

    ``command`` is what a module of this package detected in ``folder``. None if it is no command of theirs.
    """
    files = ProjectFiles(folder)
    program = _program(command)
    junit = f"--log-junit={home / 'junit.xml'}"
    if command[:2] == ("go", "test"):
        # Without -v, "ok" does not say whether a test ran.
        return ("go", "test", "-v", f"-coverprofile={home / 'coverage.out'}", *command[2:]), ("go",)
    if program in _PHP_RUNNERS:
        return (*command, junit), ()
    if command[:2] == ("composer", "run-script"):
        is_runner = options_of_call(_composer_script(files), *_PHP_RUNNERS) is not None
        return ((*command, "--", junit) if is_runner else command), ()
    if command[:2] == ("dotnet", "test"):
        return (*command, *_dotnet_options(files, home)), ()
    if program in ("cargo", "gradle", "mvn", "rake", "rails", "gradlew", "mvnw"):
        return command, ()
    if tools := tuple(tool for name, tool in _RUBY_TOOLS if program == name):
        return command, tools
    found = detect_node(folder)
    if found is None or command != found.test:
        return None
    options = _node_options(files, home)
    # Only npm keeps options before the separator for itself.
    separator = ("--",) if options and program == "npm" else ()
    return (*command, *separator, *options), ()


def options_of_call(script: str, *programs: str) -> tuple[str, ...] | None:
    """Return the options of a script that is one call of one of ``programs``, to which options can be added.

    None for any other script.
    """
    try:
        words = shlex.split(script)
    except ValueError:
        return None
    if not words or _SHELL_SYNTAX.intersection(script):
        return None
    for position, word in enumerate(words):
        if word.rpartition("/")[2].removesuffix(".js").removesuffix(".mjs") in programs:
            return tuple(words[position + 1 :])
        if word not in _LAUNCHERS and not word.startswith("--") and "=" not in word:
            return None
    return None


def _program(command: tuple[str, ...]) -> str:
    words = command[2:] if command[:2] == ("bundle", "exec") else command[1:] if command[:1] == ("sh",) else command
    return words[0].rpartition("/")[2] if words else ""


def _node_options(files: ProjectFiles, home: Path) -> tuple[str, ...]:
    package = files.json("package.json")
    script = test_script(package)
    jest = options_of_call(script, "jest")
    if jest is not None:
        return _jest_options(jest, package, home)
    vitest = options_of_call(script, "vitest")
    return _vitest_options(vitest, package, home, files) if vitest is not None else ()


def _jest_options(own: tuple[str, ...], package: Mapping[str, Any], home: Path) -> tuple[str, ...]:
    names = {option.partition("=")[0] for option in own}
    options: list[str] = []
    collects = table(package, "jest").get("collectCoverage") is True
    if not collects and not names & {"--coverage", "--collectCoverage", "--no-coverage"}:
        # The project measures coverage in another way, if at all, so its own threshold must not apply.
        options += ["--coverage", "--coverageThreshold={}"]
    options.append("--coverageReporters=lcovonly")
    if "--coverageDirectory" not in names:
        options.append(f"--coverageDirectory={home}")
    return tuple(options)


def _vitest_options(
    own: tuple[str, ...], package: Mapping[str, Any], home: Path, files: ProjectFiles
) -> tuple[str, ...]:
    """Return the options for a JUnit report, and for coverage if a provider of it is installed."""
    names = {option.partition("=")[0] for option in own}
    if names & _WATCHES:
        return ()
    options: list[str] = []
    if "--reporter" not in names:
        options += ["--reporter=default", "--reporter=junit", f"--outputFile.junit={home / 'junit.xml'}"]
    has_provider = _VITEST_COVERAGE & {*table(package, "devDependencies"), *table(package, "dependencies")}
    if has_provider and not any(name.startswith(("--coverage", "--no-coverage")) for name in names):
        # Vitest empties the folder first.
        folder = home / "vitest-coverage"
        options += ["--coverage.enabled", "--coverage.reporter=lcovonly", f"--coverage.reportsDirectory={folder}"]
        if "thresholds" in files.text(files.first(*_VITEST_FILES)):
            options += [f"--coverage.thresholds.{name}" for name in _NO_VITEST_THRESHOLDS]
    return tuple(options)


def _composer_script(files: ProjectFiles) -> str:
    """Return composer's ``test`` script; empty if it has several commands."""
    found = table(files.json("composer.json"), "scripts").get("test")
    commands = found if isinstance(found, list) else [found]
    return commands[0] if len(commands) == 1 and isinstance(commands[0], str) else ""


def _dotnet_options(files: ProjectFiles, home: Path) -> tuple[str, ...]:
    projects = files.names("*.csproj", "*.fsproj", "*.vbproj", "Directory.*.props", levels=6)
    if not any("coverlet.collector" in files.text(name) for name in projects):
        return ()
    return ("--collect:XPlat Code Coverage", f"--results-directory={home / 'coverage'}")
