"""What the code, a redrive and the lock rely on in the definitions.

States, retriers and catchers are compared with the lists stored here. The fault matrix derives its cells from the
definitions, so a rule that disappears from a definition takes its own cells with it; only a stored list notices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from infra.machine import DEFAULT_MINUTES
from kiro_local.aws.jsonata import evaluate
from kiro_worker import errors
from tests.support.definitions import MACHINES, ROOT, definition, states, steps, tasks

# ------------------------------------------------------------------------------------------- stored: states
# Type, and the next states: of a Choice those of its rules in order, then the default. Catchers are below.
STATES = {
    "work_item": {
        "FetchWorkItem": ("Task", ["WorkItemFound"]),
        "WorkItemFound": (
            "Choice",
            [
                "ValidateWorkItem",
                "CardsPassedOver",
                "WorkInProgressElsewhere",
                "Paused",
                "InstallationUnavailable",
                "NothingToDo",
            ],
        ),
        "NothingToDo": ("Succeed", []),
        "CardsPassedOver": ("Succeed", []),
        "Paused": ("Succeed", []),
        "InstallationUnavailable": ("Succeed", []),
        "ValidateWorkItem": ("Task", ["AcquireLock"]),
        "RejectWorkItem": ("Task", ["FetchWorkItem"]),
        "AcquireLock": ("Task", ["MarkInProgress"]),
        "ReturnToQueue": ("Task", ["WorkInProgressElsewhere"]),
        "WorkInProgressElsewhere": ("Succeed", []),
        "MarkInProgress": ("Task", ["ParallelRunAllowed"]),
        "ParallelRunAllowed": ("Choice", ["StartParallelRun", "RunBuild"]),
        "StartParallelRun": ("Task", ["RunBuild"]),
        "RunBuild": ("Task", ["MarkInReview"]),
        "ReadBuildResult": ("Task", ["BuildSucceeded"]),
        "BuildSucceeded": ("Choice", ["MarkInReview", "RunBuild", "MarkFailed"]),
        "MarkInReview": ("Task", ["ReleaseLock"]),
        "ReleaseLock": ("Task", ["WorkItemBuilt"]),
        "WorkItemBuilt": ("Choice", ["StartNextRun", "Done"]),
        "StartNextRun": ("Task", ["Done"]),
        "Done": ("Succeed", []),
        "MarkFailed": ("Task", ["ReleaseLockAfterFailure"]),
        "ReleaseLockAfterFailure": ("Task", ["NextRunAllowed"]),
        "NextRunAllowed": ("Choice", ["StartNextRunAfterFailure", "FailRun"]),
        "StartNextRunAfterFailure": ("Task", ["FailRun"]),
        "FailRun": ("Task", ["ResumePoint"]),
        "ResumePoint": ("Choice", ["MarkInReview", "FetchWorkItem"]),
    },
    "clean_up": {
        "ReleaseLock": ("Task", ["LockFreed"]),
        "LockFreed": ("Choice", ["MarkFailed", "NothingToDo"]),
        "NothingToDo": ("Succeed", []),
        "MarkFailed": ("Task", ["Done"]),
        "Done": ("Succeed", []),
    },
}

# ----------------------------------------------------------------------------------------- stored: retriers
LAMBDA = (
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
)
AWS = (*LAMBDA, "AwsUnavailable")
UNAVAILABLE = ("GitHubUnavailable",)
RATE_LIMITED = ("GitHubRateLimited",)
CODEBUILD = (
    "CodeBuild.AccountLimitExceededException",
    "CodeBuild.ThrottlingException",
    "CodeBuild.AWSCodeBuildException",
    "CodeBuild.SdkClientException",
)
# Attempts after the first, and the longest total wait between them in seconds (the jitter only shortens it).
RETRY_LIMITS = {
    LAMBDA: (5, 31),
    AWS: (5, 31),
    UNAVAILABLE: (4, 75),
    RATE_LIMITED: (4, 900),
    CODEBUILD: (6, 765),
}
OWN_RECORDS = [AWS]
GITHUB = [AWS, UNAVAILABLE, RATE_LIMITED]
RETRIERS = {
    "work_item": {
        "FetchWorkItem": GITHUB,
        "ValidateWorkItem": GITHUB,
        "RejectWorkItem": GITHUB,
        "AcquireLock": OWN_RECORDS,
        "ReturnToQueue": GITHUB,
        "MarkInProgress": GITHUB,
        # The schedule looks at the queue anyway, so a start that failed is not repeated.
        "StartParallelRun": [],
        "RunBuild": [CODEBUILD],
        "ReadBuildResult": GITHUB,
        "MarkInReview": GITHUB,
        "ReleaseLock": OWN_RECORDS,
        "StartNextRun": [],
        "MarkFailed": GITHUB,
        "ReleaseLockAfterFailure": OWN_RECORDS,
        "StartNextRunAfterFailure": [],
        # FailRun raises the run's own failure, which can be AwsUnavailable.
        "FailRun": [LAMBDA],
    },
    "clean_up": {"ReleaseLock": OWN_RECORDS, "MarkFailed": GITHUB},
}

# ----------------------------------------------------------------------------------------- stored: catchers
ALL = "States.ALL"
NOTE_FAILURE = (
    "{% $merge([$states.input, {'failure': {'state': $states.context.State.Name, 'error': $states.errorOutput.Error,"
    " 'cause': $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : '',"
    " 'redriveCount': $states.context.Execution.RedriveCount}}]) %}"
)
NOTE_FAILURE_AND_REPORT = NOTE_FAILURE.replace("}}]) %}", "}, 'reportPending': true}]) %}")
NOTE_REPORT = "{% $merge([$states.input, {'reportPending': true}]) %}"
KEEP_INPUT = "{% $states.input %}"
# The errors with which a check can fail because of the card that it is about.
OF_CARD = (
    "StepFailed",
    "GitHubUnavailable",
    "GitHubAnswerInvalid",
    "GitHubForbidden",
    "GitHubRefused",
    "States.Timeout",
    "Sandbox.Timedout",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Runtime.OutOfMemory",
)
PASS_OVER = [(error, NOTE_FAILURE, "FetchWorkItem") for error in OF_CARD]
# State: (error, output, next state), in the order in which Step Functions tries the catchers.
CATCHERS: dict[str, dict[str, list[tuple[str, Any, str]]]] = {
    "work_item": {
        "ValidateWorkItem": [("WorkItemInvalid", NOTE_FAILURE, "RejectWorkItem"), *PASS_OVER],
        "RejectWorkItem": PASS_OVER,
        "AcquireLock": [
            ("LockHeld", NOTE_FAILURE, "WorkInProgressElsewhere"),
            ("ScopedLockHeld", NOTE_FAILURE, "FetchWorkItem"),
            ("PinnedLockHeld", NOTE_FAILURE, "ReturnToQueue"),
            (ALL, NOTE_FAILURE, "ReleaseLockAfterFailure"),
        ],
        "ReturnToQueue": [(ALL, NOTE_FAILURE, "ReleaseLockAfterFailure")],
        "MarkInProgress": [
            ("WorkItemMoved", NOTE_FAILURE, "ReleaseLock"),
            (ALL, NOTE_FAILURE, "MarkFailed"),
        ],
        "StartParallelRun": [(ALL, KEEP_INPUT, "RunBuild")],
        "RunBuild": [(ALL, NOTE_FAILURE, "ReadBuildResult")],
        "ReadBuildResult": [(ALL, KEEP_INPUT, "MarkFailed")],
        "MarkInReview": [(ALL, NOTE_FAILURE_AND_REPORT, "ReleaseLockAfterFailure")],
        "ReleaseLock": [(ALL, NOTE_FAILURE, "ReleaseLockAfterFailure")],
        "StartNextRun": [(ALL, KEEP_INPUT, "Done")],
        "MarkFailed": [(ALL, NOTE_REPORT, "ReleaseLockAfterFailure")],
        "ReleaseLockAfterFailure": [(ALL, KEEP_INPUT, "FailRun")],
        "StartNextRunAfterFailure": [(ALL, KEEP_INPUT, "FailRun")],
    },
    "clean_up": {},
}

# ------------------------------------------------------------------------------- stored: arguments of the steps
PAYLOAD = {
    "executionArn": "{% $states.context.Execution.Id %}",
    "redriveCount": "{% $states.context.Execution.RedriveCount %}",
    "executionInput": "{% $states.context.Execution.Input %}",
    "state": "{% $states.context.State.Name %}",
    "document": "{% $states.input %}",
}
FUNCTIONS = {
    "work_item": {
        "FetchWorkItem": "FetchWorkItem",
        "ValidateWorkItem": "ValidateWorkItem",
        "RejectWorkItem": "UpdateStatus",
        "AcquireLock": "AcquireLock",
        "ReturnToQueue": "UpdateStatus",
        "MarkInProgress": "UpdateStatus",
        "ReadBuildResult": "ReadBuildResult",
        "MarkInReview": "UpdateStatus",
        "ReleaseLock": "ReleaseLock",
        "MarkFailed": "UpdateStatus",
        "ReleaseLockAfterFailure": "ReleaseLock",
        "FailRun": "FailRun",
    },
    "clean_up": {"ReleaseLock": "ReleaseLock", "MarkFailed": "UpdateStatus"},
}

# A Task that starts another run of the same machine, and does not wait for it.
STARTS = {"StartParallelRun", "StartNextRun", "StartNextRunAfterFailure"}
START = {
    "StateMachineArn": "{% $states.context.StateMachine.Id %}",
    "Name": (
        "{% 'chain-' & $hash($states.context.Execution.Id & '/' & $states.context.Execution.RedriveCount & '/' &"
        " $states.context.State.Name, 'SHA-256') %}"
    ),
    "Input": {"trigger": "chain"},
}

# Success of these frees the lock, or proves that the execution does not hold it.
RELEASES = {"ReleaseLock", "ReleaseLockAfterFailure"}


def successors(state: dict[str, Any]) -> Iterator[str]:
    for rule in [state, *state.get("Catch", []), *state.get("Choices", [])]:
        if "Next" in rule:
            yield rule["Next"]
    if "Default" in state:
        yield state["Default"]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)


def without_comment(rule: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key != "Comment"}


def retriers(machine: str) -> list[dict[str, Any]]:
    return [without_comment(rule) for state in tasks(machine).values() for rule in state.get("Retry", ())]


def longest_wait(retrier: dict[str, Any]) -> float:
    """The seconds of all pauses together, without jitter."""
    pauses = (retrier["IntervalSeconds"] * retrier["BackoffRate"] ** n for n in range(retrier["MaxAttempts"]))
    return float(sum(min(pause, retrier["MaxDelaySeconds"]) for pause in pauses))


@pytest.mark.parametrize("machine", MACHINES)
def test_states_match_stored_list(machine: str) -> None:
    found = {
        name: (state["Type"], list(successors({key: value for key, value in state.items() if key != "Catch"})))
        for name, state in states(machine).items()
    }
    assert found == STATES[machine]


@pytest.mark.parametrize("machine", MACHINES)
def test_retriers_match_stored_list(machine: str) -> None:
    found = {
        name: [tuple(rule["ErrorEquals"]) for rule in state.get("Retry", ())] for name, state in tasks(machine).items()
    }
    assert found == RETRIERS[machine]


def test_retry_limits_match_stored_list() -> None:
    found = {
        (tuple(rule["ErrorEquals"]), (rule["MaxAttempts"], longest_wait(rule)))
        for machine in MACHINES
        for rule in retriers(machine)
    }
    assert found == set(RETRY_LIMITS.items())


def test_same_errors_have_same_retrier() -> None:
    """All retriers of an error are equal, in both definitions."""
    first: dict[tuple[str, ...], dict[str, Any]] = {}
    for rule in [*retriers("work_item"), *retriers("clean_up")]:
        assert first.setdefault(tuple(rule["ErrorEquals"]), rule) == rule
        assert rule["JitterStrategy"] == "FULL"


@pytest.mark.parametrize("machine", MACHINES)
def test_catchers_match_stored_list(machine: str) -> None:
    found = {
        name: [(error, rule["Output"], rule["Next"]) for rule in state["Catch"] for error in rule["ErrorEquals"]]
        for name, state in tasks(machine).items()
        if "Catch" in state
    }
    assert found == CATCHERS[machine]


@pytest.mark.parametrize("machine", MACHINES)
def test_functions_match_stored_list(machine: str) -> None:
    found = {name: state["Arguments"]["FunctionName"] for name, state in steps(machine).items()}
    assert found == {name: f"${{{function}FunctionArn}}" for name, function in FUNCTIONS[machine].items()}


def test_every_step_gets_same_payload() -> None:
    for name, state in steps("work_item").items():
        assert state["Arguments"].keys() == {"FunctionName", "Payload"}, name
        assert state["Arguments"]["Payload"] == PAYLOAD, name


def test_started_run_gets_its_name_from_run_and_state() -> None:
    started = {name: state for name, state in tasks("work_item").items() if "states:::states" in state["Resource"]}
    assert started.keys() == STARTS
    for name, state in started.items():
        assert state["Resource"] == "arn:aws:states:::states:startExecution", name
        assert state["Arguments"] == START, name
        assert state["Output"] == KEEP_INPUT, name
        assert state["Next"] == state["Catch"][0]["Next"], "a failed start changes nothing for the run"


def test_clean_up_sends_same_keys() -> None:
    for name, state in steps("clean_up").items():
        assert state["Arguments"]["Payload"].keys() == PAYLOAD.keys(), name


@pytest.mark.parametrize("machine", MACHINES)
def test_interpreter_parses_definition(machine: str) -> None:
    AmazonStateLanguageParser.parse(json.dumps(definition(machine)))


@pytest.mark.parametrize("machine", MACHINES)
def test_definition_has_no_variables(machine: str) -> None:
    assert definition(machine)["QueryLanguage"] == "JSONata"
    assert definition(machine)["TimeoutSeconds"] > 0
    assert '"Assign"' not in json.dumps(definition(machine))


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_is_reachable(machine: str) -> None:
    reached, waiting = set(), [definition(machine)["StartAt"]]
    while waiting:
        state = waiting.pop()
        if state not in reached:
            reached.add(state)
            waiting.extend(successors(states(machine)[state]))
    assert reached == set(states(machine))


@pytest.mark.parametrize("machine", MACHINES)
def test_every_placeholder_names_function(machine: str) -> None:
    placeholders = set(re.findall(r"\$\{(\w+)\}", json.dumps(definition(machine))))
    folders = {folder.name for folder in (ROOT / "functions").iterdir() if (folder / "handler.py").is_file()}
    camel = {"".join(part.capitalize() for part in folder.split("_")) + "FunctionArn" for folder in folders}
    assert placeholders - {"CodeBuildProjectName"} <= camel
    if machine == "work_item":
        assert placeholders == camel | {"CodeBuildProjectName"}


@pytest.mark.parametrize("machine", MACHINES)
def test_steps_retry_errors_of_aws_first(machine: str) -> None:
    for name, state in tasks(machine).items():
        assert seconds(state, DEFAULT_MINUTES) > 0, name
        assert all(rule["JitterStrategy"] == "FULL" and rule["MaxDelaySeconds"] for rule in state.get("Retry", ())), (
            name
        )
    for name, state in steps(machine).items():
        assert tuple(state["Retry"][0]["ErrorEquals"]) == (LAMBDA if name == "FailRun" else AWS), name


def seconds(state: dict[str, Any], build_minutes: int) -> int:
    """The timeout of a Task; RunBuild's depends on its build."""
    timeout = state["TimeoutSeconds"]
    if isinstance(timeout, str):
        work = {"build": {"timeoutMinutes": build_minutes}}
        timeout = evaluate(timeout, {"states": {"input": {"work": work}}})
    assert isinstance(timeout, int)
    return timeout


