"""The problems that validation finds in a configuration, in words that name the key and the nearest known one."""

from __future__ import annotations

import difflib
import types
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel

from kiro_worker.redaction import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic_core import ErrorDetails

LONGEST_SHOWN: Final = 200
"""Of what is wrong with a value, and of the key's path. A key can be as long as the document."""
_MOST_PROBLEMS: Final = 20
_SCRIPTS: Final = frozenset({"setup", "test", "command", "arguments"})
_MESSAGES: Final = {
    "string_type": "must be text; write a number, true, false or a date in quotes",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "invalid_key": "is not text: write the key in quotes",
}
"""By the type of the problem, where pydantic's own words name types of Python."""


def on_one_line(text: str) -> str:
    """``text``, shortened, and without line breaks and invisible characters: a key can look like another message."""
    return shortened(text if text.isprintable() else ascii(text)[1:-1], LONGEST_SHOWN)


def first_problems(details: Sequence[ErrorDetails]) -> tuple[list[ErrorDetails], list[str]]:
    """Return the first problems, without consequences of others, and a line that says how many more there are."""
    wrong = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
    # A list without its wrong items can be too short, but nobody has to add items.
    causes = [detail for detail in details if not (detail["type"] == "too_short" and detail["loc"] in wrong)]
    more = len(causes) - _MOST_PROBLEMS
    return causes[:_MOST_PROBLEMS], [f"and {more} more problems"] if more > 0 else []


def describe_problem(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """Return what is wrong, with the key's whole path. ``model`` is the model of the whole document."""
    kind, parts = detail["type"], [str(part) for part in detail["loc"] if part != "[key]"]
    path = on_one_line(".".join(parts))
    if kind == "extra_forbidden":
        return f'unknown key "{path}"{_suggest(parts[-1][:LONGEST_SHOWN], known_keys(model, detail["loc"][:-1]))}'
    if kind == "missing":
        return f'"{path}" is missing'
    message = _MESSAGES.get(kind) or on_one_line(detail["msg"].removeprefix("Value error, "))
    if kind == "tuple_type" and parts[-1:] and parts[-1] in _SCRIPTS:
        message = "must be text or a list of texts"
    elif kind == "too_short" and detail.get("ctx", {}).get("actual_length") == 0:
        message = "must not be empty"
    return f'"{path}": {message}' if path else message


def known_keys(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Return the keys of the model at ``location`` in a document of ``model``."""
    current: type[BaseModel] = model
    parts = iter(location)
    for part in parts:
        field = next((field for field in current.model_fields.values() if field.alias == part), None)
        if field is None:
            # The index of a list, whose field has already led to the model of its items.
            continue
        inner, is_mapping = _model_in(field.annotation)
        if is_mapping:
            next(parts, None)
        current = inner or current
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the model inside a field's type, and whether it is the value of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    is_mapping = get_origin(annotation) is dict
    if get_origin(annotation) in (Union, types.UnionType, tuple, dict) or hasattr(annotation, "__metadata__"):
        for part in get_args(annotation):
            found, inside = _model_in(part)
            if found:
                return found, is_mapping or inside
    return None, is_mapping


def _suggest(key: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(key.replace("_", "").replace("-", "").lower(), by_lower, n=1, cutoff=0.5)
    names = ", ".join(sorted(by_lower.values()))
    return f'; did you mean "{by_lower[near[0]]}"?' if near else f"; the known keys are {names}"
