from __future__ import annotations

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.plan import Plan


def test_plan_without_blockers_would_go() -> None:
    plan = Plan()
    plan.note("lock", "is free", {"owner": None})
    plan.note("turn 1", "1.1 Add")

    assert plan.text() == "lock        is free\nturn 1      1.1 Add\n\nnothing would stop the build"
    assert plan.document() == {"wouldGo": True, "stops": [], "lock": {"owner": None}}


def test_blocker_has_reason_and_remedy() -> None:
    plan = Plan()
    plan.block(BuildStopped(Outcome.GUARD_TRIPPED, "AGENTS.md differs", "merge it", "details"))
    plan.block(BuildStopped(Outcome.LOCK_LOST, "held"))

    assert plan.text() == (
        "\nwould stop: GuardTripped: AGENTS.md differs\nHow to fix: merge it\ndetails\n\nwould stop: LockLost: held"
    )
    assert plan.document() == {
        "wouldGo": False,
        "stops": [
            {"outcome": "GuardTripped", "reason": "AGENTS.md differs", "remedy": "merge it", "details": "details"},
            {"outcome": "LockLost", "reason": "held", "remedy": "", "details": ""},
        ],
    }
