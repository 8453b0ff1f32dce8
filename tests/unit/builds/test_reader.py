"""Which build is read, and that a running one is stopped, against CodeBuild's answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kiro_worker.builds.reader import UNANSWERED, BuildReader, RunBuildFailure

ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
PROJECT = "kiro-worker-test"
FIRST, SECOND = f"{PROJECT}:11111111", f"{PROJECT}:22222222"


@dataclass
class CodeBuild:
    """CodeBuild with a few builds, the oldest first. A stopped one ends after ``polls`` more reads."""

    builds: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    polls: float = 1
    refusal: str = ""

    def add(self, build_id: str, status: str = "FAILED", execution: str = ARN, fence: int = 5, **fields: Any) -> None:
        inputs = [{"name": "EXECUTION_ARN", "value": execution}, {"name": "LOCK_FENCE", "value": str(fence)}]
        environment = {"environmentVariables": inputs}
        self.builds[build_id] = {"id": build_id, "buildStatus": status, "environment": environment, **fields}

    def batch_get_builds(self, ids: list[str]) -> dict[str, Any]:
        self.calls.append(f"get {len(ids)}")
        if self.refusal:
            raise ClientError({"Error": {"Code": self.refusal}}, "BatchGetBuilds")
        if "stop" in self.calls:
            self.polls -= 1
            if self.polls <= 0:
                self.builds[ids[0]]["buildStatus"] = "STOPPED"
        return {"builds": [dict(self.builds[build_id]) for build_id in ids if build_id in self.builds]}

    def list_builds_for_project(self, **request: Any) -> dict[str, Any]:
        assert request == {"projectName": PROJECT, "sortOrder": "DESCENDING"}
        self.calls.append("list")
        return {"ids": list(self.builds)[::-1]}

    def stop_build(self, id: str) -> None:  # noqa: A002  # boto3's name
        self.calls.append("stop")


@dataclass
class Clock:
    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def codebuild() -> CodeBuild:
    return CodeBuild()


def read(codebuild: CodeBuild, error: str, cause: str = "", known: str = "", repeated: str = "") -> tuple[str, str]:
    clock = Clock()
    reader = BuildReader(codebuild, PROJECT, clock.sleep, clock)  # type: ignore[arg-type]  # answers the same requests
    build = reader.ended_build(RunBuildFailure(error, cause, ARN, 5, known, repeated))
    return (build.id, build.status) if build else ("", "")


def cause(**fields: Any) -> str:
    return json.dumps({"Build": {"Id": FIRST, "BuildStatus": "FAILED", **fields}})


def test_complete_cause_asks_nothing(codebuild: CodeBuild) -> None:
    exported = [{"Name": "OUTCOME", "Value": "TestsFailed"}]
    assert read(codebuild, "States.TaskFailed", cause(ExportedEnvironmentVariables=exported)) == (FIRST, "FAILED")
    assert codebuild.calls == []


def test_cause_without_variables_is_completed(codebuild: CodeBuild) -> None:
    codebuild.add(FIRST, "TIMED_OUT")
    assert read(codebuild, "States.TaskFailed", cause()) == (FIRST, "TIMED_OUT")


def test_cause_is_enough_if_codebuild_refuses(codebuild: CodeBuild) -> None:
    codebuild.refusal = "AccessDeniedException"
    assert read(codebuild, "States.TaskFailed", cause()) == (FIRST, "FAILED")


def test_cause_is_not_enough_if_codebuild_may_answer_later(codebuild: CodeBuild) -> None:
    codebuild.refusal = "ThrottlingException"
    with pytest.raises(ClientError):
        read(codebuild, "States.TaskFailed", cause())


@pytest.mark.parametrize(
    "key", ['{"Build":{"Arn":"arn:aws:codebuild:us-east-1:123456789012:build/%s","Bu', '{"Id": "%s",']
)
def test_truncated_cause_names_build(codebuild: CodeBuild, key: str) -> None:
    codebuild.add(FIRST)
    codebuild.add(SECOND)
    assert read(codebuild, "States.TaskFailed", key % FIRST) == (FIRST, "FAILED")


@pytest.mark.parametrize("error", ["States.Timeout", "CodeBuild.SdkClientException", "States.TaskFailed"])
def test_lock_names_build(codebuild: CodeBuild, error: str) -> None:
    codebuild.add(FIRST)
    codebuild.add(SECOND, execution="another")
    assert read(codebuild, error, known=FIRST) == (FIRST, "FAILED")
    assert "list" not in codebuild.calls


def test_newest_build_of_attempt_is_found(codebuild: CodeBuild) -> None:
    codebuild.add("x:1", fence=5)
    codebuild.add(FIRST, fence=5)
    codebuild.add(SECOND, fence=4)
    codebuild.add("x:2", execution="another")
    assert read(codebuild, "States.Timeout") == (FIRST, "FAILED")
    assert read(CodeBuild(), "States.Timeout") == ("", "")


@pytest.mark.parametrize("error", sorted(UNANSWERED))
@pytest.mark.parametrize("known", [FIRST, ""], ids=["lock names it", "lock names none"])
def test_repeated_build_is_not_the_repetition(codebuild: CodeBuild, error: str, known: str) -> None:
    codebuild.add("x:1")
    codebuild.add(FIRST, "FAULT")
    assert read(codebuild, error, known=known, repeated=FIRST) == ("", "")
    codebuild.add(SECOND)
    assert read(codebuild, error, known=known, repeated=FIRST) == (SECOND, "FAILED")


def test_lock_names_repetition(codebuild: CodeBuild) -> None:
    codebuild.add(FIRST, "FAULT")
    codebuild.add(SECOND)
    assert read(codebuild, "States.Timeout", known=SECOND, repeated=FIRST) == (SECOND, "FAILED")
    assert "list" not in codebuild.calls


@pytest.mark.parametrize("error", ["CodeBuild.AccountLimitExceededException", "States.Permissions"])
def test_refused_start_has_no_build(codebuild: CodeBuild, error: str) -> None:
    """The build of an earlier attempt must not explain a start that CodeBuild rejected."""
    codebuild.add(FIRST)
    assert read(codebuild, error, known=FIRST) == ("", "")
    assert codebuild.calls == []


def test_running_build_is_stopped(codebuild: CodeBuild) -> None:
    codebuild.add(FIRST, "IN_PROGRESS")
    codebuild.polls = 3
    assert read(codebuild, "States.Timeout", known=FIRST) == (FIRST, "STOPPED")
    assert codebuild.calls.count("stop") == 1


def test_build_that_does_not_stop_ends_wait(codebuild: CodeBuild) -> None:
    codebuild.add(FIRST, "IN_PROGRESS")
    codebuild.polls = float("inf")
    assert read(codebuild, "States.Timeout", known=FIRST) == (FIRST, "IN_PROGRESS")
