"""The test command of each ecosystem."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiro_worker.runner.gate.detect import detected_command

UNITTEST = ("python3", "-m", "unittest", "discover", "-v")


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"pytest.ini": ""}, ("python3", "-m", "pytest", "-q")),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, ("python3", "-m", "pytest", "-q")),
        ({"tests/conftest.py": ""}, ("python3", "-m", "pytest", "-q")),
        ({"tests/__init__.py": "", "tests/test_a.py": ""}, UNITTEST),
        ({"tests/test_a.py": ""}, (*UNITTEST, "-s", "tests")),
        ({"test_a.py": ""}, UNITTEST),
        ({"package.json": '{"scripts": {"test": "jest"}}'}, ("npm", "test")),
        (
            {"package.json": '{"scripts": {"test": "jest"}}', "package-lock.json": "{}"},
            ("sh", "-c", "npm ci && npm test"),
        ),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, ()),
        ({"package.json": "not json"}, ()),
        ({"package.json": "[]"}, ()),
        ({"go.mod": "module x"}, ("go", "test", "./...")),
        ({"Cargo.toml": ""}, ("cargo", "test")),
        ({"pom.xml": ""}, ("mvn", "-B", "verify")),
        ({"build.gradle": "", "gradlew": ""}, ("sh", "gradlew", "test", "--console=plain")),
        ({"build.gradle.kts": ""}, ("gradle", "test", "--console=plain")),
        ({"README.md": ""}, ()),
    ],
)
def test_test_command_is_detected(tmp_path: Path, files: dict[str, str], command: tuple[str, ...]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert detected_command(tmp_path) == command
