"""Builds that CodeBuild fails: work that is pushed is a success, and every other failure says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from kiro_local.aws.build_run import BuildEnding
from kiro_local.aws.fault_injection import execution_of
from kiro_local.environment import NAMES
from kiro_local.faults import ENDINGS, parse_fault
from kiro_worker.executions.history import Run
from kiro_worker.records.runs import RunRecord, note_push
from kiro_worker.records.table import RecordsTable
from tests.support.world import PATIENCE, World, names

pytestmark = pytest.mark.e2e

BRANCH = "feature/sum"
DONE = "def add(a, b):\n    return a + b\n"
TO_REVIEW = ["RunBuild", "ReadBuildResult", "BuildSucceeded", "MarkInReview", "ReleaseLock", "Done"]
TO_FAILURE = ["RunBuild", "ReadBuildResult", "BuildSucceeded", "MarkFailed", "ReleaseLockAfterFailure", "FailRun"]


_NEXT_RUN = {"ParallelRunAllowed", "WorkItemBuilt", "StartNextRun", "NextRunAllowed", "StartNextRunAfterFailure"}


def steps(run: Run) -> list[str]:
    """The states that the run entered, without those that start the next one."""
    return [name for name in names(run) if name not in _NEXT_RUN]


@pytest.fixture
def world(new_world: Callable[[], World]) -> Iterator[World]:
    world = new_world()
    world.agent()
    yield world
    world.local.aws.builds.end_next_as(None)


def push_as_build(world: World, *, record: bool = True, push: bool = True, work_item: str = "") -> str:
    """Do what the running execution's build does: record a commit, and push it to the branch."""
    [live] = world.local.aws.executions._live
    tasks = f".kiro/specs/{BRANCH.replace('/', '-')}/tasks.md"
    files = {"sums.py": DONE, tasks: world.file(tasks, BRANCH).replace("[ ]", "[x]")}
    branch = BRANCH if push else "elsewhere"
    commit = world.repository.git.commit(branch, files, "Implement 1 Write the function", base=BRANCH)
    if record:
        repository = f"{world.organization}/shop"
        run = RunRecord(live.exec_arn, repository, BRANCH, work_item)
        note_push(RecordsTable(world.local.client("dynamodb"), NAMES.records_table), run, commit)
    return commit


def pushes(world: World, **how: Any) -> Callable[[], None]:
    def push() -> None:
        push_as_build(world, **how)

    return push


def end_build(world: World, ending: str) -> None:
    world.local.aws.faults.add(parse_fault(f"RunBuild:{ending}"))


def check_in_review(world: World, run: Run, commit: str | None) -> None:
    assert (run.status, run.outcome) == ("SUCCEEDED", "Succeeded"), run.cause
    assert steps(run)[-6:] == TO_REVIEW
    assert world.local.lock() is None
    [comment] = world.comments()
    assert f"✅ **Implemented**: `{(commit or '')[:12]}` on `{BRANCH}`" in comment


def test_upload_failure_after_push_is_success(world: World) -> None:
    card, before = world.card(), world.head()
    end_build(world, "upload-failed")
    run = world.tick()
    check_in_review(world, run, world.head())
    assert world.head() != before
    assert world.status(card) == "In Review"
    assert "def add" in world.file("sums.py")
    released = next(state.document for state in run.states if state.name == "ReleaseLock")
    build = released["build"]
    assert (build["status"], build["phase"]) == ("FAILED", "UPLOAD_ARTIFACTS")
    assert build["message"] == "CLIENT_ERROR: no test report files were found"
    assert "failure" not in released


