"""Reads single values of CDK context. The command line passes strings, ``cdk.json`` any JSON."""

from __future__ import annotations

import re
from collections.abc import Callable

from infra.errors import SynthError

Context = Callable[[str], object]
"""``node.try_get_context``: None for a key that is not set."""


def one_of(context: Context, key: str, allowed: tuple[str, ...], default: str) -> str:
    value = context(key)
    if value is None:
        return default
    if value not in allowed:
        raise SynthError(f"Context {key} is {value!r}, but it must be one of {', '.join(allowed)}.")
    return str(value)


def whole_number(context: Context, key: str, allowed: range, default: int, unit: str) -> int:
    value = context(key)
    if value is None:
        return default
    # jsii passes every number as a float.
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) not in allowed:
        raise SynthError(
            f"Context {key} is {value!r}, but it must be a whole number of {unit} from {allowed[0]} to {allowed[-1]}."
        )
    return int(text)


def flag(context: Context, key: str) -> bool:
    value = context(key)
    # `is`, because 0 and 0.0 equal False.
    if value is None or value is False or value == "false":
        return False
    if value is True or value == "true":
        return True
    raise SynthError(f"Context {key} is {value!r}, but it must be true or false.")


def text_list(context: Context, key: str, pattern: str, most: int) -> tuple[str, ...]:
    """Return the entries of a list, or of a text with commas, each of which must match ``pattern``."""
    value = context(key)
    if value is None or value == "":
        return ()
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, list):
        raise SynthError(f"Context {key} is {value!r}, but it must be a list, or a text with commas.")
    found = tuple(dict.fromkeys(str(entry).strip() for entry in entries))
    for entry in found:
        if not re.fullmatch(pattern, entry):
            raise SynthError(f"Context {key} contains {entry!r}, which has not the form {pattern}.")
    if len(found) > most:
        raise SynthError(f"Context {key} has {len(found)} entries, but at most {most} are possible.")
    return found
