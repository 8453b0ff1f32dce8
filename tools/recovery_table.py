"""The fault matrix in docs/explanation/recovery.md, from the recorded results in tests/recovery/outcomes.json.

``make recovery`` runs every cell, records the results with ``--take``, and writes the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from kiro_local.faults import KINDS, states
from tests.recovery.fault_matrix import IMPOSSIBLE, REDRIVE, REPLAY, TICK, Cell, all_cells
from tools.generator import ROOT, Section, command_line, markdown_table, write_or_check

SECTION: Final = Section("docs/explanation/recovery.md", "matrix")
RECORD: Final = ROOT / "tests" / "recovery" / "outcomes.json"
_HEAD: Final = ("fault", "run", "card", "lock", "work", "next tick", "replay", "redrive")
_EVENTS: Final = "the status event of the run's end is lost, late, or delivered twice"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_line(__doc__)
    parser.add_argument("--take", type=Path, metavar="FOLDER", help="first record the results that are in FOLDER")
    options = parser.parse_args(arguments)
    if options.take:
        record(options.take)
    return write_or_check([SECTION.filled_with(matrix())], check=options.check)


def record(folder: Path) -> None:
    """Replace recorded results by those in ``folder``, and drop those of cells that no longer exist."""
    results = dict(recorded_results())
    for file in folder.glob("*.json"):
        results.update(json.loads(file.read_text("utf-8")))
    rows = [f"  {json.dumps(cell.id)}: {json.dumps(results[cell.id])}" for cell in all_cells() if cell.id in results]
    RECORD.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")
    recorded_results.cache_clear()


@cache
def recorded_results() -> dict[str, Any]:
    """Return the recorded results by the ID of their cell."""
    results: dict[str, Any] = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    return results


def recorded_result(cell: Cell) -> dict[str, Any] | None:
    result: dict[str, Any] | None = recorded_results().get(cell.id)
    return result


def matrix() -> str:
    cells = all_cells()
    continuations = sum(len(recorded_results().get(cell.id, {})) for cell in cells)
    parts = [
        f"{len(cells)} faults in {len(states())} states, {continuations} continuations.\n",
        markdown_table(
            ("fault", "what happens"),
            [
                *((f"`{name}`", kind.description) for name, kind in KINDS.items()),
                ("`event-lost`, `-late`, `-twice`", _EVENTS),
                ("`always`", "the fault repeats on every retry, until the run has ended"),
            ],
        ),
        *(f"**{state}**\n\n{markdown_table(_HEAD, _rows(state))}" for state in states()),
        markdown_table(("what cannot happen", "why"), IMPOSSIBLE.items()),
    ]
    return "\n".join(parts)


def _rows(state: str) -> list[tuple[str, ...]]:
    """Return one row per result, which names all faults that lead to it."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for cell in all_cells():
        if cell.state == state:
            rows.setdefault(_cells(recorded_result(cell) or {}), []).append(_name(cell))
    return [(", ".join(names), *result) for result, names in rows.items()]


def _name(cell: Cell) -> str:
    others = f" (and {len(cell.names) - 1} others that are handled alike)" if len(cell.names) > 1 else ""
    return f"`{cell.label}`{others}"


def _cells(result: Mapping[str, Any]) -> tuple[str, ...]:
    then = result.get("then", {})
    status, _, error = then.get("run", "").partition(" ")
    # Other errors are named after the fault, which would separate rows that are otherwise equal.
    run = f"{status} `{error}`" if error in ("TestsFailed", "LockLost") else status
    return (
        run,
        then.get("card", ""),
        then.get("lock", ""),
        then.get("work", ""),
        *(_after(result.get(continuation), continuation) for continuation in (TICK, REPLAY, REDRIVE)),
    )


def _after(result: Mapping[str, Any] | None, continuation: str) -> str:
    if result is None:
        return ""
    if continuation == REDRIVE:
        return f"{result['card']}, {result['redrives']}x"
    return f"{result['card']}, {result['lock']}"


if __name__ == "__main__":
    raise SystemExit(main())
