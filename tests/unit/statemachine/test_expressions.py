"""Every JSONata expression of the definitions, evaluated on the documents that reach it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.settings import build_state_seconds
from kiro_local.aws.executions_api import EXECUTION_NAME
from kiro_local.aws.jsonata import check_syntax, evaluate
from kiro_worker.config.model import Configuration
from kiro_worker.github.selection import ExecutionInput
from kiro_worker.lock.keys import BASE_KEY, lock_key
from kiro_worker.outcomes import FaultOwner
from kiro_worker.state import End
from tests.support.definitions import MACHINES, states

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:kiro-worker-test"
ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
STARTS = ("StartParallelRun", "StartNextRun", "StartNextRunAfterFailure")
HOSTILE = "“quotes” \" ' ` \\ \n $states {% 1 %} 🚀 \u2028"
DEFINITIONS = {machine: states(machine) for machine in MACHINES}

REQUEST = {"trigger": "schedule"}
ITEM = {"id": "PVTI_1", "title": HOSTILE, "contentType": "Issue", "status": "For Implementation"}
WORK: dict[str, Any] = {
    "repository": "acme/shop",
    "branch": "feature/x",
    "commit": "a" * 40,
    "specPath": ".kiro/specs/feature-x",
    "defaultCommit": "d" * 40,
    "pullRequest": 7,
    "pullRequestUrl": "https://github.example/acme/shop/pull/7",
    "build": {"image": "acme/ci:1", "computeType": "BUILD_GENERAL1_MEDIUM", "timeoutMinutes": 45},
}
LEASE = {"lockKey": "work-item-processor-lock", "owner": ARN, "fence": 1763900000123, "expiresAt": 1763907200}
BUILD = {
    "id": "kiro-worker-test:1",
    "arn": "arn:b",
    "log": "",
    "variables": [{"Name": "OUTCOME", "Value": "Succeeded"}],
}
FAILURE = {"state": "RunBuild", "error": "States.TaskFailed", "cause": HOSTILE, "redriveCount": 0}
SKIPPED = {"item": "PVTI_0", "reason": HOSTILE}
PASSED_OVER = {"counts": {"Locked": 1}, "cards": [{"item": "PVTI_9", "why": "Locked", "detail": HOSTILE}]}
FETCHED = {
    "request": REQUEST,
    "skipped": [SKIPPED],
    "passedOver": PASSED_OVER,
    "item": ITEM,
    "pinned": False,
    "end": None,
    "reason": "",
}
VALIDATED = FETCHED | {"work": WORK}
LEASED = VALIDATED | {"lease": LEASE}
BUILT = LEASED | {"build": BUILD}
REPEATED = BUILT | {"repeat": True}


def bindings(
    document: Any, state: str = "RunBuild", redrives: int = 0, execution: str = ARN, **more: Any
) -> dict[str, Any]:
    context = {
        "Execution": {"Id": execution, "Input": REQUEST, "Name": "one", "RedriveCount": redrives},
        "State": {"Name": state, "RetryCount": 0},
        "StateMachine": {"Id": MACHINE, "Name": "kiro-worker-test"},
    }
    return {"input": document, "context": context, **more}


def evaluated(value: Any, bound: dict[str, Any]) -> Any:
    """A field of a definition, with all its expressions evaluated."""
    if isinstance(value, str) and value.startswith("{%"):
        return evaluate(value, {"states": bound})
    if isinstance(value, dict):
        return {key: evaluated(part, bound) for key, part in value.items()}
    if isinstance(value, list):
        return [evaluated(part, bound) for part in value]
    return value


def output(state: str, document: Any, result: Any = None, **more: Any) -> Any:
    body = DEFINITIONS["work_item"][state]
    bound = bindings(document, state, **more) | ({"result": result} if result is not None else {})
    return evaluated(body["Output"], bound)


def caught(state: str, document: Any, error: str, cause: str | None = HOSTILE) -> tuple[str, Any]:
    """The next state after an error, and the document that it receives."""
    for rule in DEFINITIONS["work_item"][state]["Catch"]:
        if error in rule["ErrorEquals"] or "States.ALL" in rule["ErrorEquals"]:
            problem = {"Error": error} | ({"Cause": cause} if cause is not None else {})
            return rule["Next"], evaluated(rule["Output"], bindings(document, state, errorOutput=problem))
    raise AssertionError(f"{state} does not catch {error}")


def choose(state: str, document: Any) -> str:
    body = DEFINITIONS["work_item"][state]
    for rule in body["Choices"]:
        if evaluated(rule["Condition"], bindings(document, state)) is True:
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


@pytest.mark.parametrize("document", [{}, REQUEST, FETCHED, BUILT], ids=["empty", "tick", "fetched", "built"])
@pytest.mark.parametrize(
    "state", [name for name, body in DEFINITIONS["work_item"].items() if "Payload" in body.get("Arguments", {})]
)
def test_step_payload_has_five_keys(state: str, document: Any) -> None:
    payload = evaluated(DEFINITIONS["work_item"][state]["Arguments"]["Payload"], bindings(document, state))
    assert payload == {
        "executionArn": ARN,
        "redriveCount": 0,
        "executionInput": REQUEST,
        "state": state,
        "document": document,
    }


@pytest.mark.parametrize("before", [{}, REQUEST, LEASED | {"failure": FAILURE}])
@pytest.mark.parametrize("skipped", [[], [SKIPPED], [SKIPPED, SKIPPED]], ids=len)
def test_fetch_starts_document_over(before: Any, skipped: list[Any]) -> None:
    payload = {"item": ITEM, "pinned": True, "skipped": skipped, "passedOver": PASSED_OVER, "end": None, "reason": ""}
    document = output("FetchWorkItem", before, {"Payload": payload})
    assert document == {"request": REQUEST, **payload}
    assert choose("WorkItemFound", document) == "ValidateWorkItem"


@pytest.mark.parametrize("end", End)
@pytest.mark.parametrize("skipped", [[], [SKIPPED], [SKIPPED, SKIPPED]], ids=len)
@pytest.mark.parametrize("passed", [{"counts": {}, "cards": []}, PASSED_OVER], ids=["none", "one"])
def test_run_without_card_says_why(end: End, skipped: list[Any], passed: Any) -> None:
    fetched = {
        "item": None,
        "pinned": False,
        "skipped": skipped,
        "passedOver": passed,
        "end": str(end),
        "reason": HOSTILE,
    }
    document = output("FetchWorkItem", {}, {"Payload": fetched})
    assert choose("WorkItemFound", document) == end
    assert output(end, document) == {
        "outcome": str(end),
        "reason": HOSTILE,
        "skipped": skipped,
        "passedOver": passed,
    }


def test_rejection_is_added_to_document() -> None:
    rejected = FETCHED | {"failure": FAILURE}
    document = output("RejectWorkItem", rejected, {"Payload": {"status": "Blocked"}})
    assert document == rejected | {"report": {"status": "Blocked"}}


@pytest.mark.parametrize(
    ("state", "document", "key"),
    [("ValidateWorkItem", FETCHED, "work"), ("AcquireLock", VALIDATED, "lease"), ("MarkInReview", BUILT, "report")],
)
def test_result_is_added_to_document(state: str, document: Any, key: str) -> None:
    assert output(state, document, {"Payload": {"x": HOSTILE}}) == {**document, key: {"x": HOSTILE}}


@pytest.mark.parametrize(
    ("state", "document", "error", "following"),
    [
        ("ValidateWorkItem", FETCHED, "WorkItemInvalid", "RejectWorkItem"),
        ("ValidateWorkItem", FETCHED, "Sandbox.Timedout", "FetchWorkItem"),
        ("RejectWorkItem", FETCHED, "StepFailed", "FetchWorkItem"),
        ("AcquireLock", VALIDATED, "ScopedLockHeld", "FetchWorkItem"),
        ("AcquireLock", VALIDATED, "LockHeld", "WorkInProgressElsewhere"),
        ("AcquireLock", VALIDATED, "PinnedLockHeld", "ReturnToQueue"),
        ("AcquireLock", VALIDATED, "States.Timeout", "ReleaseLockAfterFailure"),
        ("ReturnToQueue", VALIDATED, "GitHubUnavailable", "ReleaseLockAfterFailure"),
        ("MarkInProgress", LEASED, "WorkItemMoved", "ReleaseLock"),
        ("MarkInProgress", LEASED, "GitHubUnavailable", "MarkFailed"),
        ("RunBuild", LEASED, "States.TaskFailed", "ReadBuildResult"),
        ("RunBuild", LEASED, "States.Timeout", "ReadBuildResult"),
        ("ReleaseLock", BUILT, "Lambda.Unknown", "ReleaseLockAfterFailure"),
    ],
)
@pytest.mark.parametrize("cause", [HOSTILE, None])
def test_caught_error_is_recorded_with_state(
    state: str, document: Any, error: str, following: str, cause: str | None
) -> None:
    failure = {"state": state, "error": error, "cause": cause or "", "redriveCount": 0}
    assert caught(state, document, error, cause) == (following, document | {"failure": failure})


def test_failed_update_marks_report_pending() -> None:
    following, document = caught("MarkInReview", BUILT, "GitHubUnavailable")
    assert (following, document["reportPending"]) == ("ReleaseLockAfterFailure", True)
    assert document["failure"]["state"] == "MarkInReview"
    failed = LEASED | {"failure": FAILURE}
    assert caught("MarkFailed", failed, "GitHubUnavailable") == (
        "ReleaseLockAfterFailure",
        failed | {"reportPending": True},
    )


def test_first_failure_is_kept() -> None:
    failed = LEASED | {"failure": FAILURE}
    assert caught("ReadBuildResult", failed, "GitHubUnavailable") == ("MarkFailed", failed)
    assert caught("MarkFailed", failed, "GitHubUnavailable")[1]["failure"] == FAILURE
    assert caught("ReleaseLockAfterFailure", LEASED | {"failure": FAILURE}, "States.Timeout")[1]["failure"] == FAILURE


@pytest.mark.parametrize(("recorded", "described", "kept"), [(0, 0, 0), (0, 1, 1), (2, 1, 2)])
def test_larger_redrive_count_is_kept(recorded: int, described: int, kept: int) -> None:
    document = LEASED | {"failure": FAILURE | {"redriveCount": recorded}}
    result = {"Payload": {"released": True, "redriveCount": described, "owner": "card"}}
    failure = output("ReleaseLockAfterFailure", document, result)["failure"]
    assert failure == FAILURE | {"owner": "card", "redriveCount": kept}


def start(state: str, document: Any, **more: Any) -> Any:
    return evaluated(DEFINITIONS["work_item"][state]["Arguments"], bindings(document, state, **more))


@pytest.mark.parametrize("document", [LEASED, BUILT, LEASED | {"failure": FAILURE}], ids=["leased", "built", "failed"])
@pytest.mark.parametrize("state", STARTS)
def test_next_run_is_of_same_machine_and_no_tick(state: str, document: Any) -> None:
    arguments = start(state, document)
    assert arguments.keys() == {"StateMachineArn", "Name", "Input"}
    assert arguments["StateMachineArn"] == MACHINE
    assert ExecutionInput.parse(arguments["Input"]).trigger == "chain"
    assert output(state, document, {"ExecutionArn": "x", "StartDate": 1}) == document
    assert caught(state, document, "StepFunctions.ExecutionAlreadyExistsException")[1] == document


@pytest.mark.parametrize("execution", [ARN, ARN[:-3] + "x" * 80, f"arn:aws-us-gov:{ARN[8:]}"])
def test_name_of_next_run_is_valid(execution: str) -> None:
    names = {start(state, LEASED, execution=execution)["Name"] for state in STARTS}
    assert all(EXECUTION_NAME.fullmatch(name) for name in names)
    assert {len(name) for name in names} == {len("chain-") + 64}


def test_name_of_next_run_is_per_state_redrive_and_execution() -> None:
    """A start that is repeated must find its name taken, and every other start a free one."""
    name = start("StartNextRun", BUILT)["Name"]
    assert name == start("StartNextRun", LEASED)["Name"]
    assert name == "chain-" + hashlib.sha256(f"{ARN}/0/StartNextRun".encode()).hexdigest()
    names = [
        start(state, BUILT, redrives=redrives, execution=execution)["Name"]
        for state in STARTS
        for redrives in (0, 1, 11)
        for execution in (ARN, f"{ARN}1")
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("scope", "following"),
    [("environment", "RunBuild"), ("repository", "StartParallelRun"), ("branch", "StartParallelRun")],
)
@pytest.mark.parametrize("slot", ["", f"{BASE_KEY}#slot-1"])
def test_run_starts_beside_build_unless_one_lock_covers_all(scope: str, following: str, slot: str) -> None:
    required = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Ready"}
    key = lock_key(Configuration.model_validate(required | {"lockScope": scope}), "acme/shop", "feature/x")
    leased = LEASED | {"lease": LEASE | {"lockKey": key} | ({"slot": slot} if slot else {})}
    assert choose("ParallelRunAllowed", leased) == following


@pytest.mark.parametrize(
    ("document", "following"),
    [
        (BUILT | {"report": {"status": "In Review"}}, "StartNextRun"),
        (BUILT | {"report": {"status": ""}}, "StartNextRun"),
        (LEASED | {"failure": FAILURE | {"error": "WorkItemMoved"}}, "Done"),
    ],
    ids=["pushed", "moved by a person", "nothing was built"],
)
def test_finished_run_starts_next_one_if_it_built(document: Any, following: str) -> None:
    assert choose("WorkItemBuilt", document) == following


@pytest.mark.parametrize(
    ("owner", "following"),
    [
        (FaultOwner.CARD, "StartNextRunAfterFailure"),
        (FaultOwner.REPOSITORY, "StartNextRunAfterFailure"),
        (FaultOwner.INSTALLATION, "FailRun"),
        (FaultOwner.SERVICE, "FailRun"),
        ("", "FailRun"),
    ],
)
def test_failed_run_starts_next_one_unless_it_would_fail_too(owner: str, following: str) -> None:
    result = {"Payload": {"released": True, "held": None, "redriveCount": 0, "owner": str(owner)}}
    document = output("ReleaseLockAfterFailure", LEASED | {"failure": FAILURE}, result)
    assert choose("NextRunAllowed", document) == following


@pytest.mark.parametrize(
    ("state", "following"),
    [
        ("AcquireLock", "FailRun"),
        ("ReturnToQueue", "FailRun"),
        ("MarkInProgress", "FailRun"),
        ("RunBuild", "StartNextRunAfterFailure"),
        ("MarkInReview", "StartNextRunAfterFailure"),
        ("ReleaseLock", "StartNextRunAfterFailure"),
    ],
)
def test_card_that_may_still_wait_starts_no_run_after_failure(state: str, following: str) -> None:
    """The next run would take the card again, and fail again, without an end."""
    failure = FAILURE | {"state": state, "owner": "repository"}
    assert choose("NextRunAllowed", LEASED | {"failure": failure}) == following


def test_every_owner_decides_about_next_run() -> None:
    rule = DEFINITIONS["work_item"]["NextRunAllowed"]["Choices"][0]["Condition"]
    assert [owner for owner in FaultOwner if f"'{owner}'" in rule] == [FaultOwner.CARD, FaultOwner.REPOSITORY]


@pytest.mark.parametrize("slot", ["", "work-item-processor-lock#slot-2"])
def test_build_variables_are_strings(slot: str) -> None:
    leased = LEASED | {"lease": LEASE | ({"slot": slot} if slot else {})}
    arguments = evaluated(DEFINITIONS["work_item"]["RunBuild"]["Arguments"], bindings(leased))
    variables = {variable["Name"]: variable["Value"] for variable in arguments["EnvironmentVariablesOverride"]}
    assert variables == {
        "WORK_ITEM_ID": "PVTI_1",
        "REPOSITORY": "acme/shop",
        "BRANCH_NAME": "feature/x",
        "COMMIT_SHA": "a" * 40,
        "DEFAULT_COMMIT_SHA": "d" * 40,
        "SPEC_PATH": ".kiro/specs/feature-x",
        "PULL_REQUEST_NUMBER": "7",
        "LOCK_KEY": "work-item-processor-lock",
        "LOCK_FENCE": "1763900000123",
        "LOCK_SLOT": slot,
        "EXECUTION_ARN": ARN,
    }


@pytest.mark.parametrize(
    ("image", "credentials"),
    [
        ("aws/codebuild/standard:7.0", "CODEBUILD"),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/ci@sha256:0a", "SERVICE_ROLE"),
        ("acme/ci", "SERVICE_ROLE"),
        ("acme/aws/codebuild/x", "SERVICE_ROLE"),
    ],
)
def test_build_runs_on_chosen_machine(image: str, credentials: str) -> None:
    """CodeBuild pulls its own images only with its own credentials, and private ones only with the project's role."""
    leased = LEASED | {"work": WORK | {"build": WORK["build"] | {"image": image}}}
    arguments = evaluated(DEFINITIONS["work_item"]["RunBuild"]["Arguments"], bindings(leased))
    assert {key: value for key, value in arguments.items() if key.endswith("Override") and key[0] != "E"} == {
        "ImageOverride": image,
        "ImagePullCredentialsTypeOverride": credentials,
        "ComputeTypeOverride": "BUILD_GENERAL1_MEDIUM",
        "TimeoutInMinutesOverride": 45,
    }


