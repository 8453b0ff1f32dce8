"""The summary of a build: what its comment, and ``result.json``, say about each task and each turn of the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.records.summaries import DoneTask, FailedTest, GateNote, RunSummary, Turn
from kiro_worker.runner.report.variables import LONGEST_VALUE, one_line, shown_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiro_worker.runner.progress import BuildProgress


def run_summary(progress: BuildProgress, redact: Callable[[str], str]) -> RunSummary:
    """Return what the build, and the earlier ones of its run, have done so far. What the agent said is redacted."""
    tasks = (
        DoneTask(shown_name(name, redact), progress.commits.get(identity, ""), identity)
        for identity, name in progress.done_tasks.items()
    )
    turns = (Turn(shown_name(turn.about, redact), turn.said) for turn in progress.turns)
    failed = tuple(FailedTest(shown_test(test.name, redact), test.said) for test in progress.failed_tests)
    notes = tuple(GateNote(note.kind, shown_test(note.names, redact)) for note in progress.gate_notes)
    return RunSummary(tuple(tasks), tuple(turns), failed, notes)


def shown_test(name: str, redact: Callable[[str], str]) -> str:
    """Return the names of tests for a report: redacted, on one line."""
    return one_line(redact(name))[:LONGEST_VALUE]
