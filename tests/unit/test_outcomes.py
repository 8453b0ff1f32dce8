from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import OUTCOMES, CardEffect, FaultOwner, Outcome, OutcomeFacts

WORKER = Path(__file__).parents[2] / "kiro_worker"


def test_every_outcome_has_facts() -> None:
    assert set(OUTCOMES) == set(Outcome)


@pytest.mark.parametrize(("outcome", "facts"), OUTCOMES.items())
def test_facts_are_sentences(outcome: Outcome, facts: OutcomeFacts) -> None:
    for text in (facts.meaning, facts.fix):
        assert text[0].isupper()
        assert text.endswith(".")
        assert "\n" not in text


def test_only_success_and_lost_lock_lack_owner() -> None:
    assert {outcome for outcome, facts in OUTCOMES.items() if facts.owner is None} == {
        Outcome.SUCCEEDED,
        Outcome.LOCK_LOST,
    }


def test_effect_on_card_follows_from_owner() -> None:
    effects = {
        FaultOwner.CARD: CardEffect.FAILED,
        FaultOwner.REPOSITORY: CardEffect.FAILED,
        FaultOwner.INSTALLATION: CardEffect.QUEUE,
        FaultOwner.SERVICE: CardEffect.QUEUE_ONCE,
    }
    without_owner = {Outcome.SUCCEEDED: CardEffect.REVIEW, Outcome.LOCK_LOST: CardEffect.NONE}
    for outcome, facts in OUTCOMES.items():
        expected = effects[facts.owner] if facts.owner else without_owner[outcome]
        assert facts.card_effect is expected, outcome


@pytest.mark.parametrize("outcome", Outcome)
def test_stopped_build_has_outcomes_owner(outcome: Outcome) -> None:
    assert BuildStopped(outcome, "why").owner is OUTCOMES[outcome].owner


def test_every_outcome_is_used() -> None:
    sources = (path.read_text("utf-8") for path in WORKER.rglob("*.py") if path.name != "outcomes.py")
    used = {
        node.attr
        for source in sources
        if "Outcome." in source
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Outcome"
    }

    assert used == {outcome.name for outcome in Outcome}
