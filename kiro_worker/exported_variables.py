"""The variables that a build exports to the state machine, and the :class:`BuildResult` field that each one fills.

This is the only list: the runner writes the variables, the steps read them, and a test checks buildspec.yml against it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPORTED_VARIABLES: Final[Mapping[str, str]] = {
    "OUTCOME": "outcome",
    "OUTCOME_REASON": "reason",
    "OUTCOME_OWNER": "owner",
    "OUTCOME_ERROR": "error",
    "RETRY_AFTER": "retry_after",
    "RESULT_COMMIT": "commit",
    "RESULT_FENCE": "fence",
    "TASKS_DONE": "tasks_done",
    "TASKS_DONE_BEFORE": "tasks_done_before",
    "TASKS_OPEN": "tasks_open",
    "TASKS_OPTIONAL": "tasks_optional",
    "OPEN_TASKS": "open_tasks",
    "TESTS_SUMMARY": "tests",
    "COVERAGE": "coverage",
    "FILES_CHANGED": "files_changed",
    "CREDITS": "credits",
    "MINUTES": "minutes",
    "CHECKPOINT": "checkpoint",
    "PHASES": "phases",
    "TAIL": "tail",
    "ARTIFACTS": "artifacts",
}


def text_of_json(text: str) -> str:
    """The string that ``text`` encodes as JSON, which keeps it on one line; empty for any other text."""
    try:
        document = json.loads(text or '""')
    except ValueError:
        return ""
    return document if isinstance(document, str) else ""
