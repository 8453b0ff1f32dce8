from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LOCAL = Path(__file__).parents[3] / "kiro_local" / "demo"
TASKS = ".kiro/specs/feature-discounts/tasks.md"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LOCAL / "repository", tmp_path / "shop"))


def agent(repository: Path, *arguments: str, prompt: str = f"- {TASKS}\n") -> subprocess.CompletedProcess[str]:
    # -I: it stands alone, and has nothing of ours to import.
    return subprocess.run(
        [sys.executable, "-I", LOCAL / "scripted_agent.py", *arguments],
        cwd=repository,
        input=prompt,
        capture_output=True,
        text=True,
        timeout=30,
    )


def run_tests(repository: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unittest", "discover", "-v"]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=30)


def test_it_implements_every_task_with_tests_that_pass(repository: Path) -> None:
    assert "Ran 2 tests" in run_tests(repository).stderr

    done = agent(repository)

    assert done.returncode == 0, done.stdout
    assert "scripted stand-in agent" in done.stdout
    assert "- [ ] " not in (repository / TASKS).read_text()
    assert "- [ ]* 3." in (repository / TASKS).read_text()
    after = run_tests(repository)
    assert after.returncode == 0
    assert "Ran 7 tests" in after.stderr


def test_it_fails_half_way_once_and_then_no_more(repository: Path, tmp_path: Path) -> None:
    before = (repository / TASKS).read_text()

    failed = agent(repository, "--fail-first", str(tmp_path / "mark"))

    assert failed.returncode == 1
    assert (repository / TASKS).read_text() != before
    assert agent(repository, "--fail-first", str(tmp_path / "mark")).returncode == 0
    assert run_tests(repository).returncode == 0


def test_a_task_that_is_not_in_its_script_stays_open(repository: Path) -> None:
    (repository / TASKS).write_text("- [ ] 1. Write a compiler\n")

    done = agent(repository)

    assert "not in my script" in done.stdout
    assert (repository / TASKS).read_text() == "- [ ] 1. Write a compiler\n"


def test_a_prompt_without_tasks_is_refused(repository: Path) -> None:
    assert agent(repository, prompt="/etc/tasks.md ../tasks.md").returncode == 2
