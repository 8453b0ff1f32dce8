"""Every problem of the operators' guide has a text that says what failed, where, and how to fix it."""

from __future__ import annotations

import pytest

from kiro_worker.builds.failure import BuildFailure
from kiro_worker.errors import ERRORS
from kiro_worker.outcomes import Outcome
from kiro_worker.state import End
from tests.support.operator_guide import LEFT_OUT, PROBLEMS, UNTABLED, Problem
from tests.support.operator_guide.problem import ARN
from tests.support.tables import Table

PAGE = "how-to/troubleshoot.md"
COLUMNS = ("problem", "name", "the text says", "and names", "do")
PROGRAMS = ("aws ", "gh ", "git ", "make ", "kiro-worker ")
CUT = ("--value", "--secret-string", "Url=")
"""Where the table cuts a command. The text has all of it."""
ROWS = [(name, problem) for name, problems in PROBLEMS.items() for problem in problems]


def table(name: str) -> Table:
    return Table(PAGE, name, COLUMNS, tuple((problem.symptom,) for problem in PROBLEMS[name]))


def code(text: str) -> str:
    shown = text.replace(ARN, "ARN")
    return f"`{shown} …`" if shown.endswith(CUT) else f"`{shown}`"


def do(text: str) -> str:
    return code(text) if f"{text} ".startswith(PROGRAMS) else text


@pytest.mark.parametrize(("section", "problem"), ROWS, ids=[problem.symptom for _, problem in ROWS])
def test_text_says_what_where_and_how(section: str, problem: Problem) -> None:
    seen = problem.provoke()

    assert seen.name == problem.name
    for part in (problem.what, problem.where, problem.do):
        assert part in seen.text
    assert "<env>" not in seen.text
    said = map(code, (seen.name, problem.what, problem.where))
    table(section).compare_row((problem.symptom,), *said, do(problem.do))


def test_page_has_every_problem() -> None:
    for name in PROBLEMS:
        table(name).require_complete()


def test_every_other_problem_has_its_reason() -> None:
    left_out = Table(PAGE, "left out", ("problem", "why it is not above"), tuple((each,) for each, _ in LEFT_OUT))
    for symptom, reason in LEFT_OUT:
        left_out.compare_row((symptom,), reason)
    left_out.require_complete()


def test_every_name_is_in_the_tables() -> None:
    raised = {name for name, error in ERRORS.items() if not set(error.__subclasses__()) & set(ERRORS.values())}
    provoked = {problem.name for _, problem in ROWS}

    assert {*raised, *Outcome, *BuildFailure, *End} - provoked == set(UNTABLED)
