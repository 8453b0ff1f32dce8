"""What a run reports to reviewers: the tasks that it has done, what the agent said, and what the gate found.

It is one JSON text in the run's record, because exported build variables are too small for it. Every text in it is
redacted and printable before it gets here.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_SUMMARY: Final = 30_000
"""The bytes of the JSON text. DynamoDB's limit for the whole record is 400 KB."""
MOST_ENTRIES: Final = 100
MOST_FAILED: Final = 20
GATE_NOTES: Final[Mapping[str, str]] = {
    "notMeasured": "Coverage was not measured, so the default threshold was not applied",
    "excused": "Not counted, because they failed before the agent started, too",
    "flaky": "Flaky: they failed, and passed when they were run again",
    "vanished": "Ran before the agent started, and no longer run",
}
"""What the gate reports to reviewers besides its verdict, by kind, as the comment says it."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class DoneTask:
    """A task that the run has done. ``commit`` holds its last change; it is empty if that is not known."""

    name: str
    commit: str = ""
    identity: str = ""


@dataclass(frozen=True)
class Turn:
    """A turn of the agent: what it was about, and the agent's last words."""

    about: str
    said: str = ""


@dataclass(frozen=True)
class FailedTest:
    """A test that stopped the build. ``said`` is the end of what its report says."""

    name: str
    said: str = ""


@dataclass(frozen=True)
class GateNote:
    """What reviewers have to know about the tests: a ``kind`` of ``GATE_NOTES``, and names from the repository."""

    kind: str
    names: str = ""


@dataclass(frozen=True)
class RunSummary:
    """The required tasks that a run has done, in the order of the list, and all of the agent's turns, in theirs.

    ``failed`` are the tests that stopped its last build, and ``notes`` what the last gate found besides its verdict.
    """

    tasks: tuple[DoneTask, ...] = ()
    turns: tuple[Turn, ...] = ()
    failed: tuple[FailedTest, ...] = ()
    notes: tuple[GateNote, ...] = ()

    def to_json(self) -> str:
        """The summary as JSON. What does not fit is left out: the oldest turns first, then the last of the others."""
        kept = RunSummary(
            self.tasks[:MOST_ENTRIES],
            self.turns[-MOST_ENTRIES:],
            self.failed[:MOST_FAILED],
            self.notes[:MOST_ENTRIES],
        )
        while len((text := _json(kept)).encode()) > LARGEST_SUMMARY:
            if kept.turns:
                kept = replace(kept, turns=kept.turns[1:])
            elif kept.failed:
                kept = replace(kept, failed=kept.failed[:-1])
            elif kept.notes:
                kept = replace(kept, notes=kept.notes[:-1])
            else:
                kept = replace(kept, tasks=kept.tasks[:-1])
        return text

    @classmethod
    def from_json(cls, text: str) -> RunSummary:
        """The summary in ``text``, without anything in it that has another form."""
        try:
            document = json.loads(text or "{}")
        except ValueError:
            return cls()
        tasks = (DoneTask(**_texts(entry, "name", "commit", "identity")) for entry in _entries(document, "tasks"))
        turns = (Turn(**_texts(entry, "about", "said")) for entry in _entries(document, "turns"))
        failed = (FailedTest(**_texts(entry, "name", "said")) for entry in _entries(document, "failed"))
        notes = (GateNote(**_texts(entry, "kind", "names")) for entry in _entries(document, "notes"))
        return cls(
            tuple(task if _COMMIT.fullmatch(task.commit) else replace(task, commit="") for task in tasks if task.name),
            tuple(turn for turn in turns if turn.about or turn.said),
            tuple(test for test in failed if test.name),
            tuple(note for note in notes if note.kind in GATE_NOTES),
        )


def _json(summary: RunSummary) -> str:
    return json.dumps(asdict(summary), ensure_ascii=False, separators=(",", ":"))


def _entries(document: Any, name: str) -> list[dict[str, Any]]:
    entries = document.get(name) if isinstance(document, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _texts(entry: dict[str, Any], *names: str) -> dict[str, str]:
    return {name: value if isinstance(value := entry.get(name), str) else "" for name in names}
