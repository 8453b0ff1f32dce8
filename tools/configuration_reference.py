"""The tables of keys in docs/reference, generated from the models of :mod:`kiro_worker.config`.

Keys and defaults are those of the models, types and descriptions those of the JSON Schemas, which know the short forms
that the models accept as well. This generator is in tools and not in infra, because infra imports nothing but
:mod:`kiro_worker.names`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.config.model import Configuration
from kiro_worker.config.repository_settings import RepositoryFile, RepositorySettings
from tools.configuration_schema import MODELS, file_schema, schema
from tools.generator import Section, command_line, markdown_table, write_or_check

if TYPE_CHECKING:
    from pydantic import BaseModel

SECTION: Final = Section("docs/reference/configuration.md", "keys")
FILE_SECTION: Final = Section("docs/reference/repository-file.md", "keys")
_HEADINGS: Final = ("key", "type", "default", "description")
_MODELS: Final = {model.__name__: model for model in MODELS}
_TYPES: Final = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "object": "object",
    "null": "`null`",
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = command_line(__doc__).parse_args(arguments)
    files = [SECTION.filled_with(table()), FILE_SECTION.filled_with(file_table())]
    return write_or_check(files, check=options.check)


def table() -> str:
    """Return a Markdown table of the keys of the parameter. The keys of a repository are in :func:`file_table`."""
    document = schema()
    return markdown_table(_HEADINGS, _rows(Configuration, document["properties"], document["$defs"]))


def file_table() -> str:
    """Return a Markdown table of the keys of a repository, and of what only the parameter may choose for it."""
    document = file_schema()
    rows = list(_rows(RepositoryFile, document["properties"], document["$defs"]))
    known = {row[0] for row in rows}
    definitions = schema()["$defs"]
    properties = definitions[RepositorySettings.__name__]["properties"]
    more = [row for row in _rows(RepositorySettings, properties, definitions) if row[0] not in known]
    rows += [(key, kind, default, f"{text}. **In the parameter only**") for key, kind, default, text in more]
    return markdown_table(_HEADINGS, rows)


def _rows(
    model: type[BaseModel], shapes: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str, str, str]]:
    for field_name, field in model.model_fields.items():
        key = field.alias or field_name
        shape = shapes[key]
        inner = _MODELS.get(_reference(shape))
        default = "required" if field.is_required() else "see below" if inner else _default(shape)
        yield f"`{prefix}{key}`", _type(shape), default, shape["description"]
        if inner and inner is not RepositorySettings:
            mark = f"{prefix}{key}[]." if _is_list(shape) else f"{prefix}{key}."
            yield from _rows(inner, definitions[inner.__name__]["properties"], definitions, mark)


def _reference(shape: Mapping[str, Any]) -> str:
    """Return the name of the model inside a shape; empty if there is none."""
    if "$ref" in shape:
        return str(shape["$ref"]).rpartition("/")[2]
    parts = [*shape.get("anyOf", ()), shape.get("items"), shape.get("additionalProperties")]
    return next(filter(None, (_reference(part) for part in parts if isinstance(part, dict))), "")


def _is_list(shape: Mapping[str, Any]) -> bool:
    return any(one.get("type") == "array" for one in (shape, *shape.get("anyOf", ())))


def _type(shape: dict[str, Any]) -> str:
    if "anyOf" in shape:
        # The name of an agent can be part of a longer list, and null only says that the key is not there.
        words = [_type(one) for one in shape["anyOf"] if one.get("type") != "null" or shape.get("default") is not None]
        *others, last = dict.fromkeys(words)
        return f"{', '.join(others)} or {last}" if others else last
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


def _default(shape: dict[str, Any]) -> str:
    value = shape.get("default", {})
    return "" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


if __name__ == "__main__":
    raise SystemExit(main())
