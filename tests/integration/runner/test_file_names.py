"""Names and texts that are not UTF-8: a build works with their bytes, and reports them with escapes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.dry_run import dry_run_without_aws
from tests.support.worker import BRANCH, TOKEN, WORK, Worker

LATIN = os.fsdecode(b"caf\xe9.txt")
TASKS = ".kiro/specs/feature-discounts/tasks.md"
ESCAPED = "caf\\xe9.txt"
TESTS = "open(b'caf\\xe9.txt', 'w').write('changed')\nprint('Ran 1 test in 0.1s')\n"


@pytest.fixture
def worker(worker: Worker) -> Worker:
    """Return a worker whose branch has a Latin-1 file name, which its test command changes."""
    worker.commit = worker.repository.git.commit(BRANCH, {LATIN: "1\n"}, "Add a file")
    return worker


def configure(worker: Worker, work: str = "", tests: str = TESTS, **more: object) -> None:
    worker.configure(worker.agent(WORK + work, mode="all"), test=["python3", "-c", tests], **more)


def test_files_changed_by_tests_are_named(worker: Worker) -> None:
    configure(worker)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert finished.result["gate"]["checks"][0]["changedByTests"] == [ESCAPED]
    assert f"the tests changed 1 files of the checkout: {ESCAPED}" in finished.log
    assert ESCAPED in worker.artifact("tests.log")


def test_agent_can_write_such_files(worker: Worker) -> None:
    configure(
        worker,
        "open(b'n\\xe9w.txt', 'w').write('1')\nimport subprocess\n"
        "subprocess.run(['git', 'init', '-q', b'r\\xe9pository'], check=True)\n"
        "open(b'r\\xe9pository/file', 'w').write('1')\n",
    )

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert {"n\\xe9w.txt", "r\\xe9pository/file"} <= set(finished.result["filesChanged"])
    assert "r\\xe9pository/.git is a nested repository" in finished.log
    names = worker.repository.git.run("ls-tree", "-r", "-z", "--name-only", BRANCH).split(b"\0")
    assert {b"caf\xe9.txt", b"n\xe9w.txt", b"r\xe9pository/file"} <= set(names)


def test_report_names_are_printable(worker: Worker) -> None:
    reports = "import os\nos.mkdir('test-results')\nopen(b'test-results/n\\xe9.xml', 'w').write('<x')\n"
    configure(worker, tests=reports + TESTS)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "report ignored: n\\xe9.xml is not XML" in finished.exports["TESTS_SUMMARY"]


def test_guarded_files_are_named(worker: Worker) -> None:
    configure(worker)
    worker.commit = worker.repository.git.commit(BRANCH, {os.fsdecode(b"d\xe9/AGENTS.md"): "1\n"}, "Steer")

    finished = worker.run()

    assert finished.outcome == "GuardTripped", finished.log
    assert "d\\xe9/AGENTS.md" in finished.exports["OUTCOME_REASON"]


def test_dry_run_names_guarded_files(worker: Worker, config: Path) -> None:
    worker.repository.git.commit(BRANCH, {os.fsdecode(b"d\xe9/AGENTS.md"): "1\n"}, "Steer")

    done = dry_run_without_aws(worker, config, GITHUB_TOKEN=TOKEN)

    assert "differs from the default branch in files that steer the agent or run commands: d\\xe9/AGENTS.md" in done.out


def test_task_title_can_be_latin(worker: Worker) -> None:
    git = worker.repository.git
    tasks = worker.file(TASKS).encode().replace(b"- [ ] 1.1", b"- [ ] 1.1 Caf\xe9", 1)
    worker.commit = git.commit(BRANCH, {TASKS: tasks}, "Write the tasks")
    work = (
        "import pathlib, sys\nprompt = sys.stdin.buffer.read()\n"
        "file = pathlib.Path('notes.txt')\nfirst = not file.exists()\nassert first == (b'Caf\\\\xe9' in prompt)\n"
        "file.write_text('' if first else file.read_text() + '1')\n"
    )
    worker.configure(worker.agent(work), test=["python3", "-c", TESTS])

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "Caf\\xe9" in git.run("log", "--format=%B", f"{worker.commit}..{BRANCH}").decode()
    assert b"- [x] 1.1 Caf\xe9" in git.run("show", f"{BRANCH}:{TASKS}")
