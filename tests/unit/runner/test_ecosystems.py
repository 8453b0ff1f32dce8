"""Go, Rust, Java, Ruby, PHP and .NET projects: how they are installed and tested."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiro_worker.runner.gate.ecosystems import manifests
from kiro_worker.runner.gate.ecosystems.bundler import detect_bundler
from kiro_worker.runner.gate.ecosystems.cargo import detect_cargo
from kiro_worker.runner.gate.ecosystems.choose import changes_installation, detect
from kiro_worker.runner.gate.ecosystems.composer import detect_composer
from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.dotnet import detect_dotnet
from kiro_worker.runner.gate.ecosystems.go import detect_go
from kiro_worker.runner.gate.ecosystems.gradle import detect_gradle
from kiro_worker.runner.gate.ecosystems.maven import detect_maven
from kiro_worker.runner.gate.ecosystems.node import detect_node
from kiro_worker.runner.gate.ecosystems.project_files import MAX_ENTRIES, MAX_FILE_BYTES, ProjectFiles
from kiro_worker.runner.gate.ecosystems.report_options import with_report_options
from tests.support.project_folder import project

DETECT: dict[str, Callable[[Path], Detected | None]] = {
    "node": detect_node,
    "go": detect_go,
    "cargo": detect_cargo,
    "maven": detect_maven,
    "gradle": detect_gradle,
    "ruby": detect_bundler,
    "php": detect_composer,
    "dotnet": detect_dotnet,
}
GRADLE = "--console=plain --no-daemon"
GO_WORK = 'go 1.22\n\nuse (\n\t./api // the server\n\t"./tools/gen"\n\t.\n)\nuse ./web\nreplace x => ./other\n'
TASK = "require 'rake/testtask'\nRake::TestTask.new { |t| t.libs << 'test' }\n"
COMPOSER = "composer install --no-interaction --no-progress --prefer-dist"
BUNDLE = "bundle install --jobs 4 --retry 3"
ALL_RUBY = 'ruby -Ilib -Itest -e Dir["./test/**/{test_*,*_test}.rb"].sort.each { |file| require file }'
REQUIRES = '{{"require-dev": {{"{}": "1"}}}}'
TEST_SDK = '<PackageReference Include="Microsoft.NET.Test.Sdk" />'

CASES: list[tuple[str, dict[str, str], str, str]] = [
    ("go", {"go.mod": "module x"}, "go mod download", "go test ./..."),
    ("go", {"go.mod": "module x", "vendor/modules.txt": ""}, "", "go test ./..."),
    ("go", {"go.work": GO_WORK}, "go mod download", "go test ./api/... ./tools/gen/... ./... ./web/..."),
    ("go", {"go.work": "use ./a", "go.mod": "module x"}, "go mod download", "go test ./a/..."),
    ("cargo", {"Cargo.toml": "[package]\nname = 'x'"}, "cargo fetch", "cargo test"),
    ("cargo", {"Cargo.toml": "", "Cargo.lock": ""}, "cargo fetch --locked", "cargo test --locked"),
    ("cargo", {"Cargo.toml": "[workspace]\n"}, "cargo fetch", "cargo test --workspace"),
    ("cargo", {"Cargo.toml": "[workspace]\ndefault-members = ['a']\n"}, "cargo fetch", "cargo test"),
    ("cargo", {"Cargo.toml": "# [workspace]\n"}, "cargo fetch", "cargo test"),
    ("maven", {"pom.xml": ""}, "mvn -B --fail-never dependency:go-offline", "mvn -B verify"),
    (
        "maven",
        {"pom.xml": "", "mvnw": "", ".mvn/wrapper/maven-wrapper.properties": ""},
        "sh mvnw -B --fail-never dependency:go-offline",
        "sh mvnw -B verify",
    ),
    ("maven", {"pom.xml": "", "mvnw": ""}, "mvn -B --fail-never dependency:go-offline", "mvn -B verify"),
    *(
        ("gradle", {name: ""}, f"gradle {GRADLE} help", f"gradle {GRADLE} test")
        for name in ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")
    ),
    (
        "gradle",
        {"build.gradle": "", "gradlew": "", "gradle/wrapper/gradle-wrapper.jar": ""},
        f"sh gradlew {GRADLE} help",
        f"sh gradlew {GRADLE} test",
    ),
    ("gradle", {"build.gradle": "", "gradlew": ""}, f"gradle {GRADLE} help", f"gradle {GRADLE} test"),
    ("ruby", {"Gemfile": "", "spec/a_spec.rb": ""}, BUNDLE, "bundle exec rspec"),
    ("ruby", {"Gemfile": "", ".rspec": ""}, BUNDLE, "bundle exec rspec"),
    ("ruby", {"Gemfile.lock": "", "Rakefile": TASK, "test/a_test.rb": ""}, BUNDLE, "bundle exec rake test"),
    ("ruby", {"Gemfile": "", "Rakefile": "task :test do\nend\n"}, BUNDLE, "bundle exec rake test"),
    ("ruby", {"gems.rb": "", "Rakefile": "task :lint\n", "test/a_test.rb": ""}, BUNDLE, f"bundle exec {ALL_RUBY}"),
    ("ruby", {"Gemfile": "", "bin/rails": "", "test/models/a_test.rb": ""}, BUNDLE, "bundle exec rails test"),
    ("ruby", {"test/test_a.rb": "", "lib/a.rb": ""}, "", ALL_RUBY),
    ("ruby", {"spec/models/a_spec.rb": ""}, "", "rspec"),
    ("ruby", {"x.gemspec": "", "Rakefile": TASK}, "", "rake test"),
    ("php", {"phpunit.xml": ""}, "", "phpunit"),
    (
        "php",
        {"composer.json": '{"scripts": {"test": "phpunit"}}'},
        COMPOSER,
        "composer run-script --timeout=0 test",
    ),
    *(
        (
            "php",
            {"composer.json": REQUIRES.format(package), "phpunit.xml.dist": ""},
            COMPOSER,
            f"./vendor/bin/{program}",
        )
        for package, program in (
            ("phpunit/phpunit", "phpunit"),
            ("pestphp/pest", "pest"),
            ("symfony/phpunit-bridge", "simple-phpunit"),
        )
    ),
    (
        "php",
        {"composer.json": REQUIRES.format("phpunit/phpunit"), "tests/ATest.php": ""},
        COMPOSER,
        "./vendor/bin/phpunit tests",
    ),
    ("php", {"composer.json": "{}", "phpunit.xml": ""}, COMPOSER, "phpunit"),
    (
        "php",
        {
            "composer.json": '{"config": {"bin-dir": "bin"}, "require-dev": {"phpunit/phpunit": "9"}}',
            "phpunit.xml": "",
        },
        COMPOSER,
        "./bin/phpunit",
    ),
    (
        "php",
        {
            "composer.json": '{"config": {"bin-dir": "../bin"}, "require-dev": {"phpunit/phpunit": "9"}}',
            "phpunit.xml": "",
        },
        COMPOSER,
        "phpunit",
    ),
    ("dotnet", {"shop.sln": "", "a/a.csproj": ""}, "dotnet restore ./shop.sln", "dotnet test ./shop.sln --no-restore"),
    (
        "dotnet",
        {"shop.slnx": "", "a/b/c/d.fsproj": ""},
        "dotnet restore ./shop.slnx",
        "dotnet test ./shop.slnx --no-restore",
    ),
    (
        "dotnet",
        {"shop.sln": "", "shop.csproj": "", "packages.lock.json": ""},
        "dotnet restore ./shop.sln --locked-mode",
        "dotnet test ./shop.sln --no-restore",
    ),
    (
        "dotnet",
        {"src/a b.sln": "", "src/a/a.vbproj": ""},
        "dotnet restore ./src/a b.sln",
        "dotnet test ./src/a b.sln --no-restore",
    ),
    ("dotnet", {"-x.fsproj": ""}, "dotnet restore ./-x.fsproj", "dotnet test ./-x.fsproj --no-restore"),
    (
        "dotnet",
        {"src/shop/shop.csproj": "", "tests/shop/shop.csproj": TEST_SDK},
        "dotnet restore ./tests/shop/shop.csproj",
        "dotnet test ./tests/shop/shop.csproj --no-restore",
    ),
]


@pytest.mark.parametrize(("name", "files", "setup", "test"), CASES)
def test_files_decide(tmp_path: Path, name: str, files: dict[str, str], setup: str, test: str) -> None:
    found = DETECT[name](project(tmp_path, files))

    assert found
    assert found.ecosystem == name
    assert found.reason
    assert not found.problem
    assert (" ".join(found.setup).rpartition("\n")[2], " ".join(found.test)) == (setup, test)


@pytest.mark.parametrize(
    ("name", "files", "named"),
    [
        ("go", {"go.work": ""}, "uses no module"),
        ("go", {"go.work": "use ../other"}, "../other, which is outside"),
        ("go", {"go.work": "use /etc"}, "/etc, which is outside"),
        ("ruby", {"Gemfile": ""}, "bundle exec rake"),
        ("ruby", {"Gemfile": "", "test/test_helper.rb": "", "Rakefile": "task :testing\n"}, "neither spec"),
        ("php", {"composer.json": "{}"}, "vendor/bin/phpunit"),
        ("php", {"composer.json": REQUIRES.format("phpunit/phpunit")}, "vendor/bin/phpunit"),
        ("php", {"composer.json": "[" * 99_999}, "vendor/bin/phpunit"),
        ("dotnet", {"a.sln": "", "b.sln": "", "c/c.csproj": ""}, "a.sln, b.sln"),
        ("dotnet", {"src/a.csproj": "", "src/b.csproj": ""}, "src/a.csproj, src/b.csproj"),
        ("dotnet", {"src/a.csproj": TEST_SDK, "tests/b.csproj": TEST_SDK}, "src/a.csproj, tests/b.csproj"),
    ],
)
def test_unclear_project_says_what_to_write(tmp_path: Path, name: str, files: dict[str, str], named: str) -> None:
    found = DETECT[name](project(tmp_path, files))

    assert found
    assert found.test == ()
    assert named in found.problem
    assert ".kiro-worker.yml" in found.problem


@pytest.mark.parametrize("name", DETECT)
def test_other_folder_is_none(tmp_path: Path, name: str) -> None:
    project(
        tmp_path,
        {"README.md": "", "vendor/x/test/a_test.rb": "", "windows/cpp.sln": "", "node_modules/x/package.json": "{}"},
    )

    assert DETECT[name](tmp_path) is None


LINKED = ("package.json", "go.mod", "Cargo.toml", "pom.xml", "build.gradle", "Gemfile", "composer.json", "a.sln")


@pytest.mark.parametrize("name", LINKED)
def test_file_outside_the_folder_does_not_count(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / name)

    assert [key for key, detect in DETECT.items() if detect(folder)] == []


@pytest.mark.parametrize("name", LINKED)
def test_pipe_does_not_block(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)

    assert [key for key, detect in DETECT.items() if detect(tmp_path)] == []


def test_large_file_counts_as_empty(tmp_path: Path) -> None:
    files = ProjectFiles(project(tmp_path, {"a.json": '{"a": 1}' + " " * MAX_FILE_BYTES, "b.json": '{"a": 1}'}))

    assert (files.json("a.json"), files.json("b.json"), files.beginning("a.json", 4)) == ({}, {"a": 1}, '{"a"')


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("node", "pnpm-workspace.yaml", "packages:{}"),
        ("ruby", "Rakefile", "{}"),
        ("ruby", "Rakefile", "task" + " " * (MAX_FILE_BYTES // 2)),
        ("go", "go.work", "{}"),
        ("go", "go.work", "use (\n" * (MAX_FILE_BYTES // 7)),
    ],
)
def test_empty_lines_are_read_once(tmp_path: Path, name: str, file: str, text: str) -> None:
    """A pattern that begins to count them anew in each line would take hours."""
    content = text.format("\n" * (MAX_FILE_BYTES // 2))
    files = {"package.json": "{}", "Gemfile": "", "test/a_test.rb": "", file: content}

    assert DETECT[name](project(tmp_path, files))


def test_search_is_bounded(tmp_path: Path) -> None:
    """The links would be an endless tree."""
    for number in range(200):
        (tmp_path / f"a{number}").symlink_to(tmp_path)
    project(tmp_path, {"a/b/c/x.sln": ""})
    files = ProjectFiles(tmp_path)

    assert files.names("*.sln", levels=9) == ("a/b/c/x.sln",)
    assert files.names("*.sln", levels=3) == ()
    assert files.names("*.sln", levels=1, under="a/b/c") == ("a/b/c/x.sln",)
    assert files.names("*.sln", levels=2, under="a") == ()
    assert files.names("*", levels=9, under="a0") == ()
    assert files.folders("*/*") == ("a/b",)
    assert files.folders("../*") == ()


def test_search_ends_in_a_large_project(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for number in range(MAX_ENTRIES // 2 + 1):
            (tmp_path / folder / f"{number:04}.txt").touch()
    (tmp_path / "b" / "z.sln").touch()

    assert ProjectFiles(tmp_path).names("*.sln", levels=2) == ()
    assert ProjectFiles(tmp_path).names("*.sln", under="b") == ("b/z.sln",)


NAMES = (
    *("package.json", "pnpm-workspace.yaml", "pnpm-lock.yaml", ".yarnrc.yml", "yarn.lock", "lerna.json", "turbo.json"),
    *("go.mod", "go.work", "Cargo.toml", "Rakefile", "composer.json", "a.csproj"),
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("scripts", "test", "workspaces", "packages", "packageManager", "engines", "pnpm", "tasks", "config")
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES), st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | JSON_VALUES)
def test_any_content_is_handled(tmp_path_factory: pytest.TempPathFactory, name: str, content: object) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    if name != "package.json":
        (folder / "package.json").write_text("{}")

    for each in DETECT.values():
        found = each(folder)
        assert found is None or bool(found.test) != bool(found.problem)


@pytest.mark.parametrize(
    ("path", "is_manifest"),
    [
        ("package.json", True),
        ("packages/a/package-lock.json", True),
        ("web/.yarn/releases/yarn-4.cjs", True),
        ("src/package.json.ts", False),
        ("api/go.sum", True),
        ("vendor/modules.txt", True),
        ("docs/modules.txt", False),
        ("crates/a/Cargo.toml", True),
        (".cargo/config.toml", True),
        ("app/pom.xml", True),
        (".mvn/wrapper/maven-wrapper.properties", True),
        ("app/build.gradle.kts", True),
        ("gradle/libs.versions.toml", True),
        ("buildSrc/src/main/kotlin/a.kt", True),
        ("Gemfile.lock", True),
        ("engine/shop.gemspec", True),
        ("composer.lock", True),
        ("src/Shop/Shop.csproj", True),
        ("Directory.Packages.props", True),
        ("gradle", False),
        ("src/shop.py", False),
        ("README.md", False),
        ("", False),
    ],
)
def test_manifest_is_recognized_in_any_folder(path: str, is_manifest: bool) -> None:  # a column
    assert manifests.matches(path) == is_manifest


def test_manifests_of_one_ecosystem(tmp_path: Path) -> None:
    assert manifests.matches("go.sum", manifests.GO)
    assert not manifests.matches("go.sum", manifests.NODE)


HOME = Path("/home")
JUNIT = "--log-junit=/home/junit.xml"


@pytest.mark.parametrize(
    ("files", "command", "options", "tools"),
    [
        ({}, ("phpunit",), (JUNIT,), ()),
        ({}, ("./vendor/bin/pest",), (JUNIT,), ()),
        ({}, ("./vendor/bin/phpunit", "tests"), (JUNIT,), ()),
        (
            {"composer.json": '{"scripts": {"test": "phpunit -v"}}'},
            ("composer", "run-script", "test"),
            ("--", JUNIT),
            (),
        ),
        (
            {"composer.json": '{"scripts": {"test": ["@php vendor/bin/phpunit"]}}'},
            ("composer", "run-script", "test"),
            ("--", JUNIT),
            (),
        ),
        ({"composer.json": '{"scripts": {"test": ["a", "phpunit"]}}'}, ("composer", "run-script", "test"), (), ()),
        ({"composer.json": '{"scripts": {"test": 3}}'}, ("composer", "run-script", "test"), (), ()),
        ({}, ("cargo", "test"), (), ()),
        ({}, ("mvn", "-B", "verify"), (), ()),
        ({}, ("sh", "gradlew", "test"), (), ()),
        ({}, ("bundle", "exec", "rspec"), (), ("RSpec",)),
        ({}, ("ruby", "-Itest", "-e", "x"), (), ("minitest",)),
        ({}, ("bundle", "exec", "rake", "test"), (), ()),
        ({"t/t.csproj": TEST_SDK}, ("dotnet", "test", "./a.sln"), (), ()),
        (
            {"t/t.csproj": '<PackageReference Include="coverlet.collector" />'},
            ("dotnet", "test", "./a.sln"),
            ("--collect:XPlat Code Coverage", "--results-directory=/home/coverage"),
            (),
        ),
    ],
)
def test_command_is_asked_for_reports(
    tmp_path: Path, files: dict[str, str], command: tuple[str, ...], options: tuple[str, ...], tools: tuple[str, ...]
) -> None:
    assert with_report_options(command, project(tmp_path, files), HOME) == ((*command, *options), tools)


def test_go_shows_each_test_and_coverage(tmp_path: Path) -> None:
    words = ("go", "test", "-v", "-coverprofile=/home/coverage.out", "./a/...")

    assert with_report_options(("go", "test", "./a/..."), tmp_path, HOME) == (words, ("go",))


@pytest.mark.parametrize(
    ("files", "ecosystem"),
    [
        ({"go.mod": "", "a_test.go": "", "package.json": "{}"}, "go"),
        ({"go.mod": "", "package.json": '{"scripts": {"test": "jest"}}'}, "node"),
        ({"composer.json": '{"scripts": {"test": "x"}}', "package.json": '{"scripts": {"test": "x"}}'}, "php"),
        ({"Gemfile": "", "package.json": '{"scripts": {"test": "x"}}'}, "node"),
        ({"Gemfile": "", "spec/a_spec.rb": "", "package.json": '{"scripts": {"test": "x"}}'}, "ruby"),
        ({"Cargo.toml": "", "src/lib.rs": "#[napi]\n", "package.json": '{"scripts": {"test": "x"}}'}, "node"),
        ({"Cargo.toml": "", "src/lib.rs": "#[test]\n", "package.json": '{"scripts": {"test": "x"}}'}, "cargo"),
        ({"Cargo.toml": "", "a/src/b.rs": " #[tokio::test]\n", "package.json": '{"scripts": {"test": "x"}}'}, "cargo"),
        ({"a.csproj": "", "package.json": '{"scripts": {"test": "x"}}'}, "node"),
        ({"a.csproj": TEST_SDK, "package.json": '{"scripts": {"test": "x"}}'}, "dotnet"),
        ({"pom.xml": "", "package.json": '{"scripts": {"test": "x"}}'}, "maven"),
    ],
)
def test_files_for_tools_do_not_decide(tmp_path: Path, files: dict[str, str], ecosystem: str) -> None:
    assert detect(project(tmp_path, files)).ecosystem == ecosystem


def test_projects_below_files_for_tools_are_named(tmp_path: Path) -> None:
    files = {"package.json": "{}", "api/go.mod": "", "api/a_test.go": "", "web/package.json": "{}"}
    tested = {"web/package.json": '{"scripts": {"test": "jest"}}', "docs/package.json": "{}"}

    assert "directory: api` into .kiro-worker.yml" in detect(project(tmp_path, files)).problem
    problem = detect(project(tmp_path, tested)).problem
    assert "the root has no tests (node), but api, web are" in problem
    assert "checks:\n  - directory: api\n  - directory: web" in problem


def test_change_of_manifest_changes_the_installation() -> None:
    changed = ["src/a.go", "api/go.sum", "web/yarn.lock", "README.md", "app/pom.xml"]

    assert changes_installation(changed) == ["api/go.sum", "web/yarn.lock", "app/pom.xml"]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("node", {"package.json": '{"scripts": {"test": "x", "prepare": "tsc"}}'}),
        ("node", {"package.json": '{"workspaces": ["a"], "scripts": {"test": "x"}}',
                  "a/package.json": '{"scripts": {"postinstall": "x"}}'}),
        *(("node", {"package.json": json.dumps({"scripts": {"test": "x"}, key: {"lib": "file:./lib"}})})
          for key in ("dependencies", "devDependencies")),
        ("php", {"composer.json": '{"scripts": {"test": "x"}, "autoload": {"classmap": ["src"]}}'}),
        ("php", {"composer.json": '{"scripts": {"test": "x"}, "config": {"optimize-autoloader": true}}'}),
        ("php", {"composer.json": '{"scripts": {"test": "x", "post-autoload-dump": "x"}}'}),
    ],
)  # fmt: skip
def test_installation_that_builds_sources_runs_again(tmp_path: Path, name: str, files: dict[str, str]) -> None:
    found = DETECT[name](project(tmp_path, files))

    assert found
    assert not found.follows_sources


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("node", {"package.json": '{"workspaces": ["a"], "scripts": {"test": "x"}}', "a/package.json": "{}"}),
        ("php", {"composer.json": '{"scripts": {"test": "x"}, "autoload": {"psr-4": {"A": "src"}}}'}),
        ("go", {"go.mod": ""}),
        ("cargo", {"Cargo.toml": ""}),
        ("maven", {"pom.xml": ""}),
    ],
)
def test_installation_of_dependencies_alone_is_kept(tmp_path: Path, name: str, files: dict[str, str]) -> None:
    found = DETECT[name](project(tmp_path, files))

    assert found
    assert found.follows_sources


def test_earlier_ecosystem_stays_while_it_has_tests(tmp_path: Path) -> None:
    """Else one test of a script in Python would run in place of all tests in JavaScript."""
    project(tmp_path, {"package.json": '{"scripts": {"test": "x"}}', "tools/test_a.py": "def test_a(): pass\n"})

    assert detect(tmp_path).ecosystem == "python"
    assert detect(tmp_path, preferred="node").ecosystem == "node"
    assert detect(tmp_path, preferred="go").ecosystem == "python"
    (tmp_path / "package.json").write_text("{}")
    assert detect(tmp_path, preferred="node").ecosystem == "python"
