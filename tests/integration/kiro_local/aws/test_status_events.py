from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kiro_local.aws.server import EmbeddedAws

RECORDER = {"Record": {"Type": "Pass", "End": True}}
ENDINGS: dict[str, dict[str, Any]] = {
    "SUCCEEDED": {"End": {"Type": "Pass", "Output": {"n": 1}, "End": True}},
    "FAILED": {"End": {"Type": "Fail", "Error": "Own", "Cause": "why"}},
    "TIMED_OUT": {"End": {"Type": "Wait", "Seconds": 60_000, "End": True}},
    "ABORTED": {"End": {"Type": "Wait", "Seconds": 60_000, "End": True}},
}


@pytest.fixture
def recorded(embedded: EmbeddedAws, machine: Callable[..., str]) -> Callable[[], list[dict[str, Any]]]:
    """Returns the events that reached a state machine through a rule."""
    recorder = machine(RECORDER, name="recorder")

    def read() -> list[dict[str, Any]]:
        states = embedded.client("stepfunctions")
        listed = states.list_executions(stateMachineArn=recorder)["executions"]
        return [
            json.loads(states.describe_execution(executionArn=item["executionArn"])["input"]) for item in listed[::-1]
        ]

    return read


def watch(aws: EmbeddedAws, pattern: dict[str, Any], **fields: Any) -> None:
    events = aws.client("events")
    events.put_rule(Name="watch", EventPattern=json.dumps(pattern), **fields)
    target = "arn:aws:states:us-east-1:123456789012:stateMachine:recorder"
    events.put_targets(
        Rule="watch", Targets=[{"Id": "1", "Arn": target, "RoleArn": "arn:aws:iam::123456789012:role/any"}]
    )


def pattern(machine_arn: str, *statuses: str) -> dict[str, Any]:
    return {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"stateMachineArn": [machine_arn], "status": list(statuses)},
    }


@pytest.mark.parametrize("status", list(ENDINGS))
def test_every_ending_reaches_matching_rules(
    embedded: EmbeddedAws,
    machine: Callable[..., str],
    run: Callable[..., Any],
    recorded: Callable[[], list[dict[str, Any]]],
    eventually: Callable[..., Any],
    status: str,
) -> None:
    arn = machine(ENDINGS[status], **({"TimeoutSeconds": 1} if status == "TIMED_OUT" else {}))
    watch(embedded, pattern(arn, status))
    execution = run(arn, {"k": "v"}, name="watched")
    if status == "ABORTED":
        execution.states.stop_execution(executionArn=execution.arn, error="Stop", cause="by a person")
    described = execution.ended()
    events = eventually(recorded)
    assert len(events) == 1
    event, detail = events[0], events[0]["detail"]
    assert event["source"] == "aws.states"
    assert event["resources"] == [execution.arn]
    assert detail["executionArn"] == execution.arn
    assert detail["stateMachineArn"] == arn
    assert (detail["name"], detail["status"]) == ("watched", status)
    assert detail["stopDate"] == int(described["stopDate"].timestamp() * 1000)
    assert detail["startDate"] <= detail["stopDate"]
    assert json.loads(detail["input"]) == {"k": "v"}
    assert detail["output"] == ('{"n":1}' if status == "SUCCEEDED" else None)
    assert (detail["error"], detail["cause"]) == (described.get("error"), described.get("cause"))
    assert detail["redriveCount"] == 0
    assert detail["redriveStatus"] == ("NOT_REDRIVABLE" if status == "SUCCEEDED" else "REDRIVABLE")


def test_redrive_sends_running_event(
    embedded: EmbeddedAws,
    machine: Callable[..., str],
    run: Callable[..., Any],
    recorded: Callable[[], list[dict[str, Any]]],
    eventually: Callable[..., Any],
) -> None:
    arn = machine(ENDINGS["FAILED"])
    watch(embedded, pattern(arn, "RUNNING", "FAILED"))
    execution = run(arn)
    execution.ended()
    execution.states.redrive_execution(executionArn=execution.arn)
    execution.ended()
    events = eventually(lambda: found if len(found := recorded()) == 4 else [])
    by_count = {(event["detail"]["status"], event["detail"]["redriveCount"]) for event in events}
    assert by_count == {("RUNNING", 0), ("FAILED", 0), ("RUNNING", 1), ("FAILED", 1)}


def test_only_matching_enabled_rules_deliver(
    embedded: EmbeddedAws,
    machine: Callable[..., str],
    run: Callable[..., Any],
    recorded: Callable[[], list[dict[str, Any]]],
    eventually: Callable[..., Any],
) -> None:
    arn = machine(ENDINGS["FAILED"])
    other = machine(ENDINGS["FAILED"], name="other")
    watch(embedded, pattern(other, "FAILED", "ABORTED"))
    run(arn).ended()
    embedded.client("events").disable_rule(Name="watch")
    run(other).ended()
    embedded.client("events").enable_rule(Name="watch")
    last = run(other, name="last")
    last.ended()
    events = eventually(recorded)
    assert [event["detail"]["name"] for event in events] == ["last"]


def test_missing_target_is_harmless(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    arn = machine(ENDINGS["SUCCEEDED"])
    watch(embedded, pattern(arn, "SUCCEEDED"))
    assert run(arn).output() == {"n": 1}
