from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kiro_worker.local.aws import redrive
from kiro_worker.local.aws.server import EmbeddedAws
from kiro_worker.local.aws.undocumented import Undocumented

INVOKE = "arn:aws:states:::lambda:invoke"
# Fails until its argument says that the execution was redriven often enough.
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


def refused(execution: Any) -> dict[str, str]:
    with pytest.raises(ClientError) as error:
        again(execution)
    return {name: str(value) for name, value in error.value.response["Error"].items()}


@pytest.mark.usefixtures("stubborn")
def test_it_goes_on_from_the_failed_task_with_the_same_document(
    machine: Callable[..., str], run: Callable[..., Any]
) -> None:
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
def test_it_can_be_redriven_again_and_again(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine({"Only": task(until=2)}))
    for _ in range(2):
        assert execution.ended()["status"] == "FAILED"
        again(execution)
    assert execution.output()["count"] == 2


@pytest.mark.usefixtures("stubborn")
def test_retries_count_from_the_beginning(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 2}]
    execution = run(machine({"Only": task(until=9, Retry=retry)}))
    execution.ended()
    again(execution)
    execution.ended()
    assert execution.event_types().count("TaskScheduled") == 6


@pytest.mark.usefixtures("stubborn")
def test_a_caught_task_is_done_and_a_failed_one_after_it_is_not(
    machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    states = {
        "Caught": task(until=9, Catch=[{"ErrorEquals": ["NotYet"], "Output": "caught", "Next": "Raise"}]),
        "Raise": task(),
    }
    execution = run(machine(states))
    execution.ended()
    again(execution)
    assert execution.output()["document"] == "caught"
    assert execution.event_types().count("TaskFailed") == 2


def test_a_fail_state_fails_again(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine({"End": {"Type": "Fail", "Error": "Own", "Cause": "why"}}))
    execution.ended()
    again(execution)
    described = execution.ended()
    assert (described["status"], described["error"], described["redriveCount"]) == ("FAILED", "Own", 1)


def test_a_choice_is_made_again(machine: Callable[..., str], run: Callable[..., Any]) -> None:
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


def test_an_aborted_wait_waits_again(
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


def test_the_machines_timeout_begins_again(machine: Callable[..., str], run: Callable[..., Any]) -> None:
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
def test_it_keeps_the_definition_it_was_started_with(
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
def test_the_same_token_redrives_once(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine({"Only": task(until=9)}))
    execution.ended()
    first = again(execution, clientToken="t")
    execution.ended()
    assert again(execution, clientToken="t")["redriveDate"] == first["redriveDate"]
    assert execution.describe()["redriveCount"] == 1
    again(execution, clientToken="u")
    assert execution.ended()["redriveCount"] == 2


def test_what_cannot_be_redriven(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    succeeded = run(machine({"A": {"Type": "Succeed"}}, name="a"))
    succeeded.ended()
    assert refused(succeeded)["Code"] == "ExecutionNotRedrivable"
    running = run(machine({"A": {"Type": "Wait", "Seconds": 60_000, "End": True}}, name="b"))
    assert "Execution is RUNNING and cannot be redriven" in refused(running)["Message"]
    running.arn = running.arn + "x"
    assert refused(running)["Code"] == "ExecutionDoesNotExist"


def test_after_14_days_it_is_too_late(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

    run(machine({"A": {"Type": "Fail"}}), name="old").ended()
    backend = stepfunctions_parser_backends["123456789012"]["us-east-1"]
    execution = backend.describe_execution("arn:aws:states:us-east-1:123456789012:execution:machine:old")
    days = datetime.timedelta(days=1)
    assert redrive.obstacle(execution, execution.stop_date + 13 * days) is None
    assert redrive.obstacle(execution, execution.stop_date + 15 * days) == "Execution redrivable period exceeded"


def test_executions_are_listed_by_whether_they_were_redriven(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    arn = machine({"A": {"Type": "Fail"}})
    run(arn, name="plain").ended()
    execution = run(arn, name="redriven")
    execution.ended()
    again(execution)
    execution.ended()
    listed = embedded.client("stepfunctions").list_executions(stateMachineArn=arn, redriveFilter="REDRIVEN")[
        "executions"
    ]
    assert [(item["name"], item["redriveCount"], "redriveDate" in item) for item in listed] == [("redriven", 1, True)]


@pytest.mark.parametrize(("stale", "seen"), [(False, [1, 1]), (True, [0, 1])])
def test_whether_the_resumed_state_sees_the_new_count_can_be_chosen(
    deploy_function: Callable[..., str], eventually: Callable[..., Any], stale: bool, seen: list[int]
) -> None:
    once = """
import pathlib
def handler(event, context):
    mark = pathlib.Path.home() / "mark"
    if not mark.exists():
        mark.touch()
        raise ValueError
    return event
"""
    count = "{% $states.context.Execution.RedriveCount %}"
    arguments = {"FunctionName": "once", "Payload": count}
    states = {
        "Task": {
            "Type": "Task",
            "Resource": INVOKE,
            "Arguments": arguments,
            "Output": ["{% $states.result.Payload %}"],
            "Next": "Then",
        },
        "Then": {
            "Type": "Pass",
            "Output": "{% $append($states.input, $states.context.Execution.RedriveCount) %}",
            "End": True,
        },
    }
    with EmbeddedAws(undocumented=Undocumented(redrive_refreshes_context=not stale)) as aws:
        deploy_function(aws, "once", once)
        client = aws.client("stepfunctions")
        definition = json.dumps({"QueryLanguage": "JSONata", "StartAt": "Task", "States": states})
        arn = client.create_state_machine(name="m", definition=definition, roleArn="arn:aws:iam::123456789012:role/any")
        execution = client.start_execution(stateMachineArn=arn["stateMachineArn"])["executionArn"]
        eventually(lambda: client.describe_execution(executionArn=execution)["status"] == "FAILED")
        client.redrive_execution(executionArn=execution)
        eventually(lambda: client.describe_execution(executionArn=execution)["status"] == "SUCCEEDED")
        assert json.loads(client.describe_execution(executionArn=execution)["output"]) == seen
