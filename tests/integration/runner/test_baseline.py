"""Whole builds with a baseline: what is found before the agent is paid, and what the comment and the result say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from kiro_worker.records.runs import read_summary
from kiro_worker.records.table import RecordsTable
from tests.support.worker import BRANCH, EXECUTION, RECORDS, Worker, writable_file

OLD = "import unittest\n\nclass Old(unittest.TestCase):\n    def test_old(self):\n        self.fail('broken before')\n"
PYTEST = {"pytest.ini": "[pytest]\naddopts = -p no:cov\n"}
NEW_TEST = "def test_new():\n    from shop.new import VALUE\n    assert VALUE == 1\n"
WORK = """
import pathlib
pathlib.Path(MARKER).write_text("started")
pathlib.Path("shop/new.py").write_text("VALUE = 1\\n")
pathlib.Path("tests/test_new.py").write_text(NEW_TEST)
"""


def agent(worker: Worker, code: str = WORK, new_test: str = NEW_TEST) -> tuple[dict[str, object], Path]:
    """Return the configuration of an agent, and a file that is empty until the agent starts."""
    marker = writable_file(worker.folder / "started")
    return worker.agent(f"MARKER = {str(marker)!r}\nNEW_TEST = {new_test!r}\n{code}", mode="all"), marker


def commit(worker: Worker, files: Mapping[str, str]) -> None:
    worker.repository.git.commit(BRANCH, dict(files), "Change it")
    worker.commit = worker.repository.git.head_of(BRANCH) or ""


def commit_to_default(worker: Worker, files: Mapping[str, str]) -> None:
    """Move everything but the spec to the default branch, with further files, so that the branch adds only the spec."""
    git = worker.repository.git
    everything = {name: worker.file(name) for name in git.run("ls-tree", "-r", "--name-only", BRANCH).decode().split()}
    spec = {name: content for name, content in everything.items() if name.startswith(".kiro/")}
    git.commit("main", {name: text for name, text in everything.items() if name not in spec} | dict(files), "Change it")
    git.run("update-ref", f"refs/heads/{BRANCH}", git.head_of("main") or "")
    commit(worker, spec)


def test_known_failure_of_the_default_branch_does_not_count(worker: Worker) -> None:
    commit_to_default(worker, {**PYTEST, "tests/test_old.py": OLD})
    works, _ = agent(worker)
    worker.configure(works, baseline="known", coverage={})

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "── baseline" in finished.log
    assert "1 failed" in worker.artifact("baseline.log")
    baseline = finished.result["baseline"]
    assert (baseline["mode"], baseline["commit"]) == ("known", worker.commit)
    assert baseline["checks"][0]["failing"] == ["tests.test_old.Old.test_old"]
    [gate] = finished.result["gate"]["checks"]
    assert gate["excused"] == ["tests.test_old.Old.test_old"]
    notes = {note["kind"]: note["names"] for note in finished.result["summary"]["notes"]}
    assert notes["excused"] == "tests.test_old.Old.test_old"
    assert notes["notMeasured"] == "pytest's addopts turn coverage off"
    assert finished.exports["COVERAGE"].startswith("not measured")
    summary = read_summary(RecordsTable(worker.client("dynamodb"), RECORDS), EXECUTION)
    assert [note.kind for note in summary.notes] == list(notes)


def test_test_of_the_branch_is_not_excused(worker: Worker) -> None:
    """The branch adds a failing test, and the agent does not make it pass."""
    commit(worker, {**PYTEST, "tests/test_spec.py": NEW_TEST.replace("== 1", "== 'one'")})
    works, marker = agent(worker)
    worker.configure(works, baseline="known")

    finished = worker.run()

    assert finished.outcome == "TestsFailed", finished.log
    assert marker.read_text() == "started"
    assert "tests.test_spec.test_new" in finished.result["reason"]
    [failed] = finished.result["summary"]["failed"]
    assert failed["name"] == "tests.test_spec.test_new"
    assert "assert 1 == 'one'" in failed["said"]
    summary = read_summary(RecordsTable(worker.client("dynamodb"), RECORDS), EXECUTION)
    assert summary.failed[0].name == "tests.test_spec.test_new"

    commit(worker, {"tests/test_spec.py": NEW_TEST})
    assert worker.run().outcome == "Succeeded"


@pytest.mark.parametrize(
    ("files", "keys", "reason"),
    [
        (
            {"tests/test_old.py": OLD},
            {"baseline": "green"},
            "1 test fails already, before the agent starts: tests.test_o",
        ),
        ({}, {"test": "no-such-program"}, "the test command cannot be started (exit code 127)"),
        ({}, {"test": "chmod -x t; exec ./t"}, "cannot be started (exit code 126)"),
        ({}, {"test": ["no-such-program"]}, "no-such-program cannot be started"),
        ({}, {"test": "echo 2 failed in 1s; exit 1"}, "the tests fail already, before the agent starts"),
        ({}, {"test": "echo Ran 0 tests in 0.000s", "baseline": "green"}, "no test runs before the agent starts"),
    ],
)
def test_agent_is_not_started(worker: Worker, files: dict[str, str], keys: dict[str, object], reason: str) -> None:
    commit(worker, {**PYTEST, "t": "", **files})
    works, marker = agent(worker)
    worker.configure(works, **{"baseline": "known", **keys})

    finished = worker.run()

    assert finished.outcome == "TestsAlreadyFailing", finished.log
    assert reason in finished.result["reason"]
    assert finished.result["faultOwner"] == "repository"
    assert marker.read_text() == ""
    assert finished.result["commit"] == ""
    assert not worker.checkpoint()
    assert "── agent\n" not in finished.log


@pytest.mark.exhaustive
def test_failing_test_is_named_before_the_agent(worker: Worker) -> None:
    commit(worker, {**PYTEST, "tests/test_old.py": OLD})
    works, _ = agent(worker)
    worker.configure(works, baseline="green")

    finished = worker.run()

    [failed] = finished.result["summary"]["failed"]
    assert failed["name"] == "tests.test_old.Old.test_old"
    assert "broken before" in failed["said"]
    assert finished.exports["TESTS_SUMMARY"].startswith("1 failed")


@pytest.mark.exhaustive
def test_agent_is_told_what_is_known(worker: Worker) -> None:
    """What is installed, what tests the work, and what failed before the agent started."""
    commit_to_default(worker, {**PYTEST, "tests/test_old.py": OLD})
    prompt = writable_file(worker.folder / "prompt")
    works, _ = agent(worker, f"import sys\nopen({str(prompt)!r}, 'w').write(sys.stdin.read())\n{WORK}")
    worker.configure(works, baseline="known", coverage={}, setup="touch installed")

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    told = prompt.read_text()
    assert "Already installed for you" in told
    assert "touch installed" in told
    assert "-m pytest" in told
    assert "tests.test_old.Old.test_old" in told


@pytest.mark.exhaustive
def test_off_runs_the_tests_once(worker: Worker) -> None:
    works, _ = agent(worker)
    worker.configure(works, baseline="off")

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "── baseline" not in finished.log
    assert finished.result["baseline"] is None


def test_every_check_runs_in_its_folder(worker: Worker) -> None:
    """Both run although the first one fails; each keeps its report and its own baseline."""
    files = {
        "api/pytest.ini": "[pytest]\naddopts = -p no:cov\n",
        "api/tests/test_api.py": "def test_api():\n    assert True\n",
        "web/run.sh": "pwd; echo 2 passed in 1s; [ ! -e ../shop/new.py ] || exit 7\n",
    }
    commit(worker, files)
    works, _ = agent(worker)
    checks = [{"name": "web", "directory": "web", "test": "sh run.sh"}, {"name": "api", "directory": "api"}]
    worker.configure(works, baseline="known", repositorySettings={"acme/shop": {"checks": checks}})

    finished = worker.run()

    assert finished.outcome == "TestsFailed", finished.log
    assert finished.result["reason"].startswith("web: the tests ended with exit code 7")
    gate = finished.result["gate"]
    assert [(check["check"], check["passed"]) for check in gate["checks"]] == [("web", False), ("api", True)]
    assert finished.exports["TESTS_SUMMARY"].startswith("web: 2 passed in 1s (exit code 7); api: 1 passed")
    log = worker.artifact("tests.log")
    assert "── web\n" in log
    assert "── api\n" in log
    assert "/web\n" in log
    assert json.loads(worker.artifact("reports/02-api/gate.json")) == gate["checks"][1]
    assert "testcase" in worker.artifact("reports/02-api/tests/001-junit.xml")
    assert list((finished.folder / "reports" / "tests").glob("02-api-*.xml"))
    assert [check["check"] for check in finished.result["baseline"]["checks"]] == ["web", "api"]


LEAVES_FILES = """
import os, pathlib
def test_new():
    from shop.new import VALUE
    left = [pathlib.Path(folder, "left") for folder in (os.getcwd(), os.environ["HOME"], os.environ["TMPDIR"])]
    found = [str(path) for path in left if path.exists()]
    for path in left:
        path.write_text("left")
    assert found
