"""What the definitions promise to the code, to redrive and to the lock."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from kiro_worker import errors

ROOT = Path(__file__).parents[3]
FILES = ("work_item", "clean_up")
LAMBDA_SERVICE_ERRORS = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
}
# Success of these frees the lock, or nothing held it.
RELEASES = {"ReleaseLock", "ReleaseLockAfterFailure"}


def definition(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "statemachine" / f"{name}.asl.json").read_text("utf-8"))
    return loaded


def states(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = definition(name)["States"]
    return found


def tasks(name: str) -> list[tuple[str, dict[str, Any]]]:
    return [(state, body) for state, body in states(name).items() if body["Type"] == "Task"]


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


@pytest.mark.parametrize("name", FILES)
def test_the_interpreter_parses_it(name: str) -> None:
    AmazonStateLanguageParser.parse(json.dumps(definition(name)))


@pytest.mark.parametrize("name", FILES)
def test_it_is_jsonata_without_variables_and_ends_by_itself(name: str) -> None:
    assert definition(name)["QueryLanguage"] == "JSONata"
    assert definition(name)["TimeoutSeconds"] > 0
    assert '"Assign"' not in json.dumps(definition(name))


@pytest.mark.parametrize("name", FILES)
def test_every_state_is_reached_and_every_target_exists(name: str) -> None:
    reached, waiting = set(), [definition(name)["StartAt"]]
    while waiting:
        state = waiting.pop()
        if state not in reached:
            reached.add(state)
            waiting.extend(successors(states(name)[state]))
    assert reached == set(states(name))


@pytest.mark.parametrize("name", FILES)
def test_every_placeholder_names_a_steps_folder(name: str) -> None:
    placeholders = set(re.findall(r"\$\{(\w+)\}", json.dumps(definition(name))))
    folders = {folder.name for folder in (ROOT / "functions").iterdir() if (folder / "handler.py").is_file()}
    camel = {"".join(part.capitalize() for part in folder.split("_")) + "FunctionArn" for folder in folders}
    assert placeholders - {"CodeBuildProjectName"} <= camel
    if name == "work_item":
        assert placeholders == camel | {"CodeBuildProjectName"}


@pytest.mark.parametrize("name", FILES)
def test_every_task_has_a_timeout_and_every_lambda_the_service_retries(name: str) -> None:
    for state, body in tasks(name):
        assert body["TimeoutSeconds"] > 0, state
        if "lambda" in body["Resource"]:
            assert set(body["Retry"][0]["ErrorEquals"]) == LAMBDA_SERVICE_ERRORS, state
            assert all(rule["JitterStrategy"] == "FULL" and rule["MaxDelaySeconds"] for rule in body["Retry"]), state


@pytest.mark.parametrize("name", FILES)
def test_a_task_is_not_given_longer_than_the_machine(name: str) -> None:
    assert all(body["TimeoutSeconds"] < definition(name)["TimeoutSeconds"] for _, body in tasks(name))


@pytest.mark.parametrize("name", FILES)
def test_every_error_of_ours_that_is_named_exists(name: str) -> None:
    named = {
        error
        for _, body in tasks(name)
        for rule in [*body.get("Retry", []), *body.get("Catch", [])]
        for error in rule["ErrorEquals"]
        if "." not in error
    }
    assert named
    assert [error for error in named if not hasattr(errors, error)] == []


def test_a_build_that_ran_is_never_retried() -> None:
    retried = [error for rule in states("work_item")["RunBuild"]["Retry"] for error in rule["ErrorEquals"]]
    assert retried
    assert all(error.startswith("CodeBuild.") for error in retried)


def paths_to_an_end(name: str, start: str, without: set[str]) -> list[list[str]]:
    """Every way, each state once, from ``start`` to a state without a successor, that passes none of ``without``."""
    found, waiting = [], [[start]]
    while waiting:
        path = waiting.pop()
        following = list(successors(states(name)[path[-1]]))
        if not following:
            found.append(path)
        waiting.extend([*path, state] for state in following if state not in path and state not in without)
    return found


def test_every_path_from_acquire_lock_to_an_end_passes_a_release() -> None:
    # Two ways out of AcquireLock itself hold nothing: the lock was another's.
    not_held = {
        rule["Next"] for rule in states("work_item")["AcquireLock"]["Catch"] if rule["ErrorEquals"] != ["States.ALL"]
    }
    assert not_held == {"WorkInProgressElsewhere", "FetchWorkItem"}
    for held in ("MarkInProgress", "MarkInReview", "MarkFailed"):
        assert paths_to_an_end("work_item", held, RELEASES) == []


def test_every_failure_under_the_lock_is_caught() -> None:
    """A state that fails uncaught ends the execution where it stands, with the lock in its hand."""
    under_the_lock = {"AcquireLock", "MarkInProgress", "RunBuild", "MarkInReview", "ReleaseLock", "MarkFailed"}
    for state in [*under_the_lock, "ReleaseLockAfterFailure"]:
        assert any(rule["ErrorEquals"] == ["States.ALL"] for rule in states("work_item")[state]["Catch"]), state


def test_only_fail_run_fails_a_run_that_held_the_lock() -> None:
    assert "Fail" not in {body["Type"] for body in states("work_item").values()}
    uncaught = {state for state, body in tasks("work_item") if "Catch" not in body}
    assert uncaught == {"FetchWorkItem", "RejectWorkItem", "FailRun"}


def test_a_tick_that_finds_nothing_passes_three_states_and_a_full_run_at_most_twelve() -> None:
    assert [definition("work_item")["StartAt"], "WorkItemFound", "NothingToDo"] == [
        "FetchWorkItem",
        "WorkItemFound",
        "NothingToDo",
    ]
    path = ["FetchWorkItem"]
    while (body := states("work_item")[path[-1]])["Type"] != "Succeed":
        path.append(body.get("Next") or body["Choices"][0]["Next"])
    assert path[-1] == "Done"
    assert len(path) <= 12


@pytest.mark.parametrize("name", FILES)
def test_every_expression_is_whole(name: str) -> None:
    for text in texts(definition(name)):
        assert text.startswith("{%") == text.endswith("%}"), text
