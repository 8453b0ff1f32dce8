"""The table of docs/explanation/recovery.md, from what the matrix has shown (outcomes.json).

make recovery                        plays every cell, notes what is seen and writes the table again
python -m tools.recovery_table       writes the table again
python -m tools.recovery_table --check   ends with 1 when it is not current
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from kiro_local.faults import KINDS, states
from tests.recovery.fault_matrix import IMPOSSIBLE, REDRIVE, REPLAY, TICK, Cell, all_cells

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "recovery.md"
OUTCOMES: Final = Path(__file__).parents[1] / "tests" / "recovery" / "outcomes.json"
BEGIN: Final = "<!-- matrix: begin (make recovery) -->"
END: Final = "<!-- matrix: end -->"
_HEAD: Final = (
    "| what happens | the run | card | lock | work | next tick | replay | redrive |",
    "|---|---|---|---|---|---|---|---|",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the table is current")
    parser.add_argument("--take", type=Path, help="a folder of what was seen, which replaces what was known")
    arguments = parser.parse_args()
    if arguments.take:
        take(arguments.take)
    before = PAGE.read_text("utf-8")
    after = with_table(before)
    if before == after:
        return 0
    if arguments.check:
        print("The matrix in docs/explanation/recovery.md is not current. How to fix: make recovery", file=sys.stderr)
        return 1
    PAGE.write_text(after, "utf-8")
    return 0


def take(folder: Path) -> None:
    seen = dict(outcomes())
    for file in folder.glob("*.json"):
        seen.update(json.loads(file.read_text("utf-8")))
    known = [cell.id for cell in all_cells()]
    rows = [f"  {json.dumps(name)}: {json.dumps(seen[name])}" for name in known if name in seen]
    OUTCOMES.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")
    outcomes.cache_clear()


@cache
def outcomes() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(OUTCOMES.read_text("utf-8")) if OUTCOMES.exists() else {}
    return found


def told(cell: Cell) -> dict[str, Any] | None:
    """What is known of a cell."""
    found: dict[str, Any] | None = outcomes().get(cell.id)
    return found


def with_table(page: str) -> str:
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"docs/explanation/recovery.md has no place for the matrix: put {BEGIN} and {END} there.")
    return pattern.sub(lambda _: f"{BEGIN}\n{matrix()}{END}", page)


def matrix() -> str:
    cells = all_cells()
    runs = sum(len(outcomes().get(cell.id, {})) for cell in cells)
    lines = [f"{len(cells)} faults of {len(states())} states, {runs} ways on.", ""]
    lines += ["| what can happen | |", "|---|---|"]
    lines += [f"| `{name}` | {kind.description} |" for name, kind in KINDS.items()]
    lines += ["| `event-lost`, `-late`, `-twice` | the status event of the run's end is lost, late, delivered twice |"]
    lines += ["| `always` | again on every retry, until the run has ended |", ""]
    for state in states():
        lines += [f"**{state}**", "", *_HEAD, *_rows(state), ""]
    lines += ["| what cannot happen | why |", "|---|---|"]
    lines += [f"| {what} | {why} |" for what, why in IMPOSSIBLE.items()]
    return "\n".join(lines) + "\n"


def _rows(state: str) -> list[str]:
    """Faults that have the same outcome share a row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for cell in all_cells():
        if cell.state == state:
            rows.setdefault(_outcome(told(cell) or {}), []).append(_name(cell))
    return [f"| {', '.join(names)} | {' | '.join(outcome)} |" for outcome, names in rows.items()]


def _name(cell: Cell) -> str:
    more = f" (and {len(cell.names) - 1} that are treated alike)" if len(cell.names) > 1 else ""
    return f"`{cell.label}`{more}"


def _outcome(seen: Mapping[str, Any]) -> tuple[str, ...]:
    then = seen.get("then", {})
    status, _, error = then.get("run", "").partition(" ")
    # The error's name is that of the fault, and would part what is alike.
    run = f"{status} `{error}`" if error in ("TestsFailed", "LockLost") else status
    return (
        run,
        then.get("card", ""),
        then.get("lock", ""),
        then.get("work", ""),
        *(_after(seen.get(way), way) for way in (TICK, REPLAY, REDRIVE)),
    )


def _after(seen: Mapping[str, Any] | None, way: str) -> str:
    if seen is None:
        return ""
    if way == REDRIVE:
        return f"{seen['card']}, {seen['redrives']}x"
    return f"{seen['card']}, {seen['lock']}"


if __name__ == "__main__":
    raise SystemExit(main())
