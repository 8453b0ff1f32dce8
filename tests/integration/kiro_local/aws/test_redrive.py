from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kiro_local.aws.server import EmbeddedAws

INVOKE = "arn:aws:states:::lambda:invoke"
# Fails until the execution has been redriven ``until`` times.
STUBBORN = """
class NotYet(Exception): pass
def handler(event, context):
    if event["count"] < event["until"]:
        raise NotYet(event["count"])
    return event
"""


def task(until: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": INVOKE,
        "Arguments": {
            "FunctionName": "stubborn",
            "Payload": {
                "count": "{% $states.context.Execution.RedriveCount %}",
                "until": until,
                "document": "{% $states.input %}",
                "hasTime": "{% $exists($states.context.Execution.RedriveTime) %}",
            },
        },
        "Output": "{% $states.result.Payload %}",
        "End": True,
        **fields,
    }


@pytest.fixture
def stubborn(function: Callable[..., str]) -> str:
    return function("stubborn", STUBBORN)


def again(execution: Any, **fields: Any) -> dict[str, Any]:
    return dict(execution.states.redrive_execution(executionArn=execution.arn, **fields))


@pytest.mark.usefixtures("stubborn")
def test_redrive_continues_from_failed_task(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    states = {
        "First": {"Type": "Pass", "Output": {"from": "first", "given": "{% $states.input %}"}, "Next": "Second"},
        "Second": task(),
    }
    execution = run(machine(states), {"a": 1}, name="kept")
    before = execution.ended()
    assert (before["status"], before["error"], before["redriveCount"]) == ("FAILED", "NotYet", 0)
    assert (before["redriveStatus"], "redriveDate" in before) == ("REDRIVABLE", False)
    history_before = execution.history()
    answer = again(execution)
    output = execution.output()
    after = execution.describe()
    assert output == {"count": 1, "until": 1, "document": {"from": "first", "given": {"a": 1}}, "hasTime": True}
    assert (after["executionArn"], after["name"], after["startDate"]) == (execution.arn, "kept", before["startDate"])
    assert after["stopDate"] > before["stopDate"]
    assert (after["redriveCount"], after["redriveDate"]) == (1, answer["redriveDate"])
    assert (after["redriveStatus"], after["redriveStatusReason"]) == (
        "NOT_REDRIVABLE",
        "Execution is SUCCEEDED and cannot be redriven",
    )
    assert "error" not in after
    history = execution.history()
    assert history[: len(history_before)] == history_before
    new = history[len(history_before) :]
    assert [event["type"] for event in new] == [
        "ExecutionRedriven", "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited", "ExecutionSucceeded",
    ]  # fmt: skip
    assert new[0]["executionRedrivenEventDetails"] == {"redriveCount": 1}
    assert [event["id"] for event in history] == list(range(1, len(history) + 1))
    assert [event["timestamp"] for event in history] == sorted(event["timestamp"] for event in history)


@pytest.mark.usefixtures("stubborn")
def test_redrive_can_be_repeated(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine({"Only": task(until=2)}))
    for _ in range(2):
        assert execution.ended()["status"] == "FAILED"
        again(execution)
    assert execution.output()["count"] == 2


@pytest.mark.usefixtures("stubborn")
def test_retries_start_over(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 2}]
    execution = run(machine({"Only": task(until=9, Retry=retry)}))
    execution.ended()
    again(execution)
    execution.ended()
    assert execution.event_types().count("TaskScheduled") == 6


@pytest.mark.usefixtures("stubborn")
def test_caught_task_is_not_repeated(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    states = {
        "Caught": task(until=9, Catch=[{"ErrorEquals": ["NotYet"], "Output": "caught", "Next": "Raise"}]),
        "Raise": task(),
    }
    execution = run(machine(states))
    execution.ended()
    again(execution)
    assert execution.output()["document"] == "caught"
    assert execution.event_types().count("TaskFailed") == 2


def test_fail_state_fails_again(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine({"End": {"Type": "Fail", "Error": "Own", "Cause": "why"}}))
    execution.ended()
    again(execution)
    described = execution.ended()
    assert (described["status"], described["error"], described["redriveCount"]) == ("FAILED", "Own", 1)


def test_choice_is_evaluated_again(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    states = {
        "Choose": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.context.Execution.RedriveCount > 0 ? true : 1 %}", "Next": "Good"}],
            "Default": "Good",
        },
        "Good": {"Type": "Pass", "Output": "good", "End": True},
    }
    execution = run(machine(states))
    assert execution.ended()["error"] == "States.QueryEvaluationError"
    again(execution)
    assert execution.output() == "good"


