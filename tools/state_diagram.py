"""The diagram of the state machine in docs/explanation/workflow.md, drawn from its definition."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tools.generator import ROOT, Section, command_line, write_or_check

SECTION: Final = Section("docs/explanation/workflow.md", "diagram")
DEFINITION: Final = ROOT / "statemachine" / "work_item.asl.json"
_SHAPES: Final = {"Task": ("[", "]"), "Choice": ("{", "}"), "Succeed": ("([", "])"), "Fail": ("([", "])")}


def main(arguments: Sequence[str] | None = None) -> int:
    options = command_line(__doc__).parse_args(arguments)
    return write_or_check([SECTION.filled_with(f"```mermaid\n{diagram(DEFINITION)}```\n")], check=options.check)


def diagram(definition: Path) -> str:
    """Return a Mermaid flowchart. Solid arrows are transitions, dotted arrows are caught errors with their names."""
    states: dict[str, Any] = json.loads(definition.read_text("utf-8"))["States"]
    lines = ["flowchart TD"]
    for name, state in states.items():
        left, right = _SHAPES[state["Type"]]
        lines.append(f"    {name}{left}{name}{right}")
    for name, state in states.items():
        lines += [f"    {name} {arrow}" for arrow in _arrows(state)]
    return "\n".join(lines) + "\n"


def _arrows(state: Mapping[str, Any]) -> Iterator[str]:
    if "Next" in state:
        yield f"--> {state['Next']}"
    for rule in state.get("Choices", ()):
        yield f"-->|{rule.get('Comment', 'yes')}| {rule['Next']}"
    if "Default" in state:
        yield f"-->|otherwise| {state['Default']}"
    for catcher in state.get("Catch", ()):
        errors = catcher["ErrorEquals"]
        yield f"-.->|{'any other' if errors == ['States.ALL'] else ', '.join(errors)}| {catcher['Next']}"


if __name__ == "__main__":
    raise SystemExit(main())
