"""The table of keys in docs/reference/configuration.md, generated from the models of :mod:`kiro_worker.config`.

Keys and defaults are those of the models, types and descriptions those of the JSON Schema, which knows the short forms
that the models accept as well. This generator is in tools and not in infra, because infra imports nothing but
:mod:`kiro_worker.names`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.config.model import AgentConfiguration, Configuration
from tools.configuration_schema import schema
from tools.generator import Section, command_line, markdown_table, write_or_check

if TYPE_CHECKING:
    from pydantic import BaseModel

SECTION: Final = Section("docs/reference/configuration.md", "keys")
_TYPES: Final = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "null": "`null`",
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = command_line(__doc__).parse_args(arguments)
    return write_or_check([SECTION.filled_with(table())], check=options.check)


def table() -> str:
    """Return a Markdown table of every key. The keys of ``agent`` follow it."""
    document = schema()
    agent = document["$defs"][AgentConfiguration.__name__]["properties"]
    rows = _rows(Configuration, document["properties"], agent)
    return markdown_table(("key", "type", "default", "description"), rows)


def _rows(
    model: type[BaseModel], shapes: Mapping[str, Any], agent: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, ...]]:
    for field_name, field in model.model_fields.items():
        key = field.alias or field_name
        shape = shapes[key]
        nested = any("$ref" in one for one in shape.get("anyOf", ()))
        default = "required" if field.is_required() else _default(shape, nested=nested)
        yield f"`{prefix}{key}`", _type(shape), default, shape["description"]
        if nested:
            yield from _rows(AgentConfiguration, agent, agent, f"{key}.")


def _type(shape: dict[str, Any]) -> str:
    if "anyOf" in shape:
        *others, last = (_type(one) for one in shape["anyOf"])
        return f"{', '.join(others)} or {last}"
    if "$ref" in shape:
        return "object"
    if "enum" in shape:
        return ", ".join(f"`{json.dumps(value)}`" for value in shape["enum"])
    if shape["type"] == "array":
        return f"list of {_type(shape['items'])}s"
    return _TYPES[shape["type"]] + _range(shape)


def _range(shape: dict[str, Any]) -> str:
    minimum, maximum = shape.get("minimum"), shape.get("maximum")
    if "exclusiveMinimum" in shape:
        above = f" above {shape['exclusiveMinimum']:g}"
        return above if maximum is None else f"{above}, at most {maximum:g}"
    if minimum is None:
        return "" if maximum is None else f" up to {maximum:g}"
    return f" from {minimum:g}" if maximum is None else f" {minimum:g} to {maximum:g}"


def _default(shape: dict[str, Any], *, nested: bool) -> str:
    if nested:
        return "see below"
    return f"`{json.dumps(shape.get('default'), ensure_ascii=False)}`"


if __name__ == "__main__":
    raise SystemExit(main())
