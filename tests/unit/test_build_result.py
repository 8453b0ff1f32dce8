"""What ReadBuildResult decides: the build's own report first, then record and ref, then CodeBuild's phases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from kiro_worker.build_result import BuildEdges, read_build_result
from kiro_worker.builds.reader import BuildReader
from kiro_worker.config.model import Configuration
from kiro_worker.github.client import GitHubSession
from kiro_worker.lock.store import LockStore
from kiro_worker.models import Failure
from kiro_worker.ownership import owner_of
from kiro_worker.records.checkpoints import CheckpointRecord, KeptWork, note_checkpoint
from kiro_worker.records.runs import RunRecord, note_push
from kiro_worker.records.table import RecordsTable
from kiro_worker.state import StateDocument, StepEvent
from tests.support.fake_github import FakeGitHub, configuration
from tests.support.memory_dynamodb import MemoryDynamoDB

ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
BASE, PUSHED, LATER = "a" * 40, "b" * 40, "c" * 40
WORK = {
    "repository": "acme/shop",
    "branch": "feature/x",
    "commit": BASE,
    "specPath": ".kiro/specs/feature-x",
    "pullRequest": 7,
    "pullRequestId": "PR_1",
    "pullRequestUrl": "https://github.example/acme/shop/pull/7",
    "baseBranch": "main",
    "openTasks": 1,
    "defaultCommit": "d" * 40,
}
KILLED = [
    {
        "PhaseType": "BUILD",
        "PhaseStatus": "FAILED",
        "Contexts": [{"StatusCode": "COMMAND_EXECUTION_ERROR", "Message": "signal: killed"}],
    }
]


@dataclass
class CodeBuild:
    """CodeBuild with the builds that this attempt of the run started: statuses by ID, the oldest first."""

    statuses: dict[str, str] = field(default_factory=dict)

    def batch_get_builds(self, ids: list[str]) -> dict[str, Any]:
        inputs = [{"name": "EXECUTION_ARN", "value": ARN}, {"name": "LOCK_FENCE", "value": "5"}]
        return {
            "builds": [
                {"id": each, "buildStatus": self.statuses[each], "environment": {"environmentVariables": inputs}}
                for each in ids
                if each in self.statuses
            ]
        }

    def list_builds_for_project(self, **_: Any) -> dict[str, Any]:
        return {"ids": list(self.statuses)[::-1]}


@dataclass
class Step:
    """The step with its edges in memory."""

    github: FakeGitHub = field(default_factory=FakeGitHub)
    dynamodb: MemoryDynamoDB = field(default_factory=MemoryDynamoDB)
    codebuild: CodeBuild = field(default_factory=CodeBuild)
    work: dict[str, Any] = field(default_factory=lambda: dict(WORK))

    @property
    def records(self) -> RecordsTable:
        return RecordsTable(self.dynamodb, "records")  # type: ignore[arg-type]  # answers the same requests

    def recorded(self, commit: str = PUSHED) -> None:
        note_push(self.records, RunRecord(ARN, "acme/shop", "feature/x", "CARD"), commit)

    def read(self, error: str = "States.TaskFailed", cause: str = "", **parts: Any) -> dict[str, Any]:
        document = {
            **parts,
            "item": {"id": "CARD"},
            "work": self.work,
            "lease": {"lockKey": "lock", "owner": ARN, "fence": 5, "expiresAt": 9},
            "failure": {"state": "RunBuild", "error": error, "cause": cause, "redriveCount": 2},
        }
        event = StepEvent(ARN, 0, {}, "ReadBuildResult", StateDocument.parse(document))
        locks = LockStore(MemoryDynamoDB(), "locks")  # type: ignore[arg-type]  # answers the same requests
        builds = BuildReader(self.codebuild, "kiro-worker-test")  # type: ignore[arg-type]  # answers the same requests
        return asyncio.run(read_build_result(event, BuildEdges(builds, locks, self.records, self._open)))

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[tuple[GitHubSession, Configuration]]:
        async with self.github.open_session() as session:
            yield session, configuration()


def cause(status: str = "FAILED", phases: Any = (), build_id: str = "b:1", **variables: str) -> str:
    exported = [{"Name": name, "Value": value} for name, value in variables.items()]
    build = {"Id": build_id, "BuildStatus": status, "Phases": list(phases), "ExportedEnvironmentVariables": exported}
    return json.dumps({"Build": build})


def variables(found: dict[str, Any]) -> dict[str, str]:
    return {variable["Name"]: variable["Value"] for variable in found["build"]["variables"]}


UPLOAD = [
    {
        "PhaseType": "UPLOAD_ARTIFACTS",
        "PhaseStatus": "FAILED",
        "Contexts": [{"StatusCode": "CLIENT_ERROR", "Message": "no test report files were found"}],
    }
]


@pytest.mark.parametrize("status", ["FAILED", "FAULT", "TIMED_OUT", "STOPPED"])
def test_reported_push_is_success_whatever_the_status(status: str) -> None:
    step = Step()
    found = step.read(cause=cause(status, UPLOAD, OUTCOME="Succeeded", RESULT_COMMIT=PUSHED, TASKS_DONE="3"))
    assert "failure" not in found
    assert found["repeat"] is False
    assert (found["build"]["status"], found["build"]["phase"]) == (status, "UPLOAD_ARTIFACTS")
    assert variables(found) == {"OUTCOME": "Succeeded", "RESULT_COMMIT": PUSHED, "TASKS_DONE": "3"}
    assert step.github.requests == []


@pytest.mark.parametrize("history", [[PUSHED, BASE], [LATER, PUSHED, BASE]])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("States.TaskFailed", cause("FAULT")),
        ("States.TaskFailed", cause(OUTCOME="PushRejected", OUTCOME_REASON="no answer", TASKS_DONE="1")),
        ("States.TaskFailed", '{"Build":{"Id":"cut'),
        ("States.Timeout", ""),
        ("CodeBuild.SdkClientException", "reset"),
    ],
)
def test_recorded_commit_on_branch_is_success(history: list[str], error: str, text: str) -> None:
    step = Step()
    step.recorded()
    step.github.board.history, step.github.board.before = history, [BASE]
    found = step.read(error, text)
    assert "failure" not in found
    assert found["repeat"] is False
    assert variables(found)["OUTCOME"] == "Succeeded"
    assert variables(found)["RESULT_COMMIT"] == PUSHED
    assert "ended as" in variables(found)["OUTCOME_REASON"]


@pytest.mark.parametrize("history", [[], [LATER, BASE]], ids=["no branch", "never arrived"])
def test_record_alone_is_no_success(history: list[str]) -> None:
    step = Step()
    step.recorded()
    step.github.board.history = history
    assert step.read(cause=cause(phases=KILLED))["failure"]["error"] == "BuildFailed"


def test_ref_alone_is_no_success() -> None:
    step = Step()
    step.github.board.history = [PUSHED, BASE]
    assert step.read(cause=cause(phases=KILLED))["failure"]["error"] == "BuildFailed"
    assert step.github.requests == []


@pytest.mark.parametrize(("open_tasks", "succeeds"), [(2, False), (0, True)])
def test_push_of_earlier_attempt_counts_without_open_task(open_tasks: int, succeeds: bool) -> None:
    step = Step()
    step.work |= {"commit": PUSHED, "openTasks": open_tasks}
    step.recorded()
    step.github.board.history = step.github.board.before = [PUSHED, BASE]
    assert ("failure" not in step.read(cause=cause(phases=KILLED))) is succeeds


def test_outcome_is_the_failure() -> None:
    found = Step().read(cause=cause(OUTCOME="TestsFailed", OUTCOME_REASON="exit code 1", RESULT_FENCE="8"))
    assert found["failure"] == {
        "state": "RunBuild",
        "error": "TestsFailed",
        "cause": "exit code 1",
        "redriveCount": 2,
        "owner": "repository",
    }
    assert StateDocument.parse(found).build.fence == 8  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize(
    ("reported", "error", "owner"),
    [
        ({"OUTCOME_ERROR": "SecretPlaceholder", "OUTCOME_OWNER": "installation"}, "SecretPlaceholder", "installation"),
        ({"OUTCOME_ERROR": "WorkItemInvalid", "OUTCOME_OWNER": "card"}, "WorkItemInvalid", "card"),
        ({"OUTCOME_OWNER": "installation"}, "WorkerFailed", "installation"),
        ({}, "WorkerFailed", "service"),
        ({"OUTCOME_ERROR": "Forged", "OUTCOME_OWNER": "forged"}, "WorkerFailed", "service"),
    ],
)
def test_build_names_its_error_and_owner(reported: dict[str, str], error: str, owner: str) -> None:
    reason = f"{error}: it broke" if "OUTCOME_ERROR" in reported else "it broke"
    text = cause(OUTCOME="WorkerFailed", OUTCOME_REASON=reason, **reported)

    failure = Failure.from_dict(Step().read(cause=text)["failure"])

    assert (failure.error, failure.owner) == (error, owner)
    assert (failure.name, owner_of(failure)) == (error, owner)
    assert failure.reason.endswith("it broke")
    # The same if ReadBuildResult failed, so that only the Cause is known.
    raw = Failure("RunBuild", "States.TaskFailed", text)
    assert (raw.name, raw.reason, owner_of(raw)) == (error, failure.reason, owner)


def test_success_without_commit_is_no_success() -> None:
    found = Step().read(cause=cause(phases=KILLED, OUTCOME="Succeeded"))
    assert found["failure"]["error"] == "BuildFailed"


def test_death_is_explained_with_owner() -> None:
    failure = Failure.from_dict(Step().read(cause=cause(phases=KILLED))["failure"])
    assert (failure.name, failure.owner) == ("BuildFailed", "repository")
    assert "out of memory" in failure.reason
    assert "checkpoint" not in failure.reason


PULL = [
    {
        "PhaseType": "PROVISIONING",
        "PhaseStatus": "FAILED",
        "Contexts": [
            {"StatusCode": "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE", "Message": "Unable to pull image: not found"}
        ],
    }
]
ROLE = [PULL[0] | {"Contexts": [{"StatusCode": "CLIENT_ERROR", "Message": "CodeBuild is not authorized to perform x"}]}]


@pytest.mark.parametrize(
    ("by_repository", "phases", "owner"),
    [(True, PULL, "repository"), (False, PULL, "installation"), (True, ROLE, "installation")],
)
def test_machine_that_file_chose_is_left_to_repository(by_repository: bool, phases: Any, owner: str) -> None:
    step = Step()
    machine = {"image": "acme/ci:1", "computeType": "BUILD_GENERAL1_SMALL", "timeoutMinutes": 5}
    step.work["build"] = machine | ({"byRepository": True} if by_repository else {})

    failure = Failure.from_dict(step.read(cause=cause(phases=phases))["failure"])

    assert (failure.name, failure.owner) == ("BuildFailed", owner)
    assert ('correct "build" in .kiro-worker.yml' in failure.reason) is (owner == "repository")


@pytest.mark.parametrize(
    ("commit", "execution", "named"), [(PUSHED, ARN, True), (PUSHED, "arn:other", False), (BASE, ARN, False)]
)
def test_checkpoint_is_named_only_if_known(commit: str, execution: str, named: bool) -> None:
    step = Step()
    note_checkpoint(step.records, "acme/shop", "feature/x", CheckpointRecord(KeptWork(commit, BASE), None, execution))
    reason = step.read(cause=cause(phases=KILLED))["failure"]["cause"]
    assert ("the finished tasks that are on the checkpoint" in reason) is named


def test_fault_is_repeated_once_per_commit() -> None:
    step = Step()
    first = step.read(cause=cause("FAULT"))
    assert (first["repeat"], "failure" in first) == (True, False)
    assert step.read(cause=cause("FAULT"))["repeat"] is True, "a retried function answers differently"
    second = step.read(cause=cause("FAULT", build_id="b:2"))
    assert (second["repeat"], second["failure"]["error"]) == (False, "BuildFaulted")
    step.work["commit"] = LATER
    assert step.read(cause=cause("FAULT", build_id="b:3"))["repeat"] is True


def test_lost_start_of_repetition_is_not_a_fault() -> None:
    """The first build has the same execution and fence as its repetition."""
    step = Step(codebuild=CodeBuild({"b:1": "FAULT"}))
    first = step.read(cause=cause("FAULT"))
    assert first["repeat"] is True
    lost = step.read("CodeBuild.SdkClientException", "reset", **first)
    assert (lost["failure"]["error"], lost["build"]["id"]) == ("BuildNotStarted", "")
    step.codebuild.statuses["b:2"] = "FAULT"
    started = step.read("CodeBuild.SdkClientException", "reset", **first)
    assert (started["failure"]["error"], started["build"]["id"]) == ("BuildFaulted", "b:2")


@pytest.mark.parametrize("outcome", ["TestsFailed", "AgentFailed"])
def test_fault_after_outcome_is_not_repeated(outcome: str) -> None:
    """The agent has run and was paid for."""
    found = Step().read(cause=cause("FAULT", OUTCOME=outcome))
    assert (found["repeat"], found["failure"]["error"]) == (False, outcome)


@pytest.mark.parametrize("build_id", ["b:1", ""])
def test_build_has_all_keys(build_id: str) -> None:
    found = Step().read(cause=cause(build_id=build_id)) if build_id else Step().read("States.Timeout")
    assert set(found["build"]) == {"id", "arn", "log", "status", "phase", "message", "variables"}
    json.dumps(found)
