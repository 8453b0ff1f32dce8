"""Tests each switch for undocumented behavior with both values."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kiro_local.aws.server import EmbeddedAws
from kiro_local.aws.undocumented import ASSUMED, Undocumented

ROLE = "arn:aws:iam::123456789012:role/any"
# Fails once, then returns its event.
ONCE = """
import pathlib
def handler(event, context):
    mark = pathlib.Path.home() / "mark"
    if not mark.exists():
        mark.touch()
        raise ValueError
    return event
"""
COUNT = "$states.context.Execution.RedriveCount"
LONG = "version: 0.2\nphases: {build: {commands: ['sleep 600']}}"
BAD = """
version: 0.2
env: {exported-variables: [OUTCOME]}
phases:
  build: {commands: ['false']}
  post_build: {commands: ['export OUTCOME=lost']}
"""
SYNC = "arn:aws:states:::codebuild:startBuild.sync"


@contextmanager
def started(
    undocumented: Undocumented, states: dict[str, Any], prepare: Callable[[EmbeddedAws], None], **fields: Any
) -> Iterator[tuple[EmbeddedAws, str]]:
    """An embedded AWS with these switches, and the ARN of an execution of ``states`` in it."""
    with EmbeddedAws(undocumented=undocumented, pause_scale=0.01) as aws:
        prepare(aws)
        client = aws.client("stepfunctions")
        definition = json.dumps({"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **fields})
        machine = client.create_state_machine(name="m", definition=definition, roleArn=ROLE)["stateMachineArn"]
        yield aws, client.start_execution(stateMachineArn=machine)["executionArn"]


def switched(name: str, value: Any) -> Undocumented:
    fields: dict[str, Any] = {name: value}
    return dataclasses.replace(ASSUMED, **fields)


def ended(aws: EmbeddedAws, arn: str, eventually: Callable[..., Any]) -> dict[str, Any]:
    client = aws.client("stepfunctions")
    eventually(lambda: client.describe_execution(executionArn=arn)["status"] != "RUNNING")
    return dict(client.describe_execution(executionArn=arn))


@pytest.mark.parametrize(
    ("undocumented", "expected"),
    [
        (ASSUMED, {"arguments": 1, "resumed": 1, "variable": "kept", "next": 1}),
        (
            Undocumented(redrive_evaluates_arguments=False),
            {"arguments": 0, "resumed": 1, "variable": "kept", "next": 1},
        ),
        (Undocumented(redrive_refreshes_context=False), {"arguments": 0, "resumed": 0, "variable": "kept", "next": 1}),
        (Undocumented(redrive_keeps_variables=False), {"arguments": 1, "resumed": 1, "variable": "gone", "next": 1}),
    ],
    ids=["assumed", "stale arguments", "stale context", "no variables"],
)
def test_view_of_resumed_state(
    deploy_function: Callable[..., str],
    eventually: Callable[..., Any],
    undocumented: Undocumented,
    expected: dict[str, Any],
) -> None:
    output = {
        "arguments": "{% $states.result.Payload %}",
        "resumed": f"{{% {COUNT} %}}",
        "variable": "{% $exists($kept) ? $kept : 'gone' %}",
    }
    states = {
        "First": {"Type": "Pass", "Assign": {"kept": "kept"}, "Next": "Task"},
        "Task": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": "once", "Payload": f"{{% {COUNT} %}}"},
            "Output": output,
            "Next": "Then",
        },
        "Then": {"Type": "Pass", "Output": f"{{% $merge([$states.input, {{'next': {COUNT}}}]) %}}", "End": True},
    }
    with started(undocumented, states, lambda aws: _once(aws, deploy_function)) as (aws, arn):
        assert ended(aws, arn, eventually)["status"] == "FAILED"
        aws.client("stepfunctions").redrive_execution(executionArn=arn)
        described = ended(aws, arn, eventually)
        assert described["status"] == "SUCCEEDED", described
        assert json.loads(described["output"]) == expected


def _once(aws: EmbeddedAws, deploy_function: Callable[..., str]) -> None:
    deploy_function(aws, "once", ONCE)


@pytest.mark.parametrize("stops", [True, False])
@pytest.mark.parametrize("ending", ["abort", "state_timeout", "machine_timeout"])
def test_abandoned_build_stops_or_runs_on(
    deploy_project: Callable[..., str], eventually: Callable[..., Any], ending: str, stops: bool
) -> None:
    undocumented = switched(f"{ending}_stops_build", stops)
    state: dict[str, Any] = {"Type": "Task", "Resource": SYNC, "Arguments": {"ProjectName": "builder"}, "End": True}
    if ending == "state_timeout":
        state["TimeoutSeconds"] = 1
    limit = {"TimeoutSeconds": 1} if ending == "machine_timeout" else {}
    with started(undocumented, {"Build": state}, lambda aws: _project(aws, deploy_project, LONG), **limit) as (
        aws,
        arn,
    ):
        client = aws.client("codebuild")
        build_id = eventually(lambda: client.list_builds_for_project(projectName="builder")["ids"])[0]
        if ending == "abort":
            aws.client("stepfunctions").stop_execution(executionArn=arn)
        ended(aws, arn, eventually)

        def status() -> str:
            return str(client.batch_get_builds(ids=[build_id])["builds"][0]["buildStatus"])

        if stops:
            eventually(lambda: status() == "STOPPED")
        else:  # once the Task's thread has ended, nothing is left to stop the build
            eventually(lambda: not _threads_of_state("Build"))
            assert status() == "IN_PROGRESS"


@pytest.mark.parametrize(
    ("undocumented", "builds"),
    [(ASSUMED, 2), (Undocumented(redrive_evaluates_arguments=False), 1)],
    ids=["assumed", "stale arguments"],
)
def test_redriven_abort_waits_for_new_or_old_build(
    deploy_project: Callable[..., str], eventually: Callable[..., Any], undocumented: Undocumented, builds: int
) -> None:
    token = f"{{% 'token-' & {COUNT} %}}"
    arguments = {"ProjectName": "builder", "IdempotencyToken": token}
    state = {"Type": "Task", "Resource": SYNC, "Arguments": arguments, "End": True}
    with started(undocumented, {"Build": state}, lambda aws: _project(aws, deploy_project, LONG)) as (aws, arn):
        codebuild, states = aws.client("codebuild"), aws.client("stepfunctions")

        def found() -> list[str]:
            return list(codebuild.list_builds_for_project(projectName="builder")["ids"])

        eventually(found)
        states.stop_execution(executionArn=arn)
        eventually(lambda: codebuild.batch_get_builds(ids=found())["builds"][0]["buildStatus"] == "STOPPED")
        states.redrive_execution(executionArn=arn)
        if builds == 1:  # the same token returns the stopped build for five minutes
            described = ended(aws, arn, eventually)
            assert json.loads(described["cause"])["Build"]["BuildStatus"] == "STOPPED"
        eventually(lambda: len(found()) == builds)


def _project(aws: EmbeddedAws, deploy_project: Callable[..., str], buildspec: str) -> None:
    deploy_project(aws, buildspec)


def _threads_of_state(name: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == f"state-{name}"]


@pytest.mark.parametrize(
    ("undocumented", "error", "exported"),
    [
        (ASSUMED, "States.TaskFailed", [{"Name": "OUTCOME", "Value": "lost"}]),
        (Undocumented(failed_build_exports_variables=False), "States.TaskFailed", []),
        (Undocumented(failed_build_error="CodeBuild.BuildFailed"), "CodeBuild.BuildFailed", None),
    ],
    ids=["assumed", "no variables", "another name"],
)
def test_error_and_cause_of_failed_build(
    deploy_project: Callable[..., str],
    eventually: Callable[..., Any],
    undocumented: Undocumented,
    error: str,
    exported: list[dict[str, str]] | None,
) -> None:
    state = {"Type": "Task", "Resource": SYNC, "Arguments": {"ProjectName": "builder"}, "End": True}
    with started(undocumented, {"Build": state}, lambda aws: _project(aws, deploy_project, BAD)) as (aws, arn):
        described = ended(aws, arn, eventually)
        assert described["error"] == error
        if exported is not None:
            assert json.loads(described["cause"])["Build"]["ExportedEnvironmentVariables"] == exported
