"""Which Python versions a project accepts, as a condition that every Python can evaluate itself."""

from __future__ import annotations

import re
from typing import Final

_CLAUSE: Final = re.compile(r"(===|==|~=|!=|<=|>=|<|>|\^|~|=)?\s*v?(\d{1,4}(?:\.\d{1,4}){0,2})(\.\*)?")
_LONGEST: Final = 200


def version_condition(specifier: str) -> str:
    """Return a Python expression about ``sys.version_info[:3]`` as ``v``; ``True`` if any version fits.

    Understands the specifiers of PEP 440, and Poetry's ``^``, ``~`` and ``||``. The expression contains nothing of the
    text but its numbers. A clause that is not understood is left to the tool that installs the project.
    """
    alternatives = [_all_of(part) for part in specifier[:_LONGEST].split("||")]
    if "True" in alternatives:
        return "True"
    return " or ".join(f"({alternative})" for alternative in alternatives) if alternatives[1:] else alternatives[0]


def pinned_version(text: str) -> str:
    """Return the minor version, for example ``3.12``, that the content of ``.python-version`` names; empty if none."""
    lines = text.split()
    match = re.match(r"(?:cpython-|python-?)?(\d{1,4}\.\d{1,4})(?:\.\d{1,4})?$", lines[0]) if lines else None
    return match[1] if match else ""


def _all_of(specifier: str) -> str:
    # Poetry also separates clauses by spaces, and spaces after an operator have no meaning.
    joined = re.sub(r"([<>=!~^])\s+", r"\1", specifier)
    conditions = [condition for clause in re.split(r"[,\s]+", joined) if (condition := _condition(clause))]
    return " and ".join(dict.fromkeys(conditions)) or "True"


def _condition(clause: str) -> str:
    match = _CLAUSE.fullmatch(clause)
    if not match:
        return ""
    operator, numbers, wildcard = match[1] or "", tuple(map(int, match[2].split("."))), bool(match[3])
    full = (*numbers, 0, 0)[:3]
    if operator in ("<", "<=", ">", ">="):
        return f"v {operator} {full}"
    if operator == "!=":
        return f"v[:{len(numbers)}] != {_tuple(numbers)}" if wildcard else f"v != {full}"
    if operator == "^":
        return f"v >= {full} and v[:1] == {_tuple(numbers[:1])}"
    if operator == "~=":
        return f"v >= {full} and v[:{len(numbers) - 1}] == {_tuple(numbers[:-1])}" if numbers[1:] else ""
    if operator == "~":
        kept = numbers[:2]
        return f"v >= {full} and v[:{len(kept)}] == {_tuple(kept)}"
    # Without an operator, and for two numbers in Pipfile and Poetry, every patch release is meant.
    is_prefix = wildcard or not operator
    return f"v[:{len(numbers)}] == {_tuple(numbers)}" if is_prefix else f"v == {full}"


def _tuple(numbers: tuple[int, ...]) -> str:
    return repr(tuple(numbers))