@pytest.mark.parametrize("minutes", [5, 45, 150, 2160])
def test_state_outlasts_its_build(minutes: int) -> None:
    leased = LEASED | {"work": WORK | {"build": WORK["build"] | {"timeoutMinutes": minutes}}}
    seconds = evaluated(DEFINITIONS["work_item"]["RunBuild"]["TimeoutSeconds"], bindings(leased))
    assert seconds == build_state_seconds(minutes)
    assert type(seconds) is int


def token(document: Any = LEASED, **more: Any) -> str:
    return str(
        evaluated(DEFINITIONS["work_item"]["RunBuild"]["Arguments"]["IdempotencyToken"], bindings(document, **more))
    )


def test_idempotency_token_is_per_attempt() -> None:
    """When the response to a start is lost, the retry must get the build that was started, not start a second one."""
    assert token() == token()
    assert token() == hashlib.sha256(f"{ARN}/0/{LEASE['fence']}/false".encode()).hexdigest()
    assert "RetryCount" not in DEFINITIONS["work_item"]["RunBuild"]["Arguments"]["IdempotencyToken"]
    others = [token(redrives=1), token(LEASED | {"lease": LEASE | {"fence": 1}}), token(REPEATED)]
    assert len({token(), *others}) == 4


def test_build_result_is_kept() -> None:
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


