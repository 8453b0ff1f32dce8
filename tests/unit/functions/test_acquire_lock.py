from __future__ import annotations

import pytest

from kiro_worker.errors import ConfigurationMissing, LockHeld, PinnedLockHeld, ScopedLockHeld, StepFailed
from tests.unit.functions.conftest import ARN, WORK, Aws, Call

DOCUMENT = {
    "item": {"id": "CARD"},
    "work": WORK | {"addedLater": "ignored"},
}
HOLDER = {
    "lockKey": {"S": "work-item-processor-lock"},
    "owner": {"S": f"{ARN}-other"},
    "fence": {"N": "1"},
    "expiresAt": {"N": "1"},
}


def test_lease_is_returned(call: Call, aws: Aws) -> None:
    lease = call("AcquireLock", DOCUMENT)
    [update] = aws.updates
    values = update["ExpressionAttributeValues"]
    assert set(lease) == {"lockKey", "owner", "fence", "expiresAt", "slot"}
    assert (lease["lockKey"], lease["owner"], lease["slot"]) == ("work-item-processor-lock", ARN, "")
    assert lease["expiresAt"] - lease["fence"] // 1000 == 7200
    assert (values[":item"], values[":repository"]) == ({"S": "CARD"}, {"S": "acme/shop"})
    assert values[":branch"] == {"S": "feature/x"}


def test_lock_scope_comes_from_configuration(call: Call, aws: Aws) -> None:
    aws.configuration |= {"lockScope": "branch", "maxConcurrentBuilds": None}
    lease = call("AcquireLock", DOCUMENT)
    assert lease["lockKey"] == "work-item-processor-lock#acme/shop#feature/x"


@pytest.mark.parametrize(
    ("pinned", "redrives", "card", "error"),
    [
        (False, 0, "OTHER", ScopedLockHeld),
        (True, 0, "OTHER", PinnedLockHeld),
        (False, 1, "OTHER", PinnedLockHeld),
        (True, 0, "", PinnedLockHeld),
        (True, 0, "CARD", LockHeld),
    ],
)
def test_pinned_run_has_no_other_card(
    call: Call, aws: Aws, pinned: bool, redrives: int, card: str, error: type[Exception]
) -> None:
    """Its card goes back to the queue, unless it is this very card that is being built."""
    aws.configuration |= {"lockScope": "branch"}
    key = {"S": "work-item-processor-lock#acme/shop#feature/x"}
    aws.held, aws.items = True, [HOLDER | {"lockKey": key, "workItemId": {"S": card}}]
    with pytest.raises(error, match="one-other"):
        call("AcquireLock", DOCUMENT | {"pinned": pinned}, redrive_count=redrives)


def test_free_lock_names_no_card_that_is_being_built(call: Call, aws: Aws) -> None:
    """The item of a lock that was released keeps its card. Without a slot, this card's own lock is free again."""
    aws.configuration |= {"lockScope": "branch"}
    key = {"S": "work-item-processor-lock#acme/shop#feature/x"}
    free = {name: value for name, value in HOLDER.items() if name != "owner"}
    aws.held, aws.items = True, [free | {"lockKey": key, "workItemId": {"S": "CARD"}}]
    with pytest.raises(PinnedLockHeld):
        call("AcquireLock", DOCUMENT | {"pinned": True})


def test_running_holder_keeps_lock(call: Call, aws: Aws) -> None:
    aws.held, aws.items = True, [HOLDER]
    with pytest.raises(LockHeld, match="one-other"):
        call("AcquireLock", DOCUMENT)


@pytest.mark.parametrize("pinned", [False, True])
def test_only_pinned_card_waits_for_single_lock(call: Call, aws: Aws, pinned: bool) -> None:
    aws.held, aws.items = True, [HOLDER]
    with pytest.raises(PinnedLockHeld if pinned else LockHeld, match="one-other"):
        call("AcquireLock", DOCUMENT | {"pinned": pinned})


@pytest.mark.parametrize("missing", ["item", "work"])
def test_missing_part_is_named(call: Call, missing: str) -> None:
    with pytest.raises(StepFailed, match=f"LookupError: the state document has no {missing}"):
        call("AcquireLock", {key: part for key, part in DOCUMENT.items() if key != missing})


def test_missing_variable_is_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCK_LEASE_SECONDS")
    with pytest.raises(ConfigurationMissing, match="missing or empty: LOCK_LEASE_SECONDS"):
        call("AcquireLock", DOCUMENT)


def test_failure_of_installation_opens_breaker(call: Call, aws: Aws) -> None:
    aws.configuration["organization"] = "your-org"
    with pytest.raises(ConfigurationMissing):
        call("AcquireLock", DOCUMENT)
    [opened] = aws.noted
    assert opened["Key"] == {"recordKey": {"S": "breaker"}}
    assert {"S": "ConfigurationMissing"} in opened["ExpressionAttributeValues"].values()


def test_held_lock_opens_no_breaker(call: Call, aws: Aws) -> None:
    aws.held, aws.items = True, [HOLDER]
    with pytest.raises(LockHeld):
        call("AcquireLock", DOCUMENT)
    assert aws.noted == []


def test_breaker_that_cannot_be_opened_hides_no_failure(call: Call, aws: Aws) -> None:
    aws.configuration["organization"] = "your-org"
    aws.denied = True
    with pytest.raises(ConfigurationMissing):
        call("AcquireLock", DOCUMENT)
