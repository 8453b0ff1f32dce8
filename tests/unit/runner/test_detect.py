"""The test command of each ecosystem, and what the project's own settings say."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.runner.gate.detect import detected_command, with_report_options
from kiro_worker.runner.gate.ecosystems.python import detect_python
from kiro_worker.runner.gate.project_settings import MAX_SETTINGS_BYTES, CoverageRequest, ProjectSettings

PYTEST = ("python3", "-m", "pytest", "-q")
UNITTEST = ("python3", "-m", "unittest", "discover", "-v")
TEST_CASE = "import unittest\nclass A(unittest.TestCase): ...\n"
MEASURED, OFF, ABSENT = CoverageRequest(is_measured=True), CoverageRequest(is_off=True), CoverageRequest()
PROGRAMS = {"PATH": "/nowhere"}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "command"),
    [
        *(({name: ""}, PYTEST) for name in ("pytest.ini", ".pytest.ini", "pytest.toml", "tests/conftest.py")),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, PYTEST),
        ({"pyproject.toml": "[tool.pytest]\naddopts = ['-q']\n"}, PYTEST),
        ({"setup.cfg": "[tool:pytest]\n"}, PYTEST),
        ({"tox.ini": "[pytest]\n"}, PYTEST),
        ({"pyproject.toml": "# [tool.pytest.ini_options]\n[tool.ruff]\nname = '[tool.pytest'\n"}, ()),
        ({"setup.cfg": "[flake8]\nname = x\n# [tool:pytest]\n"}, ()),
        ({"tox.ini": "[other]\ncommands = see [pytest]\n"}, ()),
        ({"tests/__init__.py": "", "tests/test_a.py": TEST_CASE}, UNITTEST),
        ({"tests/test_a.py": TEST_CASE}, (*UNITTEST, "-s", "tests")),
        ({"test_a.py": TEST_CASE}, UNITTEST),
        ({"test_a.py": ""}, UNITTEST),
        ({"package.json": '{"scripts": {"test": "jest"}}'}, ("npm", "test")),
        ({"package.json": '{"scripts": {"test": "jest"}}', "package-lock.json": "{}"}, ("npm", "test")),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, ()),
        ({"package.json": "not json"}, ()),
        ({"package.json": '{"scripts": {"test": null}, "test": "jest"}'}, ()),
        ({"package.json": "[]"}, ()),
        ({"go.mod": "module x"}, ("go", "test", "./...")),
        ({"Cargo.toml": ""}, ("cargo", "test")),
        ({"pom.xml": ""}, ("mvn", "-B", "verify")),
        ({"README.md": ""}, ()),
    ],
)
def test_test_command_is_detected(tmp_path: Path, files: dict[str, str], command: tuple[str, ...]) -> None:
    assert detected_command(write(tmp_path, files)) == command


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"pytest.ini": "[pytest]\naddopts = -q --cov\n"}, MEASURED),
        ({"pytest.ini": "[pytest]\naddopts =\n    -q\n    --cov=shop  --cov-report=term\n"}, MEASURED),
        ({"pytest.toml": '[pytest]\naddopts = ["--cov", "shop"]\n'}, MEASURED),
        ({"pyproject.toml": '[tool.pytest.ini_options]\naddopts = "--cov=shop"\n'}, MEASURED),
        ({"pyproject.toml": '[tool.pytest.ini_options]\naddopts = ["-q", "--cov"]\n'}, MEASURED),
        ({"pyproject.toml": '[tool.pytest]\naddopts = ["--cov"]\n'}, MEASURED),
        ({"tox.ini": "[pytest]\naddopts = --cov\n"}, MEASURED),
        ({"setup.cfg": "[tool:pytest]\naddopts = --cov 'my shop'\n"}, MEASURED),
        ({"pytest.ini": "[pytest]\naddopts = --cov --no-cov\n"}, OFF),
        ({"pytest.ini": "[pytest]\naddopts = -p no:cov\n"}, OFF),
        ({"pytest.ini": "[pytest]\naddopts = -pno:pytest_cov\n"}, OFF),
        ({"pytest.ini": "[pytest]\naddopts = --cov --cov-reset\n"}, ABSENT),
        ({"pytest.ini": "[pytest]\naddopts = --cov-report=term --cov-fail-under=80\n"}, ABSENT),
        ({"pytest.ini": "[pytest]\naddopts =\n    -q\n    # --cov\n"}, ABSENT),
        ({"pyproject.toml": '# addopts = "--cov"\n[project]\ndependencies = ["pytest-cov"]\n'}, ABSENT),
        ({"pyproject.toml": '[tool.other]\naddopts = "--cov"\n[tool.pytest.ini_options]\n'}, ABSENT),
        ({"setup.cfg": "[options]\ninstall_requires = pytest --cov\n"}, ABSENT),
        # The first file in pytest's order decides alone.
        ({"pytest.ini": "", "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "--cov"\n'}, ABSENT),
        ({"pytest.ini": "[pytest]\naddopts = --cov\n", "tox.ini": "[pytest]\naddopts = --no-cov\n"}, MEASURED),
        ({"pyproject.toml": "[project]\n", "tox.ini": "[pytest]\naddopts = --cov\n"}, MEASURED),
        ({"tox.ini": "[tox]\n", "setup.cfg": "[tool:pytest]\naddopts = --cov\n"}, MEASURED),
        ({"pytest.ini": "[pytest]\naddopts = 'open\n"}, ABSENT),
        ({"pyproject.toml": "[tool]\npytest = 3\n"}, ABSENT),
    ],
)
def test_pytest_settings_are_read_as_pytest_does(
    tmp_path: Path, files: dict[str, str], expected: CoverageRequest
) -> None:
    settings = ProjectSettings(write(tmp_path, files))

    assert (settings.pytest_coverage, settings.notes) == (expected, [])


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ({}, "--branch --source=."),
        ({".coveragerc": "[run]\nsource = shop\n"}, "--branch"),
        ({".coveragerc": "[run]\nbranch = False\n", "setup.cfg": "[coverage:run]\nsource = x\n"}, "--source=."),
        ({"setup.cfg": "[coverage:report]\nskip_empty = true\n", "tox.ini": "[coverage:run]\nsource = x\n"},
         "--branch --source=."),
        ({"setup.cfg": "[run]\nsource = x\n", "tox.ini": "[coverage:run]\nsource = x\nbranch = true\n"}, ""),
        ({"pyproject.toml": '[tool.coverage.run]\nsource_pkgs = ["shop"]\n'}, "--branch"),
        ({"pyproject.toml": '# [tool.coverage.run]\n# source = ["shop"]\n'}, "--branch --source=."),
    ],
)  # fmt: skip
def test_coverage_settings_are_kept(
    tmp_path: Path, all_modules: dict[str, str], files: dict[str, str], options: str
) -> None:
    command = with_report_options(UNITTEST, write(tmp_path, files), Path("/home"), all_modules)

    assert command.words[2].partition(" -m unittest")[0].removeprefix("python3 -m coverage run").strip() == options


@pytest.fixture
def all_modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose Python can import every module."""
    programs = tmp_path_factory.mktemp("programs")
    (programs / "python3").write_text("#!/bin/sh\n")
    (programs / "python3").chmod(0o755)
    return {"PATH": str(programs)}