@pytest.mark.parametrize(
    ("found", "following"),
    [
        ({"build": BUILD, "repeat": False}, "MarkInReview"),
        ({"build": BUILD, "repeat": True}, "RunBuild"),
        ({"build": BUILD, "repeat": False, "failure": FAILURE | {"error": "TestsFailed"}}, "MarkFailed"),
    ],
    ids=["pushed", "fault", "failed"],
)
@pytest.mark.parametrize("before", [LEASED, REPEATED], ids=["first", "repeated"])
def test_build_result_decides(before: Any, found: Any, following: str) -> None:
    document = output("ReadBuildResult", before | {"failure": FAILURE}, {"Payload": found})
    assert document == before | found
    assert choose("BuildSucceeded", document) == following


def test_unread_build_is_no_success() -> None:
    assert choose("BuildSucceeded", LEASED) == "MarkFailed"
    assert choose("BuildSucceeded", LEASED | {"failure": FAILURE}) == "MarkFailed"


@pytest.mark.parametrize(
    ("document", "state", "following"),
    [
        (BUILT, "MarkInReview", "MarkInReview"),
        (BUILT, "ReleaseLock", "MarkInReview"),
        (LEASED, "ReleaseLock", "FetchWorkItem"),
        (LEASED, "RunBuild", "FetchWorkItem"),
        (VALIDATED, "AcquireLock", "FetchWorkItem"),
    ],
)
def test_redriven_run_repeats_no_finished_work(document: Any, state: str, following: str) -> None:
    assert choose("ResumePoint", document | {"failure": FAILURE | {"state": state}}) == following