@pytest.mark.parametrize("machine", MACHINES)
def test_every_task_ends_before_machine(machine: str) -> None:
    longest = definition(machine)["TimeoutSeconds"]
    assert all(seconds(state, DEFAULT_MINUTES) < longest for state in tasks(machine).values())


@pytest.mark.parametrize("machine", MACHINES)
def test_every_named_error_class_exists(machine: str) -> None:
    named = {
        error
        for state in tasks(machine).values()
        for rule in [*state.get("Retry", []), *state.get("Catch", [])]
        for error in rule["ErrorEquals"]
        if "." not in error
    }
    assert named
    assert [error for error in named if not hasattr(errors, error)] == []


def test_finished_build_is_never_retried() -> None:
    retried = [error for rule in states("work_item")["RunBuild"]["Retry"] for error in rule["ErrorEquals"]]
    assert retried
    assert all(error.startswith("CodeBuild.") for error in retried)


def paths(machine: str, start: str, without: set[str]) -> Iterator[list[str]]:
    """Every path from ``start`` that visits no state twice and none of ``without``."""
    waiting = [[start]]
    while waiting:
        path = waiting.pop()
        yield path
        following = successors(states(machine)[path[-1]])
        waiting.extend([*path, state] for state in following if state not in path and state not in without)


def paths_to_an_end(machine: str, start: str, without: set[str]) -> list[list[str]]:
    """Those of :func:`paths` that lead to a state without a successor."""
    return [path for path in paths(machine, start, without) if not list(successors(states(machine)[path[-1]]))]


