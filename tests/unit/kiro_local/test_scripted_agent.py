from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[3] / "kiro_local" / "demo"
TASKS = ".kiro/specs/feature-discounts/tasks.md"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO / "repository", tmp_path / "shop"))


def agent(repository: Path, *arguments: str, prompt: str = f"- {TASKS}\n") -> subprocess.CompletedProcess[str]:
    # -I: the script must run without the project's packages.
    return subprocess.run(
        [sys.executable, "-I", DEMO / "scripted_agent.py", *arguments],
        cwd=repository,
        input=prompt,
        capture_output=True,
        text=True,
        timeout=30,
    )


def run_tests(repository: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unittest", "discover", "-v"]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=30)


def test_all_tasks_are_implemented(repository: Path) -> None:
    assert "Ran 2 tests" in run_tests(repository).stderr

    finished = agent(repository)

    assert finished.returncode == 0, finished.stdout
    assert "scripted stand-in agent" in finished.stdout
    assert "- [ ] " not in (repository / TASKS).read_text()
    assert "- [ ]* 3." in (repository / TASKS).read_text()
    after = run_tests(repository)
    assert after.returncode == 0
    assert "Ran 7 tests" in after.stderr


def test_fail_first_fails_only_once(repository: Path, tmp_path: Path) -> None:
    before = (repository / TASKS).read_text()
    marker = tmp_path / "marker"
    marker.touch()

    failed = agent(repository, "--fail-first", str(marker))

    assert failed.returncode == 1
    assert (repository / TASKS).read_text() != before
    assert agent(repository, "--fail-first", str(marker)).returncode == 0
    assert run_tests(repository).returncode == 0


def test_unknown_task_stays_open(repository: Path) -> None:
    (repository / TASKS).write_text("- [ ] 1. Write a compiler\n")

    finished = agent(repository)

    assert "not in the script" in finished.stdout
    assert (repository / TASKS).read_text() == "- [ ] 1. Write a compiler\n"


def test_prompt_without_tasks_is_rejected(repository: Path) -> None:
    assert agent(repository, prompt="/etc/tasks.md ../tasks.md").returncode == 2
