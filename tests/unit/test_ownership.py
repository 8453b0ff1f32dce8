"""Who has to act on each failure that a run can have."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.builds.failure import BuildFailure
from kiro_worker.errors import ERRORS, ERRORS_OF_BUILDS
from kiro_worker.models import Failure
from kiro_worker.outcomes import OUTCOMES, FaultOwner, Outcome
from kiro_worker.ownership import owner_of

LOCK = {"LockLost", "LockError", *(error.__name__ for error in ERRORS["LockError"].__subclasses__())}


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - {Outcome.SUCCEEDED}))
def test_outcome_has_its_owner(outcome: Outcome) -> None:
    assert owner_of(Failure("RunBuild", outcome)) is OUTCOMES[outcome].owner


def test_failure_after_success_is_a_service_failure() -> None:
    assert owner_of(Failure("", "Succeeded")) is FaultOwner.SERVICE


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("state", ["RunBuild", "MarkInReview", ""])
def test_error_has_its_owner(state: str, name: str) -> None:
    # No build reports any other name, so RunBuild has failed without one.
    is_of_build = name in ERRORS_OF_BUILDS | {"LockLost"}

    assert owner_of(Failure(state, name)) is (
        ERRORS[name].owner if is_of_build or state != "RunBuild" else FaultOwner.SERVICE
    )


@pytest.mark.parametrize("name", BuildFailure)
def test_build_failure_has_owner(name: BuildFailure) -> None:
    assert owner_of(Failure("RunBuild", name)) is FaultOwner.SERVICE
    assert owner_of(Failure("RunBuild", name, owner="installation")) is FaultOwner.INSTALLATION


@pytest.mark.parametrize("owner", FaultOwner)
def test_own_owner_comes_first(owner: FaultOwner) -> None:
    assert owner_of(Failure("RunBuild", "LockLost", owner=owner)) is owner


def test_explained_build_has_owner_of_explanation() -> None:
    phase = {"PhaseType": "DOWNLOAD_SOURCE", "PhaseStatus": "FAILED", "Contexts": [{"Message": "Access Denied"}]}
    cause = json.dumps({"Build": {"Id": "b:1", "BuildStatus": "FAILED", "Phases": [phase]}})

    assert owner_of(Failure("RunBuild", "States.TaskFailed", cause)) is FaultOwner.INSTALLATION


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("States.Timeout", FaultOwner.SERVICE),
        ("Timeout", FaultOwner.SERVICE),
        ("States.Runtime", FaultOwner.SERVICE),
        ("Sandbox.Timedout", FaultOwner.SERVICE),
        ("Lambda.Unknown", FaultOwner.SERVICE),
        ("Lambda.TooManyRequestsException", FaultOwner.SERVICE),
        ("Runtime.ExitError", FaultOwner.SERVICE),
        ("KeyError", FaultOwner.SERVICE),
        ("ABORTED", FaultOwner.SERVICE),
        ("", FaultOwner.SERVICE),
        ("Lambda.ResourceNotFoundException", FaultOwner.INSTALLATION),
        ("Lambda.AccessDeniedException", FaultOwner.INSTALLATION),
        ("Lambda.KMSAccessDeniedException", FaultOwner.INSTALLATION),
        ("States.Permissions", FaultOwner.INSTALLATION),
        ("Permissions", FaultOwner.INSTALLATION),
    ],
)
def test_platform_error_has_owner(name: str, owner: FaultOwner) -> None:
    assert owner_of(Failure("MarkInReview", name)) is owner


@given(st.builds(Failure, st.sampled_from(["", "RunBuild", "MarkFailed"]), st.text(), st.text(), owner=st.text()))
def test_only_lost_lock_has_no_owner(failure: Failure) -> None:
    assert (owner_of(failure) is None) == (failure.name in LOCK)