"""


@pytest.mark.parametrize("test", [None, "python3 -m pytest -q --junitxml=junit.xml"])
def test_second_run_gets_nothing_from_the_first(worker: Worker, test: str | None) -> None:
    """Else a test passes that could pass nowhere: it compares with a snapshot that its own first run wrote."""
    commit(worker, PYTEST)
    works, _ = agent(worker, new_test=LEAVES_FILES)
    worker.configure(works, baseline="off", **({"test": test} if test else {}))

    finished = worker.run()

    assert finished.outcome == "TestsFailed", finished.log
    assert "1 tests failed: they are run again, once" in finished.log
    assert "tests.test_new.test_new" in finished.result["reason"]


@pytest.mark.exhaustive
def test_flaky_test_is_named(worker: Worker) -> None:
    """Only the failed test is run again. What made it fail once is outside the machine's part of the build."""
    counter = writable_file(worker.folder / "counter")
    flaky = (
        "import pathlib\n\ndef test_more():\n    pass\n\n"
        f"def test_new():\n    counter = pathlib.Path({str(counter)!r})\n    times = counter.read_text()\n"
        "    counter.write_text(times + '.')\n    assert times\n"
    )
    commit(worker, PYTEST)
    works, _ = agent(worker, new_test=flaky)
    worker.configure(works, baseline="off", coverage={})

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    notes = {note["kind"]: note["names"] for note in finished.result["summary"]["notes"]}
    assert notes["flaky"] == "tests.test_new.test_new"
    assert counter.read_text() == ".."
    log = worker.artifact("tests.log")
    assert "--last-failed" in log
    assert "2 deselected" in log or "1 deselected" in log or "1 passed" in log
