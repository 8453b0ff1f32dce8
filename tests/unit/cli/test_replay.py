from __future__ import annotations

import re

import pytest
from botocore.exceptions import ClientError

from kiro_worker.cli.aws import explained, named_execution
from kiro_worker.cli.replay import card_of, name_of_replay
from kiro_worker.executions.history import Run, StateEntered

ARN = "arn:aws-cn:states:cn-north-1:123456789012:execution:kiro-worker-staging:one"


def run(*documents: dict[str, object], outcome: str = "AgentFailed") -> Run:
    states = tuple(StateEntered("FetchWorkItem", 0.0, document) for document in documents)
    return Run(ARN, "FAILED", states, 0, 0, 0, {"outcome": outcome}, "", "")


def item(name: str) -> dict[str, object]:
    return {"item": {"id": name, "title": f"Title of {name}"}}


def test_the_card_is_the_last_that_the_run_worked_on() -> None:
    assert card_of(run({}, item("PVTI_1"), {"item": None}, item("PVTI_2"))) == ("PVTI_2", "Title of PVTI_2")


def test_a_card_that_the_input_names_needs_no_state_that_saw_it() -> None:
    assert card_of(run({"itemId": "PVTI_9"})) == ("PVTI_9", "")
    assert card_of(run({"itemId": "PVTI_9"}, item("PVTI_9"), outcome="NothingToDo"))[1] == "Title of PVTI_9"


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("one", "replay-one--"),
        ("x" * 80, "replay-xxx"),
        ("replay-one--20260101T000000Z-abcd", "replay-one--"),
        ("replay-my-own", "replay-replay-my-own--"),
    ],
)
def test_a_replay_is_named_after_the_first_run_and_never_twice_the_same(name: str, beginning: str) -> None:
    first, second = name_of_replay(name), name_of_replay(name)
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9-]{1,80}", first)
    assert first.startswith(beginning)


def test_an_arn_names_its_region_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    found = named_execution(ARN, "test", None)
    assert found.client.meta.region_name == "cn-north-1"
    assert found.state_machine_arn == "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:kiro-worker-staging"
    assert found.on_aws
    assert ARN in found.console(ARN)
    local = named_execution(ARN, "test", "http://127.0.0.1:5000")
    assert (local.on_aws, local.console(ARN)) == (False, "")


def test_an_error_of_aws_is_told_by_its_code_with_what_mends_it() -> None:
    error = ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "old"}}, "DescribeExecution")
    name, message = explained(error)
    assert name == "ExpiredTokenException"
    assert "aws sso login" in message