def test_every_path_under_lock_releases_it() -> None:
    # These transitions from AcquireLock hold nothing, because another run has the lock.
    not_held = {
        rule["Next"] for rule in states("work_item")["AcquireLock"]["Catch"] if rule["ErrorEquals"] != ["States.ALL"]
    }
    assert not_held == {"WorkInProgressElsewhere", "FetchWorkItem", "ReturnToQueue"}
    for held in ("MarkInProgress", "MarkInReview", "MarkFailed"):
        assert paths_to_an_end("work_item", held, RELEASES) == []


def test_every_failure_under_lock_is_caught() -> None:
    """An uncaught failure ends the execution at that state, while it holds the lock."""
    under_the_lock = ["AcquireLock", "MarkInProgress", "StartParallelRun", "RunBuild", "ReadBuildResult"]
    for state in [*under_the_lock, "MarkInReview", "ReleaseLock", "MarkFailed", "ReleaseLockAfterFailure"]:
        assert any(rule["ErrorEquals"] == ["States.ALL"] for rule in states("work_item")[state]["Catch"]), state


def test_only_fail_run_fails_under_lock() -> None:
    assert "Fail" not in {state["Type"] for state in states("work_item").values()}
    uncaught = {name for name, state in tasks("work_item").items() if "Catch" not in state}
    assert uncaught == {"FetchWorkItem", "FailRun"}


