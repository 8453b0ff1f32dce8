from __future__ import annotations

import pytest

from kiro_local.aws.step_fault import Means, Moment
from kiro_local.faults import UnknownFault, kinds_of, parse_fault, states


def test_fault_is_parsed() -> None:
    fault = parse_fault("MarkInReview:answer-lost:always")
    assert (fault.machine, fault.state, fault.always) == ("kiro-worker-test", "MarkInReview", True)
    assert (fault.means, fault.moment, fault.error) == (Means.ERROR, Moment.AFTER, "Lambda.SdkClientException")
    assert parse_fault("clean-up/ReleaseLock:killed").machine == "kiro-worker-test-clean-up"
    assert parse_fault("ValidateWorkItem:GitHubForbidden").error == "GitHubForbidden"
    start = parse_fault("StartNextRun:run-start-lost")
    assert (start.moment, start.error) == (Moment.AFTER, "StepFunctions.SdkClientException")
    ending = parse_fault("RunBuild:TestsFailed").ending
    assert ending is not None
    assert ending.exported["OUTCOME"] == "TestsFailed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MarkInReviw:killed", "did you mean 'MarkInReview'?; known names: FetchWorkItem, WorkItemFound"),
        ("MarkInReview:kiled", "did you mean 'killed'?; known names: service-error, throttled"),
        ("WorkItemFound:throttled", "'throttled' cannot happen to WorkItemFound"),
        ("RunBuild:GitHubForbidden", "cannot happen to RunBuild"),
        ("RunBuild:run-throttled", "cannot happen to RunBuild"),
        ("StartNextRun:killed", "cannot happen to StartNextRun"),
        ("StartNextRun:GitHubForbidden", "cannot happen to StartNextRun"),
        ("MarkInReview:killed:twice", "only :always can follow"),
        ("", "there is no state ''"),
    ],
)
def test_unknown_fault_lists_known_ones(text: str, message: str) -> None:
    with pytest.raises(UnknownFault) as error:
        parse_fault(text)
    assert message in str(error.value)


def test_every_state_has_faults() -> None:
    assert all(kinds_of(state) for state in states())


@pytest.mark.parametrize("state", ["StartParallelRun", "StartNextRun", "StartNextRunAfterFailure"])
def test_start_of_execution_has_its_own_faults(state: str) -> None:
    assert kinds_of(state) == [
        "run-throttled",
        "run-service-error",
        "run-start-lost",
        "state-timed-out",
        "done-late",
        "aborted",
        "aborted-after",
        "timed-out",
        "timed-out-after",
        "runtime-error",
        "runtime-error-after",
    ]