OURS = ("--coverageReporters=lcovonly", "--coverageDirectory=/home")


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("jest", ("--coverage", "--coverageThreshold={}", *OURS)),
        ("jest --ci --runInBand", ("--coverage", "--coverageThreshold={}", *OURS)),
        ("NODE_OPTIONS=--experimental-vm-modules npx jest", ("--coverage", "--coverageThreshold={}", *OURS)),
        (
            "cross-env CI=1 node --expose-gc node_modules/jest/bin/jest.js",
            ("--coverage", "--coverageThreshold={}", *OURS),
        ),
        ("jest --coverage", OURS),
        ("jest --coverage=false", OURS),
        ("jest --coverage --coverageDirectory=out", OURS[:1]),
        *((script, None) for script in ("jest && eslint .", "jest | tee log", "eslint jest", "c8 jest", "nyc mocha")),
        ("echo jest", None),
    ],
)
def test_jest_gets_what_its_script_lacks(tmp_path: Path, script: str, options: tuple[str, ...] | None) -> None:
    write(tmp_path, {"package.json": json.dumps({"scripts": {"test": script}})})

    words = with_report_options(("npm", "test"), tmp_path, Path("/home"), PROGRAMS).words

    assert words == (("npm", "test") if options is None else ("npm", "test", "--", *options))