def test_aborted_wait_waits_again(
    machine: Callable[..., str], run: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    execution = run(machine({"Wait": {"Type": "Wait", "Seconds": 60_000, "End": True}}))
    eventually(lambda: execution.entered("Wait"))
    execution.states.stop_execution(executionArn=execution.arn)
    again(execution)
    described = execution.describe()
    assert (described["status"], described["redriveCount"]) == ("RUNNING", 1)
    assert "stopDate" not in described
    assert (described["redriveStatus"], described["redriveStatusReason"]) == (
        "NOT_REDRIVABLE",
        "Execution is RUNNING and cannot be redriven",
    )


def test_machine_timeout_starts_over(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    states = {
        "Wait": {
            "Type": "Wait",
            "Seconds": "{% $states.context.Execution.RedriveCount = 0 ? 60000 : 50 %}",
            "End": True,
        }
    }
    execution = run(machine(states, TimeoutSeconds=1))
    assert execution.ended()["status"] == "TIMED_OUT"
    again(execution)
    assert execution.ended()["status"] == "SUCCEEDED"


@pytest.mark.usefixtures("stubborn")
def test_definition_is_the_original_one(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    arn = machine({"Only": task()})
    execution = run(arn)
    execution.ended()
    corrected = {"QueryLanguage": "JSONata", "StartAt": "New", "States": {"New": {"Type": "Succeed"}}}
    embedded.client("stepfunctions").update_state_machine(stateMachineArn=arn, definition=json.dumps(corrected))
    again(execution)
    assert execution.output()["count"] == 1


@pytest.mark.usefixtures("stubborn")
def test_exited_pass_is_not_repeated(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    states = {"Pass": {"Type": "Pass", "Output": "{% $uuid() %}", "Next": "Task"}, "Task": task()}
    execution = run(machine(states))
    execution.ended()
    passed = [e["stateExitedEventDetails"]["output"] for e in execution.history() if e["type"] == "PassStateExited"]
    again(execution)
    assert json.dumps(execution.output()["document"]) == passed[0]
    assert execution.event_types().count("PassStateEntered") == 1


def test_wait_for_past_timestamp_ends(
    eventually: Callable[..., Any],
) -> None:
    with EmbeddedAws() as aws:
        client = aws.client("stepfunctions")
        states = {
            "Wait": {"Type": "Wait", "Timestamp": "{% $states.input %}", "Next": "End"},
            "End": {"Type": "Succeed"},
        }
        definition = json.dumps({"QueryLanguage": "JSONata", "StartAt": "Wait", "States": states})
        machine = client.create_state_machine(
            name="m", definition=definition, roleArn="arn:aws:iam::123456789012:role/r"
        )
        when = datetime.now(UTC) + timedelta(seconds=3)
        started = client.start_execution(
            stateMachineArn=machine["stateMachineArn"], input=json.dumps(f"{when:%Y-%m-%dT%H:%M:%SZ}")
        )
        arn = started["executionArn"]
        client.stop_execution(executionArn=arn)
        assert client.describe_execution(executionArn=arn)["status"] == "ABORTED"
        eventually(lambda: datetime.now(UTC) > when)
        client.redrive_execution(executionArn=arn)
        before = time.monotonic()
        eventually(lambda: client.describe_execution(executionArn=arn)["status"] == "SUCCEEDED")
        assert time.monotonic() - before < 3  # a wait that starts over takes another three seconds


def test_state_timeout_starts_over(
    machine: Callable[..., str], run: Callable[..., Any], function: Callable[..., str]
) -> None:
    function("slow", "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'done'")
    seconds = "{% $states.context.Execution.RedriveCount = 0 ? 30 : 0 %}"
    state = {**task(TimeoutSeconds=2), "Arguments": {"FunctionName": "slow", "Payload": seconds}}
    execution = run(machine({"Slow": state}))
    assert execution.ended()["error"] == "States.Timeout"
    again(execution)
    assert execution.output() == "done"


@pytest.mark.usefixtures("stubborn")
def test_nested_execution_is_a_new_one(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    count = "{% $states.input %}"
    child_task = task()
    child_task["Arguments"]["Payload"]["count"] = count
    child = machine({"Child": child_task}, name="child")
    arguments = {"StateMachineArn": child, "Input": "{% $states.context.Execution.RedriveCount %}"}
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Arguments": arguments,
        "Output": "{% $states.result.Output.count %}",
        "End": True,
    }
    execution = run(machine({"Nested": nested}, name="parent"))
    assert execution.ended()["status"] == "FAILED"
    again(execution)
    assert execution.output() == 1
    children = embedded.client("stepfunctions").list_executions(stateMachineArn=child)["executions"]
    assert sorted(item["status"] for item in children) == ["FAILED", "SUCCEEDED"]


def test_abandoned_task_does_not_disturb_redrive(
    machine: Callable[..., str], run: Callable[..., Any], function: Callable[..., str], eventually: Callable[..., Any]
) -> None:
    function("slow", "import time\ndef handler(event, context):\n    time.sleep(event)\n    return event")
    seconds = "{% $states.context.Execution.RedriveCount = 0 ? 1 : 2 %}"
    state = {**task(), "Arguments": {"FunctionName": "slow", "Payload": seconds}}
    execution = run(machine({"Slow": state}))
    eventually(lambda: "TaskStarted" in execution.event_types())
    execution.states.stop_execution(executionArn=execution.arn)
    again(execution)
    assert execution.output() == 2
    assert execution.event_types().count("TaskSucceeded") == 1
