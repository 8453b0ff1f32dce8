"""The state machine's picture in README.md, drawn from the ASL so that it cannot lie.

python -m tools.state_diagram           writes it
python -m tools.state_diagram --check   ends with 1 when it is not current
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from infra.packaging import ROOT

BEGIN = "<!-- picture: begin (make diagram) -->"
END = "<!-- picture: end -->"
_SHAPES = {"Task": ("[", "]"), "Choice": ("{", "}"), "Succeed": ("([", "])"), "Fail": ("([", "])")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the picture is current")
    check = parser.parse_args().check
    page = ROOT / "README.md"
    before = page.read_text("utf-8")
    after = with_picture(before, draw(ROOT / "statemachine" / "work_item.asl.json"))
    if before == after:
        return 0
    if check:
        print("The picture in README.md is not current. How to fix: make diagram", file=sys.stderr)
        return 1
    page.write_text(after, "utf-8")
    return 0


def with_picture(page: str, picture: str) -> str:
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"README.md has no place for the picture: put {BEGIN} and {END} there.")
    return pattern.sub(lambda _: f"{BEGIN}\n```mermaid\n{picture}```\n{END}", page)


def draw(asl: Path) -> str:
    """A Mermaid flowchart: solid arrows are the way, dotted ones errors that are caught, with their names."""
    definition: dict[str, Any] = json.loads(asl.read_text("utf-8"))
    lines = ["flowchart TD"]
    for name, state in definition["States"].items():
        left, right = _SHAPES[state["Type"]]
        lines.append(f"    {name}{left}{name}{right}")
    for name, state in definition["States"].items():
        if "Next" in state:
            lines.append(f"    {name} --> {state['Next']}")
        lines += [f"    {name} -->|{rule.get('Comment', 'yes')}| {rule['Next']}" for rule in state.get("Choices", [])]
        if "Default" in state:
            lines.append(f"    {name} -->|otherwise| {state['Default']}")
        lines += [f"    {name} -.->|{_errors(rule)}| {rule['Next']}" for rule in state.get("Catch", [])]
    return "\n".join(lines) + "\n"


def _errors(rule: dict[str, Any]) -> str:
    return "any other" if rule["ErrorEquals"] == ["States.ALL"] else ", ".join(rule["ErrorEquals"])


if __name__ == "__main__":
    raise SystemExit(main())
