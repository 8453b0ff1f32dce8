"""The problems that validation finds in a configuration, in words that name the key and the nearest known one."""

from __future__ import annotations

import difflib
import types
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails


def describe_problem(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """Return what is wrong, with the key's whole path. ``model`` is the model of the whole document."""
    path = ".".join(str(part) for part in detail["loc"] if part != "[key]")
    if detail["type"] == "extra_forbidden":
        return f'unknown key "{path}"{_suggest(str(detail["loc"][-1]), _known_keys(model, detail["loc"][:-1]))}'
    if detail["type"] == "missing":
        return f'"{path}" is missing'
    message = detail["msg"].removeprefix("Value error, ")
    return f'"{path}": {message}' if path else message


def _known_keys(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
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
