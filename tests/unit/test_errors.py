from __future__ import annotations

from pathlib import Path

import pytest

from kiro_worker import errors
from kiro_worker.errors import BuildStopped, KiroWorkerError, raise_by_name
from kiro_worker.outcomes import OUTCOMES, FaultOwner, Outcome

ERRORS_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
LEAVES = [
    error
    for error in vars(errors).values()
    if isinstance(error, type)
    and issubclass(error, KiroWorkerError)
    and error is not BuildStopped
    and not error.__subclasses__()
]


@pytest.mark.parametrize("error", LEAVES)
def test_every_error_is_explained_to_operators(error: type[KiroWorkerError]) -> None:
    assert f"| `{error.__name__}` |" in ERRORS_PAGE.read_text("utf-8")


@pytest.mark.parametrize("error", LEAVES)
def test_errors_page_names_owner(error: type[KiroWorkerError]) -> None:
    [row] = [line for line in ERRORS_PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{error.__name__}` |")]
    assert row.split(" | ")[2] == (error.owner or "no one")


OWNERS = {
    FaultOwner.INSTALLATION: {
        "ConfigurationMissing",
        "ConfigurationInvalid",
        "ProjectNotFound",
        "StatusNotFound",
        "BuildProjectMissing",
        "BuildImageUnsuitable",
        "AgentNotPinned",
        "SecretMissing",
        "SecretPendingDeletion",
        "SecretEmpty",
        "SecretPlaceholder",
        "SecretMalformed",
        "AwsAccessDenied",
        "AwsResourceMissing",
        "GitHubTokenInvalid",
        "GitHubScopesInsufficient",
    },
    FaultOwner.SERVICE: {
        "AwsUnavailable",
        "StepFailed",
        "GitHubUnavailable",
        "GitHubRateLimited",
        "GitHubAnswerInvalid",
    },
    FaultOwner.REPOSITORY: {"GitHubForbidden", "GitHubRefused"},
    FaultOwner.CARD: {
        "InvalidExecutionInput",
        "WorkItemNotFound",
        "WorkItemInvalid",
        "WorkItemRefused",
        "WorkItemMoved",
    },
    None: {"LockHeld", "ScopedLockHeld", "PinnedLockHeld", "LockLost"},
}


def test_every_error_has_owner() -> None:
    found: dict[FaultOwner | None, set[str]] = {}
    for error in LEAVES:
        found.setdefault(error("it broke").owner, set()).add(error.__name__)
    assert found == OWNERS


@pytest.mark.parametrize("outcome", Outcome)
def test_stopped_build_has_outcomes_owner(outcome: Outcome) -> None:
    assert BuildStopped(outcome, "it broke").owner is OUTCOMES[outcome].owner


def test_stopped_build_names_its_outcome() -> None:
    stopped = BuildStopped(Outcome.TESTS_FAILED, "2 of 9 tests failed", "fix them", "AssertionError")
    assert str(stopped) == "TestsFailed: 2 of 9 tests failed\nHow to fix: fix them"
    assert stopped.details == "AssertionError"


def test_error_has_reason_and_remedy() -> None:
    assert str(KiroWorkerError("it broke", "glue it")) == "it broke\nHow to fix: glue it"
    assert str(KiroWorkerError("it broke")) == "it broke"


@pytest.mark.parametrize("name", ["WorkItemMoved", "States.TaskFailed", "Lambda.Unknown"])
def test_error_is_raised_under_any_name(name: str) -> None:
    with pytest.raises(KiroWorkerError, match="why") as caught:
        raise_by_name(name, "why")
    assert type(caught.value).__name__ == name
