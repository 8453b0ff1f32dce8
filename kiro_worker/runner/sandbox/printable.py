"""The one way in which names and texts from files leave the runner: for logs, JSON, exported variables and comments.

A file name is bytes. Python turns bytes that are not UTF-8 into lone surrogates, which no encoder accepts.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_Item = TypeVar("_Item")

_NOT_PRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SURROGATE_OF_BYTE_0: Final = 0xDC00


def printable(text: str) -> str:
    r"""Return ``text`` with an escape for every character that cannot be encoded, or that a terminal would obey.

    A byte that is not UTF-8 becomes ``\xe9``. Line ends and tabs stay.
    """
    return _NOT_PRINTABLE.sub(_escape, text)


def printable_name(name: str) -> str:
    """Return the name of a file as :func:`printable` does, on one line."""
    return printable(name).replace("\n", "\\n").replace("\t", "\\t")


def listed(items: Collection[_Item], show: Callable[[_Item], str], most: int = 10) -> str:
    """Return the first ``most`` of ``items``, as ``show`` writes them, and how many more there are."""
    named = ", ".join(map(show, islice(items, most)))
    return f"{named} and {len(items) - most} more" if len(items) > most else named


def printable_document(value: Any) -> Any:
    """Return a JSON value with every text in it printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): printable_document(inner) for key, inner in value.items()}
    return [printable_document(inner) for inner in value] if isinstance(value, list | tuple) else value


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0x80 <= code - _SURROGATE_OF_BYTE_0 <= 0xFF:
        code -= _SURROGATE_OF_BYTE_0
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
