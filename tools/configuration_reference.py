"""The table of docs/reference/configuration.md, written from the models of :mod:`kiro_worker.config` so that it cannot lie: keys,
types and defaults are theirs, and what a key means is the text below its field.

python -m tools.configuration_reference           writes it
python -m tools.configuration_reference --check   ends with 1 when it is not current

It is here and not with the other generator, in infra, because infra imports nothing of the library.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.config.model import AgentConfiguration, Configuration

if TYPE_CHECKING:
    from pydantic import BaseModel

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "configuration.md"
BEGIN: Final = "<!-- keys: begin (make reference) -->"
END: Final = "<!-- keys: end -->"
_TYPES: Final = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "null": "`null`",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the table is current")
    check = parser.parse_args().check
    before = PAGE.read_text("utf-8")
    after = with_table(before, table())
    if before == after:
        return 0
    if check:
        print(
            "The table in docs/reference/configuration.md is not current. How to fix: make reference", file=sys.stderr
        )
        return 1
    PAGE.write_text(after, "utf-8")
    return 0


def with_table(page: str, rows: str) -> str:
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"docs/reference/configuration.md has no place for the table: put {BEGIN} and {END} there.")
    return pattern.sub(lambda _: f"{BEGIN}\n{rows}{END}", page)


def table() -> str:
    """A Markdown table of every key; those of ``agent`` after it."""
    lines = ["| key | type | default | |", "|---|---|---|---|"]
    for row in _rows(Configuration):
        lines.append(row)
        if row.startswith("| `agent` "):
            lines += _rows(AgentConfiguration, "agent.")
    return "\n".join(lines) + "\n"


def _rows(model: type[BaseModel], prefix: str = "") -> list[str]:
    schema = model.model_json_schema()
    described = descriptions(model)
    rows = []
    for name, field in model.model_fields.items():
        if name not in described:
            raise SystemExit(
                f"{model.__name__}.{name} has no description: write one below it, in kiro_worker/config/model.py."
            )
        key = field.alias or name
        shape = schema["properties"][key]
        default = "required" if field.is_required() else _default(shape, nested="$ref" in shape)
        cells = (f"`{prefix}{key}`", _type(shape), default, described[name])
        rows.append(f"| {' | '.join(cell.replace('|', '¦') for cell in cells)} |")
    return rows


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """The text below each field, in one line. Read from the source, for at run time nobody needs it."""
    [definition] = ast.parse(inspect.getsource(model)).body
    found: dict[str, str] = {}
    name = ""
    for statement in definition.body if isinstance(definition, ast.ClassDef) else ():
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)):
                continue
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = " ".join(text.split())
        name = ""
    return found


def _type(shape: dict[str, Any]) -> str:
    if "anyOf" in shape:
        return " or ".join(_type(one) for one in shape["anyOf"])
    if "$ref" in shape:
        return "text or object"
    if "enum" in shape:
        return ", ".join(f"`{json.dumps(value)}`" for value in shape["enum"])
    if shape["type"] == "array":
        return f"list of {_type(shape['items'])}s"
    return _TYPES[shape["type"]] + _range(shape)


def _range(shape: dict[str, Any]) -> str:
    least, most = shape.get("minimum"), shape.get("maximum")
    if "exclusiveMinimum" in shape:
        above = f" above {shape['exclusiveMinimum']:g}"
        return above if most is None else f"{above}, at most {most:g}"
    if least is None:
        return "" if most is None else f" up to {most:g}"
    return f" from {least:g}" if most is None else f" {least:g} to {most:g}"


def _default(shape: dict[str, Any], *, nested: bool) -> str:
    if nested:
        return "see below"
    return f"`{json.dumps(shape.get('default'), ensure_ascii=False)}`"


if __name__ == "__main__":
    raise SystemExit(main())