def test_end_states_describe_run() -> None:
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
    raised = json.dumps({"errorMessage": HOSTILE, "errorType": "x", "requestId": "1", "stackTrace": ["line 1"]})
    for cause in (HOSTILE, raised):
        moved = LEASED | {"failure": FAILURE | {"error": "WorkItemMoved", "cause": cause}}
        assert output("Done", moved) == {"outcome": "WorkItemMoved", "item": "PVTI_1", "reason": HOSTILE}


@pytest.mark.parametrize("cause", [HOSTILE, json.dumps({"errorMessage": HOSTILE, "errorType": "x"})])
def test_run_that_finds_lock_held_says_why(cause: str) -> None:
    """The run without a card is in :func:`test_run_without_card_says_why`."""
    held = VALIDATED | {"failure": FAILURE | {"state": "AcquireLock", "error": "LockHeld", "cause": cause}}
    described = {"outcome": "WorkInProgressElsewhere", "item": "PVTI_1", "reason": HOSTILE}
    assert output("WorkInProgressElsewhere", held) == described
    for status in ("For Implementation", ""):
        returned = output("ReturnToQueue", held, {"Payload": {"status": status, "commentUrl": "", "commit": ""}})
        assert output("WorkInProgressElsewhere", returned) == described | {"status": status}


