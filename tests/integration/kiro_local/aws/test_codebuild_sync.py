from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kiro_local.aws.server import EmbeddedAws

SYNC = "arn:aws:states:::codebuild:startBuild.sync"
GOOD = "version: 0.2\nenv: {exported-variables: [OUTCOME]}\nphases: {build: {commands: ['export OUTCOME=$WISH']}}"
BAD = (
    "version: 0.2\nenv: {exported-variables: [OUTCOME]}\nphases: {build: {commands: ['export OUTCOME=lost', 'false']}}"
)
LONG = "version: 0.2\nphases: {build: {commands: ['sleep 600']}}"


def task(project: str, **fields: Any) -> dict[str, Any]:
    return {
        "Build": {
            "Type": "Task",
            "Resource": SYNC,
            "Arguments": {
                "ProjectName": project,
                "EnvironmentVariablesOverride": [
                    {"Name": "WISH", "Value": "{% $states.input.wish %}", "Type": "PLAINTEXT"}
                ],
                "IdempotencyToken": "{% $states.context.Execution.RedriveCount & $states.context.Execution.Name %}",
            },
            "End": True,
            **fields,
        }
    }


def test_task_returns_the_finished_build(
    project: Callable[..., str], machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    name = project(GOOD)
    execution = run(machine(task(name)), {"wish": 'a "quoted" wish'})
    build = execution.output()["Build"]
    assert build["BuildStatus"] == "SUCCEEDED"
    assert build["ExportedEnvironmentVariables"] == [{"Name": "OUTCOME", "Value": 'a "quoted" wish'}]
    assert build["Id"].startswith("builder:")
    assert build["Arn"].endswith(build["Id"])
    assert build["Logs"]["DeepLink"]
    assert {"PhaseType", "PhaseStatus", "StartTime"} <= set(build["Phases"][0])
    assert isinstance(build["StartTime"], int)
    assert [kind for kind in execution.event_types() if kind.startswith("Task")] == [
        "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded", "TaskStateExited",
    ]  # fmt: skip


MACHINE = {
    "ImageOverride": "{% $states.input.build.image %}",
    "ComputeTypeOverride": "{% $states.input.build.computeType %}",
    "TimeoutInMinutesOverride": "{% $states.input.build.timeoutMinutes %}",
}


def on_machine(project: str) -> dict[str, Any]:
    states = task(project, TimeoutSeconds="{% $states.input.build.timeoutMinutes * 60 %}")
    states["Build"]["Arguments"] |= MACHINE
    return states


def test_task_chooses_machine_of_build(
    project: Callable[..., str], machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    chosen = {"image": "acme/ci:1", "computeType": "BUILD_GENERAL1_2XLARGE", "timeoutMinutes": 45}
    build = run(machine(on_machine(project(GOOD))), {"wish": "x", "build": chosen}).output()["Build"]
    shown = (build["Environment"]["Image"], build["Environment"]["ComputeType"], build["TimeoutInMinutes"])
    assert shown == tuple(chosen.values())


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"computeType": "MEDIUM"}, "CodeBuild.InvalidInputException"), ({"image": None}, "States.QueryEvaluationError")],
    ids=["unknown size", "undefined image"],
)
def test_impossible_machine_fails_task(
    project: Callable[..., str],
    machine: Callable[..., str],
    run: Callable[..., Any],
    changes: dict[str, Any],
    error: str,
) -> None:
    chosen = {"image": "acme/ci:1", "computeType": "BUILD_GENERAL1_SMALL", "timeoutMinutes": 45} | changes
    document = {"wish": "x", "build": {key: value for key, value in chosen.items() if value is not None}}
    described = run(machine(on_machine(project(GOOD))), document).ended()
    assert (described["status"], described["error"]) == ("FAILED", error)


def test_failed_build_fails_task_with_cause(
    project: Callable[..., str], machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    execution = run(machine(task(project(BAD))), {"wish": "x"})
    described = execution.ended()
    assert described["status"] == "FAILED"
    assert described["error"] == "States.TaskFailed"
    build = json.loads(described["cause"])["Build"]
    assert build["BuildStatus"] == "FAILED"
    assert build["ExportedEnvironmentVariables"] == [{"Name": "OUTCOME", "Value": "lost"}]
    assert "TaskFailed" in execution.event_types()


def test_failed_build_can_be_caught(
    project: Callable[..., str], machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    catch = {
        "ErrorEquals": ["States.TaskFailed"],
        "Output": "{% $parse($states.errorOutput.Cause).Build.ExportedEnvironmentVariables[Name='OUTCOME'].Value %}",
        "Next": "After",
    }
    states = {**task(project(BAD), Catch=[catch]), "After": {"Type": "Succeed"}}
    assert run(machine(states), {"wish": "x"}).output() == "lost"


def test_service_error_has_codebuild_prefix(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    described = run(machine(task("missing")), {"wish": "x"}).ended()
    assert described["error"] == "CodeBuild.ResourceNotFoundException"
    assert "Project cannot be found" in described["cause"]


def test_unknown_argument_fails(
    project: Callable[..., str], machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    states = task(project(GOOD))
    states["Build"]["Arguments"]["ProjectNam"] = "x"
    described = run(machine(states), {"wish": "x"}).ended()
    assert described["error"] == "States.Runtime"
    assert "projectNam" in described["cause"]


@pytest.mark.parametrize("ending", ["stopped", "timed out"])
def test_abandoned_build_is_stopped(
    embedded: EmbeddedAws,
    project: Callable[..., str],
    machine: Callable[..., str],
    run: Callable[..., Any],
    eventually: Callable[..., Any],
    ending: str,
) -> None:
    client = embedded.client("codebuild")
    name = project(LONG)
    execution = run(machine(task(name, **({"TimeoutSeconds": 1} if ending == "timed out" else {}))), {"wish": "x"})
    build_id = eventually(lambda: client.list_builds_for_project(projectName=name)["ids"])[0]
    if ending == "stopped":
        embedded.client("stepfunctions").stop_execution(executionArn=execution.arn)
        assert execution.describe()["status"] == "ABORTED"
    else:
        assert execution.ended()["error"] == "States.Timeout"
    eventually(lambda: client.batch_get_builds(ids=[build_id])["builds"][0]["buildStatus"] == "STOPPED")
    assert "TaskSucceeded" not in execution.event_types()