def test_upload_failure_is_read_from_codebuild(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Cause is cut off after a few characters, and only BatchGetBuilds still has what the build exported."""
    executions = world.local.aws.executions
    short = replace(executions.undocumented, failed_build_cause_characters=300)
    monkeypatch.setattr(executions, "undocumented", short)
    world.card()
    end_build(world, "upload-failed")
    check_in_review(world, world.tick(), world.head())


def test_project_without_reports_passes_upload(world: World) -> None:
    """The embedded CodeBuild fails a declared report without files, so the runner leaves one of each."""
    assert world.local.aws.executions.undocumented.missing_report_fails_build
    world.card()
    run = world.tick()
    assert run.outcome == "Succeeded"
    assert "ReadBuildResult" not in names(run)


FAILURES = {
    "image-unavailable": (
        "BuildFailed",
        ("cannot pull the build image aws/codebuild/", "UNABLE_TO_PULL_IMAGE", "operators of this installation"),
    ),
    "source-denied": ("BuildFailed", ("cannot read the worker's own source", "Access Denied", "operators of this")),
    "queue-timed-out": ("BuildTimedOut", ("waited 30 minutes in CodeBuild's queue", "redrive the execution")),
    "out-of-memory": ("BuildFailed", ("ran out of memory", "compute type BUILD_GENERAL1_SMALL", "operators of this")),
    "build-timed-out": ("BuildTimedOut", ("exceeded its timeout of 150 minutes in the phase BUILD",)),
    "build-stopped": ("BuildFailed", ("a person or a program stopped the build",)),
    "build-limit:always": ("BuildNotStarted", ("How to fix: ", "request a higher quota")),
}


ON_CARD = ("out-of-memory", "build-timed-out")
"""The failures that the card shows, because the agent may have caused them. The others put it back into the queue."""


@pytest.mark.parametrize("ending", FAILURES)
def test_build_that_cannot_report_says_why(world: World, ending: str) -> None:
    error, parts = FAILURES[ending]
    card, before = world.card(), world.head()
    end_build(world, ending)
    failed = world.tick()
    assert (failed.status, failed.error) == ("FAILED", error)
    assert steps(failed)[-6:] == TO_FAILURE
    shown = [failed.cause, *world.comments()]
    for part in (*parts, "How to fix: "):
        assert all(part in text for text in shown), part
    assert "TaskFailed" not in "".join(shown)
    assert (world.head(), world.local.lock()) == (before, None)
    if ending in ON_CARD:
        assert f"❌ **{error}** in `RunBuild`" in world.comments()[0]
        assert world.status(card) == "Blocked"
    else:
        assert (world.comments(), world.status(card)) == ([], "For Implementation"), "the card is not to blame"

    world.local.aws.faults.clear()
    redriven = world.redrive(failed)
    assert (redriven.status, redriven.outcome) == ("SUCCEEDED", "Succeeded")
    assert world.status(card) == "In Review"
    assert "✅" in world.comments()[0]


@pytest.mark.parametrize("ending", ["out-of-memory", "build-timed-out", "build-stopped", "build-fault", "PushRejected"])
def test_recorded_push_is_success(world: World, ending: str) -> None:
    """The build pushed, and died before it could export anything."""
    card = world.card()
    world.entered["RunBuild"] = pushes(world, work_item=card.id)
    end_build(world, ending)
    run = world.tick()
    check_in_review(world, run, world.head())
    assert world.status(card) == "In Review"
    assert names(run).count("RunBuild") == 1, "a build whose work is pushed was repeated"
    assert "ended as" in world.comments()[0]


@pytest.mark.parametrize(
    ("record", "push", "work_item"), [(False, True, ""), (True, False, ""), (True, True, "PVTI_another")]
)
def test_push_without_record_or_ref_is_failure(world: World, record: bool, push: bool, work_item: str) -> None:
    card = world.card()
    world.entered["RunBuild"] = pushes(world, record=record, push=push, work_item=work_item)
    end_build(world, "out-of-memory")
    run = world.tick()
    assert (run.status, run.error, world.status(card)) == ("FAILED", "BuildFailed", "Blocked")


def test_recorded_push_below_later_commits_is_success(world: World) -> None:
    world.card()

    pushed: list[str] = []

    def push_and_continue() -> None:
        pushed.append(push_as_build(world))
        world.repository.git.commit(BRANCH, {"later.txt": "x"}, "A person continues")

    world.entered["RunBuild"] = push_and_continue
    end_build(world, "out-of-memory")
    run = world.tick()
    check_in_review(world, run, pushed[0])


def ended_from_outside(world: World, fault: str) -> None:
    world.entered["RunBuild"] = pushes(world)
    end_build(world, fault)
    arn = world.local.tick()
    drive = execution_of(arn)._drive
    assert drive is not None
    assert drive.concluded.wait(PATIENCE)


@pytest.mark.parametrize("fault", ["aborted", "timed-out", "runtime-error"])
@pytest.mark.parametrize("delivered", [True, False], ids=["clean-up", "next-tick"])
def test_pushed_work_of_ended_run_goes_to_review(world: World, fault: str, delivered: bool) -> None:
    card = world.card()
    if not delivered:
        world.local.aws.faults.deliver = lambda _event: None
    ended_from_outside(world, fault)
    if delivered:
        world.wait_until(lambda: world.status(card) != "In Progress")
    else:
        assert world.status(card) == "In Progress"
        world.tick()
    assert world.status(card) == "In Review"
    world.wait_until(lambda: len(world.comments()) == 1)
    assert f"✅ **Implemented**: `{(world.head() or '')[:12]}` on `{BRANCH}`" in world.comments()[0]


def test_codebuild_fault_is_repeated_once_per_commit(world: World) -> None:
    card = world.card()
    end_build(world, "build-fault")
    end_build(world, "build-fault")
    builds = len(world.builds())
    failed = world.tick()
    assert (failed.status, failed.error) == ("FAILED", "BuildFaulted")
    assert steps(failed)[-9:] == [*TO_FAILURE[:3], *TO_FAILURE]
    assert len(world.builds()) == builds + 2
    assert "TaskFailed" not in world.comments()[0]

    end_build(world, "build-fault")
    again = world.redrive(failed)
    assert (again.status, again.error) == ("FAILED", "BuildFaulted")
    assert len(world.builds()) == builds + 3, "a fault was repeated twice at the same commit"
    assert world.status(card) == "Blocked"


def test_first_codebuild_fault_is_absorbed(world: World) -> None:
    world.card()
    end_build(world, "build-fault")
    builds = len(world.builds())
    run = world.tick()
    assert run.outcome == "Succeeded"
    assert names(run).count("RunBuild") == 2
    assert len(world.builds()) == builds + 2


def test_unanswered_repetition_is_not_a_fault(world: World) -> None:
    world.card()
    end_build(world, "build-fault")
    end_build(world, "build-service-error:always")
    failed = world.tick()
    assert (failed.status, failed.error) == ("FAILED", "BuildNotStarted")
    assert "did not answer" in world.comments()[0]


def test_failed_reader_still_names_failure(world: World) -> None:
    card = world.card()
    end_build(world, "image-unavailable")
    world.local.aws.faults.add(parse_fault("ReadBuildResult:function-timed-out:always"))
    failed = world.tick()
    assert (failed.status, failed.error) == ("FAILED", "BuildFailed")
    assert "cannot pull the build image" in failed.cause
    assert world.status(card) == "For Implementation"


def test_failed_reader_does_not_turn_pushed_work_red(world: World) -> None:
    card = world.card()
    world.entered["RunBuild"] = pushes(world)
    end_build(world, "out-of-memory")
    world.local.aws.faults.add(parse_fault("ReadBuildResult:function-timed-out:always"))
    world.tick()
    assert world.status(card) == "In Review"
    assert "✅" in world.comments()[0]


def test_running_build_of_given_up_state_is_stopped(world: World) -> None:
    """The answer to the start is lost each time, and the build that started runs on."""
    card = world.card()
    proceed = world.waiting_agent()
    end_build(world, "start-lost:always")
    failed = world.tick()
    assert (failed.status, failed.error) == ("FAILED", "BuildNotStarted")
    statuses = {build.run.status for build in world.local.aws.builds.all()}
    assert "IN_PROGRESS" not in statuses
    assert not proceed.exists()
    assert world.status(card) == "For Implementation"
    assert "did not answer" in failed.cause


def test_every_ending_is_explained() -> None:
    assert {ending for ending in ENDINGS if ENDINGS[ending].phase} >= set(FAILURES) - {"build-limit:always"}
    assert isinstance(ENDINGS["upload-failed"], BuildEnding)
