"""Every JSONata expression of the definitions, evaluated on the documents that reach it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kiro_local.aws.jsonata import check_syntax, evaluate

ROOT = Path(__file__).parents[3]
ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
HOSTILE = "“quotes” \" ' ` \\ \n $states {% 1 %} 🚀 \u2028"
DEFINITIONS = {
    name: json.loads((ROOT / "statemachine" / f"{name}.asl.json").read_text("utf-8"))["States"]
    for name in ("work_item", "clean_up")
}

REQUEST = {"trigger": "schedule"}
ITEM = {"id": "PVTI_1", "title": HOSTILE, "contentType": "Issue", "status": "For Implementation"}
WORK = {
    "repository": "acme/shop",
    "branch": "feature/x",
    "commit": "a" * 40,
    "specPath": ".kiro/specs/feature-x",
    "pullRequest": 7,
    "pullRequestUrl": "https://github.example/acme/shop/pull/7",
}
LEASE = {"lockKey": "work-item-processor-lock", "owner": ARN, "fence": 1763900000123, "expiresAt": 1763907200}
BUILD = {
    "id": "kiro-worker-test:1",
    "arn": "arn:b",
    "log": "",
    "variables": [{"Name": "OUTCOME", "Value": "Succeeded"}],
}
FAILURE = {"state": "RunBuild", "error": "States.TaskFailed", "cause": HOSTILE, "redriveCount": 0}
GROWN = {"request": REQUEST, "skipped": ["PVTI_0"], "item": ITEM}
WORKED = GROWN | {"work": WORK}
LEASED = WORKED | {"lease": LEASE}
BUILT = LEASED | {"build": BUILD}


def states(document: Any, state: str = "RunBuild", redrives: int = 0, **more: Any) -> dict[str, Any]:
    context = {
        "Execution": {"Id": ARN, "Input": REQUEST, "Name": "one", "RedriveCount": redrives},
        "State": {"Name": state, "RetryCount": 0},
    }
    return {"input": document, "context": context, **more}


def evaluated(value: Any, bound: dict[str, Any]) -> Any:
    """A field of a definition with every expression in it evaluated."""
    if isinstance(value, str) and value.startswith("{%"):
        return evaluate(value, {"states": bound})
    if isinstance(value, dict):
        return {key: evaluated(part, bound) for key, part in value.items()}
    if isinstance(value, list):
        return [evaluated(part, bound) for part in value]
    return value


def output(state: str, document: Any, result: Any = None, **more: Any) -> Any:
    body = DEFINITIONS["work_item"][state]
    bound = states(document, state, **more) | ({"result": result} if result is not None else {})
    return evaluated(body["Output"], bound)


def caught(state: str, document: Any, error: str, cause: str | None = HOSTILE) -> tuple[str, Any]:
    """Where an error goes, and with what document."""
    for rule in DEFINITIONS["work_item"][state]["Catch"]:
        if error in rule["ErrorEquals"] or "States.ALL" in rule["ErrorEquals"]:
            problem = {"Error": error} | ({"Cause": cause} if cause is not None else {})
            return rule["Next"], evaluated(rule["Output"], states(document, state, errorOutput=problem))
    raise AssertionError(f"{state} does not catch {error}")


def choose(state: str, document: Any) -> str:
    body = DEFINITIONS["work_item"][state]
    for rule in body["Choices"]:
        if evaluated(rule["Condition"], states(document, state)) is True:
            return str(rule["Next"])
    return str(body["Default"])


def expressions() -> Iterator[str]:
    waiting: list[Any] = list(DEFINITIONS.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str) and value.startswith("{%"):
            yield value


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_every_expression_compiles(expression: str) -> None:
    check_syntax(expression)


@pytest.mark.parametrize("document", [{}, REQUEST, GROWN, BUILT], ids=["empty", "tick", "grown", "built"])
@pytest.mark.parametrize(
    "state", [name for name, body in DEFINITIONS["work_item"].items() if "Payload" in body.get("Arguments", {})]
)
def test_every_step_gets_the_same_five_things(state: str, document: Any) -> None:
    payload = evaluated(DEFINITIONS["work_item"][state]["Arguments"]["Payload"], states(document, state))
    assert payload == {
        "executionArn": ARN,
        "redriveCount": 0,
        "executionInput": REQUEST,
        "state": state,
        "document": document,
    }


@pytest.mark.parametrize("before", [{}, REQUEST, {"request": REQUEST, "skipped": []}])
def test_a_first_fetch_begins_the_document(before: Any) -> None:
    document = output("FetchWorkItem", before, {"Payload": {"item": ITEM}})
    assert document == {"request": REQUEST, "skipped": [], "item": ITEM}
    assert choose("WorkItemFound", document) == "ValidateWorkItem"


def test_nothing_to_do_is_a_null_item() -> None:
    document = output("FetchWorkItem", {}, {"Payload": {"item": None}})
    assert document["item"] is None
    assert choose("WorkItemFound", document) == "NothingToDo"
    assert output("NothingToDo", document) == {"outcome": "NothingToDo", "skipped": []}


@pytest.mark.parametrize("skipped", [[], ["PVTI_0"], ["PVTI_0", "PVTI_9"]])
def test_a_rejected_card_is_skipped_and_the_document_begins_again(skipped: list[str]) -> None:
    document = output("RejectWorkItem", GROWN | {"skipped": skipped, "failure": FAILURE}, {"Payload": {}})
    assert document == {"request": REQUEST, "skipped": [*skipped, "PVTI_1"]}
    assert caught("AcquireLock", WORKED | {"skipped": skipped}, "ScopedLockHeld") == ("FetchWorkItem", document)


@pytest.mark.parametrize(
    ("state", "document", "key"),
    [("ValidateWorkItem", GROWN, "work"), ("AcquireLock", WORKED, "lease"), ("MarkInReview", BUILT, "report")],
)
def test_a_result_is_added_to_the_document(state: str, document: Any, key: str) -> None:
    assert output(state, document, {"Payload": {"x": HOSTILE}}) == {**document, key: {"x": HOSTILE}}


@pytest.mark.parametrize(
    ("state", "document", "error", "following"),
    [
        ("ValidateWorkItem", GROWN, "WorkItemInvalid", "RejectWorkItem"),
        ("AcquireLock", WORKED, "LockHeld", "WorkInProgressElsewhere"),
        ("AcquireLock", WORKED, "States.Timeout", "ReleaseLockAfterFailure"),
        ("MarkInProgress", LEASED, "WorkItemMoved", "ReleaseLock"),
        ("MarkInProgress", LEASED, "GitHubUnavailable", "MarkFailed"),
        ("RunBuild", LEASED, "States.TaskFailed", "BuildFaulted"),
        ("RunBuild", LEASED, "States.Timeout", "MarkFailed"),
        ("ReleaseLock", BUILT, "Lambda.Unknown", "ReleaseLockAfterFailure"),
    ],
)
@pytest.mark.parametrize("cause", [HOSTILE, None])
def test_a_caught_error_is_noted_with_its_state(
    state: str, document: Any, error: str, following: str, cause: str | None
) -> None:
    noted = {"state": state, "error": error, "cause": cause or "", "redriveCount": 0}
    assert caught(state, document, error, cause) == (following, document | {"failure": noted})


def test_a_card_that_could_not_be_told_is_noted_for_the_release() -> None:
    following, document = caught("MarkInReview", BUILT, "GitHubUnavailable")
    assert (following, document["reportPending"]) == ("ReleaseLockAfterFailure", True)
    assert document["failure"]["state"] == "MarkInReview"
    failed = LEASED | {"failure": FAILURE}
    assert caught("MarkFailed", failed, "GitHubUnavailable") == (
        "ReleaseLockAfterFailure",
        failed | {"reportPending": True},
    )


def test_the_first_failure_is_the_one_that_shows() -> None:
    assert caught("MarkFailed", LEASED | {"failure": FAILURE}, "GitHubUnavailable")[1]["failure"] == FAILURE
    assert caught("ReleaseLockAfterFailure", LEASED | {"failure": FAILURE}, "States.Timeout")[1]["failure"] == FAILURE


@pytest.mark.parametrize(("recorded", "described", "kept"), [(0, 0, 0), (0, 1, 1), (2, 1, 2)])
def test_the_larger_redrive_count_is_kept(recorded: int, described: int, kept: int) -> None:
    document = LEASED | {"failure": FAILURE | {"redriveCount": recorded}}
    result = {"Payload": {"released": True, "redriveCount": described}}
    assert output("ReleaseLockAfterFailure", document, result)["failure"] == FAILURE | {"redriveCount": kept}


@pytest.mark.parametrize("slot", ["", "work-item-processor-lock#slot-2"])
def test_the_build_gets_the_card_and_the_lease_as_texts(slot: str) -> None:
    leased = LEASED | {"lease": LEASE | ({"slot": slot} if slot else {})}
    arguments = evaluated(DEFINITIONS["work_item"]["RunBuild"]["Arguments"], states(leased))
    variables = {variable["Name"]: variable["Value"] for variable in arguments["EnvironmentVariablesOverride"]}
    assert variables == {
        "WORK_ITEM_ID": "PVTI_1",
        "REPOSITORY": "acme/shop",
        "BRANCH_NAME": "feature/x",
        "COMMIT_SHA": "a" * 40,
        "SPEC_PATH": ".kiro/specs/feature-x",
        "PULL_REQUEST_NUMBER": "7",
        "LOCK_KEY": "work-item-processor-lock",
        "LOCK_FENCE": "1763900000123",
        "LOCK_SLOT": slot,
        "EXECUTION_ARN": ARN,
    }


def token(document: Any = LEASED, **more: Any) -> str:
    return str(
        evaluated(DEFINITIONS["work_item"]["RunBuild"]["Arguments"]["IdempotencyToken"], states(document, **more))
    )


def test_the_token_of_a_build_is_the_same_for_the_same_attempt_only() -> None:
    """A retry of a start whose answer was lost gets the build that was started: two must not run."""
    assert token() == token()
    assert token() == hashlib.sha256(f"{ARN}/0/{LEASE['fence']}/false".encode()).hexdigest()
    assert "RetryCount" not in DEFINITIONS["work_item"]["RunBuild"]["Arguments"]["IdempotencyToken"]
    others = [token(redrives=1), token(LEASED | {"lease": LEASE | {"fence": 1}}), token(BUILT)]
    assert len({token(), *others}) == 4


def test_what_the_build_says_of_itself_is_kept() -> None:
    variables = [{"Name": "OUTCOME", "Value": "Succeeded"}]
    full = {
        "Build": {
            "Id": "b:1",
            "Arn": "arn:b",
            "Logs": {"DeepLink": "https://l"},
            "ExportedEnvironmentVariables": variables,
        }
    }
    assert output("RunBuild", LEASED, full)["build"] == {
        "id": "b:1",
        "arn": "arn:b",
        "log": "https://l",
        "variables": variables,
    }
    bare = {"Build": {"Id": "b:1", "Arn": "arn:b"}}
    assert output("RunBuild", LEASED, bare)["build"] == {"id": "b:1", "arn": "arn:b", "log": "", "variables": []}


def test_only_a_fault_of_codebuild_itself_is_tried_again_and_only_once() -> None:
    fault = LEASED | {"failure": FAILURE | {"cause": '{"Build": {"BuildStatus" : "FAULT"}}'}}
    failed = LEASED | {"failure": FAILURE | {"cause": '{"Build":{"BuildStatus":"FAILED","Note":"FAULT"}}'}}
    assert choose("BuildFaulted", fault) == "RunBuild"
    assert choose("BuildFaulted", failed) == "MarkFailed"
    rule = DEFINITIONS["work_item"]["BuildFaulted"]["Choices"][0]
    assert (
        choose("BuildFaulted", evaluated(rule["Output"], states(fault)) | {"failure": fault["failure"]}) == "MarkFailed"
    )


@pytest.mark.parametrize(
    ("document", "state", "following"),
    [
        (BUILT, "MarkInReview", "MarkInReview"),
        (BUILT, "ReleaseLock", "MarkInReview"),
        (LEASED, "ReleaseLock", "FetchWorkItem"),
        (LEASED, "RunBuild", "FetchWorkItem"),
        (WORKED, "AcquireLock", "FetchWorkItem"),
    ],
)
def test_a_redriven_run_resumes_where_nothing_is_repeated(document: Any, state: str, following: str) -> None:
    assert choose("ResumePoint", document | {"failure": FAILURE | {"state": state}}) == following


def test_the_ends_are_readable() -> None:
    reported = BUILT | {"report": {"status": "In Review", "commentUrl": "https://c", "commit": "b" * 40}}
    assert output("Done", reported) == {
        "outcome": "Succeeded",
        "item": "PVTI_1",
        "repository": "acme/shop",
        "branch": "feature/x",
        "pullRequest": WORK["pullRequestUrl"],
        "status": "In Review",
        "commentUrl": "https://c",
        "commit": "b" * 40,
    }
    moved = LEASED | {"failure": FAILURE | {"error": "WorkItemMoved"}}
    assert output("Done", moved) == {"outcome": "WorkItemMoved", "item": "PVTI_1", "reason": HOSTILE}
    held = WORKED | {"failure": FAILURE | {"error": "LockHeld"}}
    assert output("WorkInProgressElsewhere", held)["outcome"] == "WorkInProgressElsewhere"


EVENT = {"detail": {"executionArn": ARN, "status": "ABORTED", "stopDate": 1763900000123, "cause": None, "error": None}}


def clean_up(state: str, field: str, document: Any) -> Any:
    bound = states(document, state)
    bound["context"]["Execution"]["Input"] = EVENT
    return evaluated(DEFINITIONS["clean_up"][state][field], bound)


def test_the_clean_up_asks_to_release_what_that_execution_held_before_it_ended() -> None:
    payload = clean_up("ReleaseLock", "Arguments", EVENT)["Payload"]
    assert (payload["executionArn"], payload["state"]) == (ARN, "ReleaseLock")
    assert payload["document"] == {"endedAt": 1763900000123}


@pytest.mark.parametrize("cause", [None, HOSTILE])
def test_the_clean_up_tells_the_card_that_the_lock_named(cause: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVENT["detail"], "cause", cause)
    held = {"lockKey": "k", "workItemId": "PVTI_1", "repository": "acme/shop", "branch": "feature/x"}
    payload = clean_up("MarkFailed", "Arguments", {"released": True, "held": held, "redriveCount": 0})["Payload"]
    assert payload["document"]["item"]["id"] == "PVTI_1"
    assert payload["document"]["failure"] == {"state": "", "error": "ABORTED", "cause": cause or "", "redriveCount": 0}
    assert payload["document"]["held"] == held
