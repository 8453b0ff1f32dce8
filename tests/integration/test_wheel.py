"""The wheel, installed into an empty environment."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of an environment that contains only the wheel and its default dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    built = run(sys.executable, "-m", "pip", "wheel", *options, ROOT, cwd=folder)
    assert built.returncode == 0, built.stderr
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    programs = folder / "venv" / "bin"
    constraint = ROOT / "requirements" / "dev.txt"
    done = run(
        UV, "pip", "install", "--quiet", "--python", programs / "python", "--constraint", constraint, wheel, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return programs


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["replay", "--help"], ["redrive", "--help"]])
def test_default_installation_works(installed: Path, arguments: list[str], tmp_path: Path) -> None:
    finished = run(installed / "kiro-worker", *arguments, cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "kiro-worker" in finished.stdout


@pytest.mark.parametrize("arguments", [["demo"], ["demo", "--json"], ["local"], ["local", "up"], ["demo", "--help"]])
def test_missing_extra_is_named(installed: Path, arguments: list[str], tmp_path: Path) -> None:
    finished = run(installed / "kiro-worker", *arguments, cwd=tmp_path)
    assert finished.returncode == 1
    assert "pip install 'kiro-codebuild-worker[local]'" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_wrong_name_is_usage_error(installed: Path, tmp_path: Path) -> None:
    finished = run(installed / "kiro-worker", "replay", "no/such", cwd=tmp_path)
    assert finished.returncode == 2
    assert "neither an execution's ARN nor its name" in finished.stderr


def test_wheel_contains_types_and_no_tests(installed: Path) -> None:
    [packages] = installed.parent.glob("lib/python*/site-packages")
    assert (packages / "kiro_worker" / "py.typed").is_file()
    assert not [name for name in ("tests", "infra", "tools", "functions", "moto") if (packages / name).exists()]
