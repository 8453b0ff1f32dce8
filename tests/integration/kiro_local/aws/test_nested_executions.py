"""A state machine that starts executions, of another state machine and of itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kiro_local.aws.server import EmbeddedAws
from kiro_local.aws.step_fault import Means, Moment, StepFault

WAITING = {"Wait": {"Type": "Wait", "Seconds": 60_000, "End": True}}
ENDING = {"End": {"Type": "Succeed"}}
EXISTS = "StepFunctions.ExecutionAlreadyExistsException"


def starting(target: str, name: str = "once", document: Any = None) -> dict[str, Any]:
    """A state machine that starts ``target`` and ends without waiting for it, or with the error that it received."""
    return {
        "Start": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution",
            "Arguments": {"StateMachineArn": target, "Name": name, "Input": {"a": 1} if document is None else document},
            "Output": "{% $states.result %}",
            "Catch": [{"ErrorEquals": [EXISTS], "Output": "{% $states.errorOutput %}", "Next": "Refused"}],
            "Next": "Started",
        },
        "Started": {"Type": "Succeed"},
        "Refused": {"Type": "Succeed"},
    }


def executions_of(embedded: EmbeddedAws, machine_arn: str) -> list[dict[str, Any]]:
    return list(embedded.client("stepfunctions").list_executions(stateMachineArn=machine_arn)["executions"])


def test_start_does_not_wait(embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]) -> None:
    child = machine(WAITING, name="child")
    execution = run(machine(starting(child), name="parent"))
    output = execution.output()
    assert output.keys() == {"ExecutionArn", "StartDate"}
    described = embedded.client("stepfunctions").describe_execution(executionArn=output["ExecutionArn"])
    assert (described["name"], described["status"], described["input"]) == ("once", "RUNNING", '{"a":1}')
    assert output["StartDate"] == int(described["startDate"].timestamp() * 1000)
    assert execution.entered("Started")


def test_running_execution_with_same_input_is_returned(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    child = machine(WAITING, name="child")
    parent = machine(starting(child), name="parent")
    first, second = run(parent).output(), run(parent).output()
    assert first == second
    assert len(executions_of(embedded, child)) == 1


@pytest.mark.parametrize("child_ends", [True, False], ids=["ended", "other input"])
def test_taken_name_is_an_error_that_can_be_caught(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any], child_ends: bool
) -> None:
    child = machine(ENDING if child_ends else WAITING, name="child")
    first = run(child, {"a": 1}, name="once")
    if child_ends:
        first.output()
    refused = run(machine(starting(child, document={"a": 1} if child_ends else {"a": 2}), name="parent"))
    output = refused.output()
    assert refused.entered("Refused")
    assert output["Error"] == EXISTS
    assert output["Cause"].startswith(f"Execution Already Exists: '{first.arn}' (Service: AWSStepFunctions; ")
    assert "Status Code: 400; Error Code: ExecutionAlreadyExists" in output["Cause"]
    assert len(executions_of(embedded, child)) == 1


def test_redriven_execution_keeps_its_name(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    """A redriven execution runs again, and one that has ended keeps its name for 90 days."""
    arn = machine(WAITING)
    states = embedded.client("stepfunctions")
    first = run(arn, {"a": 1}, name="once")
    states.stop_execution(executionArn=first.arn)
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        run(arn, {"a": 1}, name="once")
    states.redrive_execution(executionArn=first.arn)
    assert run(arn, {"a": 1}, name="once").arn == first.arn


def test_machine_starts_itself(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    target = "{% $states.context.StateMachine.Id %}"
    choice = {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $states.input.left > 0 %}", "Next": "Start"}],
        "Default": "Refused",
    }
    name = "{% 'chain-' & $hash($states.context.Execution.Id, 'SHA-256') %}"
    states = starting(target, name, {"left": "{% $states.input.left - 1 %}"})
    arn = machine({"Left": choice, **states})
    run(arn, {"left": 3}).output()
    eventually(lambda: len(executions_of(embedded, arn)) == 4)
    eventually(lambda: {item["status"] for item in executions_of(embedded, arn)} == {"SUCCEEDED"})
    inputs = [
        json.loads(embedded.client("stepfunctions").describe_execution(executionArn=item["executionArn"])["input"])
        for item in executions_of(embedded, arn)
    ]
    assert sorted(document["left"] for document in inputs) == [0, 1, 2, 3]


@pytest.mark.parametrize(("moment", "started"), [(Moment.BEFORE, 0), (Moment.AFTER, 1), (Moment.LATE, 0)])
def test_start_fails_before_or_after_its_work(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any], moment: Moment, started: int
) -> None:
    child = machine(WAITING, name="child")
    parent = machine(starting(child), name="parent")
    embedded.faults.add(StepFault("parent", "Start", Means.ERROR, moment, EXISTS))
    assert run(parent).output()["Error"] == EXISTS
    assert len(executions_of(embedded, child)) == started
    embedded.faults.do_late()
    assert len(executions_of(embedded, child)) == (moment is not Moment.BEFORE)


@pytest.mark.parametrize("means", [Means.ABORT, Means.TIME_OUT])
@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
def test_execution_ends_around_its_start_of_another(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any], means: Means, moment: Moment
) -> None:
    child = machine(WAITING, name="child")
    parent = machine(starting(child), name="parent")
    embedded.faults.add(StepFault("parent", "Start", means, moment))
    execution = run(parent)
    assert execution.ended()["status"] == ("ABORTED" if means is Means.ABORT else "TIMED_OUT")
    assert not execution.entered("Started")
    assert len(executions_of(embedded, child)) == (moment is Moment.AFTER)
