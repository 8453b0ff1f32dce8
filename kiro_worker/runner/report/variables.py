"""The exported variables: what Step Functions, and through it the comment on the pull request, learns about a build.

Each value is one line without control characters and has at most 500 characters. ``PHASES`` (``name:seconds;…``) and
``TAIL`` (the last lines that matter, as a JSON string) have at most 1500, and so has ``OPEN_TASKS`` (a JSON string with
one name per line).
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.exported_variables import EXPORTED_VARIABLES
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.reports import COVERAGE, TESTS
from kiro_worker.runner.sandbox.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kiro_worker.runner.progress import BuildProgress

LONGEST_VALUE: Final = 500
LONGEST_LIST: Final = 1500
LONGEST_NAME: Final = 100
MOST_NAMES: Final = 20
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def exported_variables(progress: BuildProgress, redact: Callable[[str], str] = str) -> dict[str, str]:
    """Return the variables by name."""
    values = _values(progress, redact)
    return {variable: values[field] for variable, field in EXPORTED_VARIABLES.items()}


def shell_exports(values: Mapping[str, str]) -> str:
    """Return lines for a POSIX shell to source. Values are quoted, so the shell never runs them."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def one_line(text: str) -> str:
    """Return ``text`` without line ends and other control characters, and with escapes for what cannot be encoded."""
    return printable(_CONTROLS.sub(" ", text).strip())


def _values(progress: BuildProgress, redact: Callable[[str], str]) -> dict[str, str]:
    """Return each value by its :class:`BuildResult` field. Redacts before it cuts, or half a secret could remain."""
    texts = {
        "outcome": progress.outcome.value,
        "reason": _reason(progress, redact),
        "owner": progress.fault_owner or "",
        "error": progress.error,
        "retry_after": str(progress.retry_after or ""),
        "commit": progress.commit,
        "fence": str(progress.fence or ""),
        "tasks_done": _number(progress.tasks_done),
        "tasks_done_before": _number(progress.tasks_done_before),
        "tasks_open": _number(progress.tasks_open),
        "tasks_optional": _number(progress.tasks_optional),
        "tests": redact(_joined(progress.tests, *_notes(progress, TESTS))),
        "coverage": redact(_joined(progress.coverage_line, *_notes(progress, COVERAGE))),
        "files_changed": str(len(progress.files_changed)) if progress.files_changed else "",
        "credits": "" if progress.agent_credits is None else f"{progress.agent_credits:g} {progress.agent_unit}",
        "minutes": f"{progress.seconds / 60:.1f}" if progress.seconds else "",
        "checkpoint": f"{progress.checkpoint_ref} {progress.checkpoint_commit}".strip(),
        "artifacts": progress.artifacts,
    }
    return {
        **{field: one_line(text)[:LONGEST_VALUE] for field, text in texts.items()},
        "phases": _phases(progress),
        "open_tasks": _names(shown_names(progress.open_tasks, redact)),
        "tail": _tail(redact(progress.details)),
    }


def shown_names(names: Sequence[str], redact: Callable[[str], str]) -> list[str]:
    """Return ``names`` for a report: redacted, one short line each, and not too many of them."""
    return [shown_name(name, redact) for name in names[:MOST_NAMES]]


def shown_name(name: str, redact: Callable[[str], str]) -> str:
    """Return ``name`` for a report: redacted, on one short line."""
    shown = one_line(redact(name))
    return shown if len(shown) <= LONGEST_NAME else f"{shown[: LONGEST_NAME - 1]}…"


def _names(names: list[str]) -> str:
    """Return the names as one JSON string, as many as fit."""
    while names and len(json.dumps("\n".join(names))) > LONGEST_LIST:
        names = names[:-1]
    return json.dumps("\n".join(names)) if names else ""


def _notes(progress: BuildProgress, kind: str) -> list[str]:
    """Return what the last gate ignored, and why."""
    checks: list[Mapping[str, Any]] = (progress.gate or {}).get("checks", [])
    return [note for check in checks for note in check["notes"].get(kind, ())]


def _joined(*texts: str) -> str:
    return "; ".join(filter(None, texts))


def _number(count: int | None) -> str:
    return "" if count is None else str(count)


def _reason(progress: BuildProgress, redact: Callable[[str], str]) -> str:
    """Return reason and remedy. If both do not fit, the reason is cut."""
    reason = one_line(redact(progress.reason))
    remedy = one_line(redact(progress.remedy))
    if progress.outcome is Outcome.SUCCEEDED or not remedy:
        return reason
    remedy = f". How to fix: {remedy[: LONGEST_VALUE // 2]}"
    return reason[: LONGEST_VALUE - len(remedy)] + remedy


def _phases(progress: BuildProgress) -> str:
    phases = ";".join(f"{_phase_name(phase.name)}:{phase.seconds:.1f}" for phase in progress.phases)
    return phases[:LONGEST_LIST].rpartition(";")[0] if len(phases) > LONGEST_LIST else phases


def _phase_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9 ._-]", " ", name).strip()[:40] or "phase"


def _tail(text: str) -> str:
    """Return the last lines of ``text`` as a JSON string of at most ``LONGEST_LIST`` characters.

    Lines are kept whole, unless not even the last one fits.
    """
    lines = [one_line(line) for line in text.splitlines() if line.strip()]
    kept: list[str] = []
    for line in reversed(lines):
        if len(json.dumps("\n".join([line, *kept]))) > LONGEST_LIST:
            break
        kept.insert(0, line)
    if lines and not kept:
        # JSON may write a character as two escapes of six characters each.
        kept = [lines[-1][-(LONGEST_LIST // 12) + 2 :]]
    return json.dumps("\n".join(kept)) if kept else ""
