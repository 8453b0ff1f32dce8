"""Almost valid documents: a valid one in which a few parts are replaced, repeated or removed."""

from __future__ import annotations

import re
from typing import Final

from hypothesis import strategies as st

_NUMBER: Final = re.compile(rb"\d+")
_HOSTILE: Final = (
    *(b"", b"-1", b"-0", b"NaN", b"Infinity", b"1e999", b"0.5", b"9" * 25, b"9" * 5000, b"true", b"null", b"[]", b"{}"),
    *(b",", b":", b"\n", b'"', b"<", b">", b"/>", b"\xe9", b"\xff\xfe", b"\x00", b"\xd9\xa1", "\u2028".encode()),
)


@st.composite
def mutations(draw: st.DrawFn, *documents: bytes) -> bytes:
    """One of ``documents`` with up to four parts replaced. Half of the parts are numbers, which carry the meaning."""
    document = draw(st.sampled_from(documents))
    for _ in range(draw(st.integers(1, 4))):
        numbers = [match.span() for match in _NUMBER.finditer(document)]
        if draw(st.booleans()) and numbers:
            start, end = draw(st.sampled_from(numbers))
        else:
            start = draw(st.integers(0, len(document)))
            end = min(len(document), start + draw(st.integers(0, 40)))
        replacement = draw(st.sampled_from(_HOSTILE) | st.binary(max_size=8) | st.just(document[start:end] * 2))
        document = document[:start] + replacement + document[end:]
    return document
