"""What children print, made fit for a log: whole lines without terminal codes, redacted, of a bounded length."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST_LINE: Final = 16 * 1024
_HELD_BACK: Final = 4 * 1024
"""Of a line that is cut, so many characters wait for what follows them, so that a secret is never cut in two."""

_TERMINAL_CODES: Final = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[ -/]*[0-~]"  # two-character sequences
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """``text`` as one line as a terminal would have left it: without codes, and only what follows the last return."""
    text = _TERMINAL_CODES.sub("", text.rstrip("\r\n"))
    return _CONTROLS.sub("", text.rsplit("\r", 1)[-1])


class Lines:
    """Bytes in, as they come; lines out. ``redact`` sees whole lines, or pieces that overlap."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[str]:
        """The lines that ``chunk`` completes."""
        *whole, rest = (self._rest + self._decode(chunk, final)).split("\n")
        for line in whole:
            yield from self._pieces(line)
        while len(rest) > LONGEST_LINE + _HELD_BACK:
            rest = self._redact(rest)
            yield plain(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest = rest

    def close(self) -> Iterator[str]:
        """What came after the last line's end."""
        yield from self.feed(b"", final=True)
        if self._rest:
            yield from self._pieces(self._rest)
        self._rest = ""

    def _pieces(self, line: str) -> Iterator[str]:
        clean = self._redact(plain(line))
        if not clean:
            yield ""
        for start in range(0, len(clean), LONGEST_LINE):
            yield clean[start : start + LONGEST_LINE]
