from __future__ import annotations

import pytest

from kiro_worker.outcomes import OUTCOMES, CardEffect, FaultOwner, Outcome
from tools.generator import Section
from tools.outcomes_table import ACTORS, BUILD, CARD_EFFECTS, REFERENCE, WORKFLOW


@pytest.mark.parametrize("section", [REFERENCE, WORKFLOW, BUILD], ids=lambda section: section.page)
def test_every_outcome_has_one_row(section: Section) -> None:
    rows = section.read().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [str(outcome) for outcome in Outcome]


def test_reference_has_every_fact() -> None:
    rows = section_rows(REFERENCE)
    for outcome, facts in OUTCOMES.items():
        assert {facts.meaning, facts.fix, ACTORS[facts.owner], CARD_EFFECTS[facts.card_effect]} <= rows[outcome]


def test_every_owner_and_effect_has_text() -> None:
    assert ACTORS.keys() == {*FaultOwner, None}
    assert CARD_EFFECTS.keys() == set(CardEffect)


def section_rows(section: Section) -> dict[str, set[str]]:
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in section.read().splitlines()[2:]]
    return {cells[0].strip("`"): set(cells[1:]) for cells in rows}