EVENT = {"detail": {"executionArn": ARN, "status": "ABORTED", "stopDate": 1763900000123, "cause": None, "error": None}}


def clean_up(state: str, field: str, document: Any) -> Any:
    bound = bindings(document, state)
    bound["context"]["Execution"]["Input"] = EVENT
    return evaluated(DEFINITIONS["clean_up"][state][field], bound)


def test_clean_up_passes_end_of_run() -> None:
    payload = clean_up("ReleaseLock", "Arguments", EVENT)["Payload"]
    assert (payload["executionArn"], payload["state"]) == (ARN, "ReleaseLock")
    assert payload["document"] == {"endedAt": 1763900000123}


@pytest.mark.parametrize("cause", [None, HOSTILE])
def test_clean_up_marks_card_of_lock(cause: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVENT["detail"], "cause", cause)
    held = {"lockKey": "k", "workItemId": "PVTI_1", "repository": "acme/shop", "branch": "feature/x"}
    payload = clean_up("MarkFailed", "Arguments", {"released": True, "held": held, "redriveCount": 0})["Payload"]
    assert payload["document"]["item"]["id"] == "PVTI_1"
    assert payload["document"]["failure"] == {"state": "", "error": "ABORTED", "cause": cause or "", "redriveCount": 0}
    assert payload["document"]["held"] == held
