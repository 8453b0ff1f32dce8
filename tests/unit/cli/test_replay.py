from __future__ import annotations

import re
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from kiro_worker.cli.aws_errors import explain
from kiro_worker.cli.replay import NoCardToReplay, card_of
from kiro_worker.executions.history import Run, StateEntered
from kiro_worker.executions.naming import ExecutionNameInvalid, find_execution, replay_name

ARN = "arn:aws-cn:states:cn-north-1:123456789012:execution:kiro-worker-staging:one"


def run(*documents: dict[str, object], outcome: str = "AgentFailed") -> Run:
    states = tuple(StateEntered("FetchWorkItem", 0.0, document) for document in documents)
    return Run(ARN, "FAILED", states, 0, 0, 0, {"outcome": outcome}, "", "")


def item(name: str) -> dict[str, object]:
    return {"item": {"id": name, "title": f"Title of {name}"}}


def test_last_card_is_replayed() -> None:
    assert card_of(run({}, item("PVTI_1"), {"item": None}, item("PVTI_2"))) == ("PVTI_2", "Title of PVTI_2")


def test_card_comes_from_input() -> None:
    assert card_of(run({"itemId": "PVTI_9"})) == ("PVTI_9", "")
    assert card_of(run({"itemId": "PVTI_9"}, item("PVTI_9"), outcome="NothingToDo"))[1] == "Title of PVTI_9"


def test_run_that_found_lock_held_has_card() -> None:
    """A run can also end so without a card: then it has none in its output."""
    waiting = replace(run(item("PVTI_1")), output={"outcome": "WorkInProgressElsewhere", "item": "PVTI_1"})
    assert card_of(waiting)[0] == "PVTI_1"
    with pytest.raises(NoCardToReplay):
        card_of(replace(waiting, output={"outcome": "WorkInProgressElsewhere"}))


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("one", "replay-one--"),
        ("x" * 80, "replay-xxx"),
        ("replay-one--20260101T000000Z-abcd", "replay-one--"),
        ("replay-my-own", "replay-replay-my-own--"),
    ],
)
def test_replay_name_is_unique(name: str, beginning: str) -> None:
    first, second = replay_name(name), replay_name(name)
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9-]{1,80}", first)
    assert first.startswith(beginning)


def test_arn_gives_region_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    found = find_execution(ARN, "test", None)
    assert found.client.meta.region_name == "cn-north-1"
    assert found.state_machine_arn == "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:kiro-worker-staging"
    assert found.on_aws
    assert ARN in found.console_url(ARN)
    local = find_execution(ARN, "test", "http://127.0.0.1:5000")
    assert (local.on_aws, local.console_url(ARN)) == (False, "")


def test_aws_error_has_remedy() -> None:
    error = ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "old"}}, "DescribeExecution")
    name, message = explain(error)
    assert name == "ExpiredTokenException"
    assert "aws sso login" in message


@pytest.mark.parametrize(("text", "environment"), [("no such/name", "test"), ("one", "tests"), ("one", "")])
def test_invalid_name_is_rejected(text: str, environment: str) -> None:
    with pytest.raises(ExecutionNameInvalid):
        find_execution(text, environment, None)