def test_next_run_starts_after_lock_is_free() -> None:
    """It would find the lock held, and end without a card."""
    for start in ("StartNextRun", "StartNextRunAfterFailure"):
        for held in ("MarkInProgress", "RunBuild", "MarkInReview", "MarkFailed"):
            found = [path for path in paths("work_item", held, RELEASES) if path[-1] == start]
            assert found == [], f"{start} can be reached under the lock"


def test_idle_tick_passes_three_states() -> None:
    work_item = states("work_item")
    assert definition("work_item")["StartAt"] == "FetchWorkItem"
    assert work_item["FetchWorkItem"]["Next"] == "WorkItemFound"
    assert work_item["WorkItemFound"]["Default"] == "NothingToDo"
    assert work_item["NothingToDo"]["Type"] == "Succeed"


def test_complete_run_passes_few_states() -> None:
    path = [definition("work_item")["StartAt"]]
    while (state := states("work_item")[path[-1]])["Type"] != "Succeed":
        path.append(state.get("Next") or state["Choices"][0]["Next"])
    assert path[-1] == "Done"
    # With the start of both other runs; a transition costs $0.000025.
    assert len(path) <= 13


@pytest.mark.parametrize("machine", MACHINES)
def test_every_expression_is_complete(machine: str) -> None:
    for text in texts(definition(machine)):
        assert text.startswith("{%") == text.endswith("%}"), text
