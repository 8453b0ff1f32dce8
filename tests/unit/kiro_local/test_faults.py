from __future__ import annotations

import pytest

from kiro_local.aws.step_fault import Means, Moment
from kiro_local.faults import UnknownFault, kinds_of, parse_fault, states


def test_a_fault_is_a_state_of_a_machine_and_what_happens_to_it() -> None:
    fault = parse_fault("MarkInReview:answer-lost:always")
    assert (fault.machine, fault.state, fault.always) == ("kiro-worker-test", "MarkInReview", True)
    assert (fault.means, fault.moment, fault.error) == (Means.ERROR, Moment.AFTER, "Lambda.SdkClientException")
    assert parse_fault("clean-up/ReleaseLock:killed").machine == "kiro-worker-test-clean-up"
    assert parse_fault("ValidateWorkItem:GitHubForbidden").error == "GitHubForbidden"
    ending = parse_fault("RunBuild:TestsFailed").ending
    assert ending is not None
    assert ending.exported["OUTCOME"] == "TestsFailed"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("MarkInReviw:killed", "did you mean 'MarkInReview'?; known are: FetchWorkItem, WorkItemFound"),
        ("MarkInReview:kiled", "did you mean 'killed'?; known are: service-error, throttled"),
        ("WorkItemFound:throttled", "'throttled' cannot happen to WorkItemFound"),
        ("RunBuild:GitHubForbidden", "cannot happen to RunBuild"),
        ("MarkInReview:killed:twice", "only :always can follow"),
        ("", "there is no state ''"),
    ],
)
def test_what_cannot_happen_is_refused_by_name_with_what_can(text: str, says: str) -> None:
    with pytest.raises(UnknownFault) as refused:
        parse_fault(text)
    assert says in str(refused.value)


def test_something_can_happen_to_every_state() -> None:
    assert all(kinds_of(state) for state in states())
