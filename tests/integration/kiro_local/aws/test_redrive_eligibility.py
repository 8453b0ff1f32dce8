from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from kiro_local.aws import redrive
from kiro_local.aws.executions import LocalExecution
from kiro_local.aws.server import EmbeddedAws

FAIL = {"End": {"Type": "Fail", "Error": "E"}}
WAIT = {"Wait": {"Type": "Wait", "Seconds": 60_000, "End": True}}
DAY = datetime.timedelta(days=1)


def again(execution: Any, **fields: Any) -> dict[str, Any]:
    return dict(execution.states.redrive_execution(executionArn=execution.arn, **fields))


def refused(execution: Any, **fields: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        again(execution, **fields)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def record_of(execution: Any) -> LocalExecution:
    """The embedded AWS's own object for an execution, whose dates a test can move into the past."""
    backend = stepfunctions_parser_backends["123456789012"]["us-east-1"]
    record: LocalExecution = backend.describe_execution(execution.arn)
    return record


def assert_not_redrivable(execution: Any, reason: str) -> None:
    """Assert that DescribeExecution and RedriveExecution refuse the redrive for ``reason``."""
    described = execution.describe()
    assert (described["redriveStatus"], described["redriveStatusReason"]) == ("NOT_REDRIVABLE", reason)
    code, message = refused(execution)
    assert code == "ExecutionNotRedrivable"
    assert reason in message
    assert execution.describe()["redriveCount"] == 0


def test_succeeded_execution_is_refused(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine({"End": {"Type": "Succeed"}}))
    execution.ended()
    assert_not_redrivable(execution, "Execution is SUCCEEDED and cannot be redriven")


def test_running_execution_is_refused(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    assert_not_redrivable(run(machine(WAIT)), "Execution is RUNNING and cannot be redriven")


@pytest.mark.parametrize(("days", "status"), [(13, "REDRIVABLE"), (15, "NOT_REDRIVABLE")])
def test_redrive_period_is_14_days(
    machine: Callable[..., str], run: Callable[..., Any], days: int, status: str
) -> None:
    execution = run(machine(FAIL))
    execution.ended()
    record_of(execution).stop_date = datetime.datetime.now(datetime.UTC) - days * DAY
    assert execution.describe()["redriveStatus"] == status
    if status == "NOT_REDRIVABLE":
        assert_not_redrivable(execution, "Execution redrivable period exceeded")


def test_execution_older_than_a_year_is_refused(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine(FAIL))
    execution.ended()
    record_of(execution).start_date -= 366 * DAY
    assert_not_redrivable(execution, "Execution has exceeded the max execution time")


def test_full_history_is_refused(
    machine: Callable[..., str], run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redrive.MOST_EVENTS == 24_999
    execution = run(machine(FAIL))
    execution.ended()
    monkeypatch.setattr(redrive, "MOST_EVENTS", len(execution.history()))
    assert_not_redrivable(execution, "Execution history event limit exceeded")


@pytest.mark.parametrize("kind", ["Parallel", "Map"])
def test_parallel_and_map_states_are_refused(machine: Callable[..., str], run: Callable[..., Any], kind: str) -> None:
    branch = {"StartAt": "End", "States": FAIL}
    work = {"Branches": [branch]} if kind == "Parallel" else {"Items": [1], "ItemProcessor": branch}
    execution = run(machine({"First": {"Type": "Pass", "Next": "Work"}, "Work": {"Type": kind, "End": True, **work}}))
    assert (execution.ended()["status"], execution.ended()["error"]) == ("FAILED", "E")
    assert_not_redrivable(
        execution, f"The embedded AWS does not redrive Parallel and Map states, and Work is a {kind} state"
    )


@pytest.mark.parametrize("ending", ["FAILED", "ABORTED", "TIMED_OUT"])
def test_unsuccessful_execution_is_redriven(machine: Callable[..., str], run: Callable[..., Any], ending: str) -> None:
    execution = run(
        machine(FAIL if ending == "FAILED" else WAIT, **({"TimeoutSeconds": 1} if ending == "TIMED_OUT" else {}))
    )
    if ending == "ABORTED":
        execution.states.stop_execution(executionArn=execution.arn)
    before = execution.ended()
    assert (before["status"], before["redriveStatus"]) == (ending, "REDRIVABLE")
    assert "redriveStatusReason" not in before
    assert "redriveDate" not in before
    again(execution)
    assert execution.describe()["redriveCount"] == 1


def test_unknown_execution_is_refused(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine(FAIL))
    execution.arn += "x"
    assert refused(execution)[0] == "ExecutionDoesNotExist"


@pytest.mark.parametrize("arn", ["nonsense", "arn:aws:s3:::bucket"])
def test_invalid_arn_is_refused(machine: Callable[..., str], run: Callable[..., Any], arn: str) -> None:
    execution = run(machine(FAIL))
    execution.arn = arn
    assert refused(execution)[0] == "InvalidArn"


def test_same_token_redrives_once(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine(FAIL))
    execution.ended()
    first = again(execution, clientToken="t")
    execution.ended()
    assert again(execution, clientToken="t")["redriveDate"] == first["redriveDate"]
    assert execution.describe()["redriveCount"] == 1
    again(execution, clientToken="u")
    assert execution.ended()["redriveCount"] == 2


def test_last_ten_tokens_are_remembered(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine(FAIL))
    for number in range(11):
        execution.ended()
        again(execution, clientToken=f"t{number}")
    execution.ended()
    again(execution, clientToken="t0")
    assert execution.ended()["redriveCount"] == 12


def test_token_is_valid_for_15_minutes(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine(FAIL))
    execution.ended()
    again(execution, clientToken="t")
    execution.ended()
    record_of(execution).redrive_tokens["t"] -= datetime.timedelta(minutes=16)
    again(execution, clientToken="t")
    assert execution.ended()["redriveCount"] == 2


@pytest.mark.parametrize("token", ["with space", "x" * 65])
def test_invalid_token_is_rejected(machine: Callable[..., str], run: Callable[..., Any], token: str) -> None:
    assert refused(run(machine(FAIL)), clientToken=token)[0] == "ValidationException"


def test_executions_are_listed_by_redrive(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    arn = machine(FAIL)
    run(arn, name="plain").ended()
    execution = run(arn, name="redriven")
    execution.ended()
    again(execution)
    execution.ended()
    states = embedded.client("stepfunctions")

    def listed(**fields: Any) -> list[tuple[str, int, bool]]:
        items = states.list_executions(stateMachineArn=arn, **fields)["executions"]
        return sorted((item["name"], item["redriveCount"], "redriveDate" in item) for item in items)

    assert listed(redriveFilter="REDRIVEN") == [("redriven", 1, True)]
    assert listed(redriveFilter="NOT_REDRIVEN") == [("plain", 0, False)]
    assert listed() == [("plain", 0, False), ("redriven", 1, True)]
    with pytest.raises(ClientError, match="ValidationException"):
        listed(redriveFilter="PERHAPS")