def test_jest_that_collects_coverage_is_not_asked_again(tmp_path: Path) -> None:
    package = {"scripts": {"test": "jest"}, "jest": {"collectCoverage": True}}
    write(tmp_path, {"package.json": json.dumps(package), "package-lock.json": "{}"})

    words = with_report_options(detected_command(tmp_path), tmp_path, Path("/home"), PROGRAMS).words

    assert words == ("npm", "test", "--", *OURS)


def test_pytest_gets_what_its_settings_lack(tmp_path: Path, all_modules: dict[str, str]) -> None:
    def options(addopts: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        write(tmp_path, {"pytest.ini": f"[pytest]\naddopts = {addopts}\n"})
        command = with_report_options(PYTEST, tmp_path, Path("/home"), all_modules)
        assert command.words[:5] == (*PYTEST, "--junitxml=/home/junit.xml")
        return command.words[5:], command.notes

    report = "--cov-report=xml:/home/coverage.xml"
    assert options("-q") == (("--cov", "--cov-branch", "--cov-fail-under=0", report), ())
    assert options("--cov=shop") == ((report,), ())
    assert options("-p no:cov") == ((), ("pytest's addopts turn coverage off",))


@pytest.mark.parametrize(
    ("files", "tools"),
    [
        ({"go.mod": ""}, ("go",)),
        ({"Cargo.toml": ""}, ()),
        ({"test_a.py": TEST_CASE}, ("unittest",)),
        ({"manage.py": "DJANGO_SETTINGS_MODULE"}, ("unittest",)),
        ({"pytest.ini": ""}, ()),
        ({"pom.xml": ""}, ()),
        ({"package.json": '{"scripts": {"test": "x"}}'}, ()),
    ],
)
def test_detected_command_names_its_tool(tmp_path: Path, files: dict[str, str], tools: tuple[str, ...]) -> None:
    command = with_report_options(detected_command(write(tmp_path, files)), tmp_path, Path("/home"), PROGRAMS)

    assert command.tools == tools
    assert ("-v" in command.words) == (tools in (("go",), ("unittest",)) and "manage.py" not in files)


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("pyproject.toml", b"[tool.pytest", "pyproject.toml: "),
        ("pyproject.toml", b"\xff", "pyproject.toml: "),
        ("pyproject.toml", b"a = " + b"[" * 9000, "pyproject.toml: "),
        ("tox.ini", b"addopts = --cov", "tox.ini: "),
        ("setup.cfg", b"#" * MAX_SETTINGS_BYTES + b"#", "setup.cfg is larger than 512 KB"),
    ],
)
def test_unreadable_settings_are_a_note(tmp_path: Path, name: str, content: bytes, note: str) -> None:
    (tmp_path / name).write_bytes(content)
    settings = ProjectSettings(tmp_path)

    assert (settings.uses_pytest, settings.coverage_run) == (False, {})
    assert len(settings.notes) == 1
    assert settings.notes[0].startswith(f"settings ignored: {note}")


def test_settings_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"secret.ini": "[pytest]\naddopts = --cov\n"})
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "pytest.ini").symlink_to(tmp_path / "secret.ini")
    os.mkfifo(folder / "tox.ini")
    (folder / "setup.cfg").mkdir()
    settings = ProjectSettings(folder)

    assert (settings.uses_pytest, settings.pytest_coverage, settings.notes) == (False, ABSENT, [])


NAMES = ("pytest.toml", "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", ".coveragerc", "Pipfile", "tox.toml")


@given(st.sampled_from(NAMES), st.binary() | st.text().map(str.encode))
def test_any_settings_are_handled(tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("settings")
    (folder / name).write_bytes(content)
    settings = ProjectSettings(folder)

    found = detect_python(folder)
    assert found is None or found.test
    assert settings.pytest_coverage == ABSENT
    assert isinstance(settings.coverage_run, dict)


@pytest.mark.parametrize("key", ["a.", "a . ", '"a".', "'a'."])
def test_key_of_very_many_parts_is_not_parsed(tmp_path: Path, key: str) -> None:
    """The parser would take hours."""
    for start in ("", "[", "[tool]\nx = 1\n[[", "x = { ", "x = {y = 1, "):
        settings = ProjectSettings(write(tmp_path, {"pyproject.toml": f"{start}{key * 60_000}a"}))
        assert settings.document("pyproject.toml") == {}
        assert len(settings.notes) == 1
    text = f"[project]\nname = 'x'\n# {'a.' * 500}\ndescription = '{'a.' * 500}'\n"
    assert ProjectSettings(write(tmp_path, {"pyproject.toml": text})).document("pyproject.toml")
