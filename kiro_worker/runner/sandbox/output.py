"""Turns the output of child processes into lines for a log: without terminal codes, redacted, of limited length.

An agent can print a gigabyte, so every read is processed as a whole, each kind of clean-up runs only if the text needs
it, and only a window of an endless line is held in memory.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST_LINE: Final = 16 * 1024
_HELD_BACK: Final = 4 * 1024
"""How many characters of an overlong line are held back until more of it arrives. This is longer than any encoded
secret, so a secret at the end of a read is complete, and recognized, before its beginning is passed on."""
_STEP: Final = 256

_TERMINAL_CODES: Final = re.compile(
    r"\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b\n]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colors, cursor
    r"|\x1b[ -/]*[0-~]"  # two-character sequences
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_UNFINISHED: Final = re.compile(
    # Also a final carriage return: it is half of a line end, or the next text overwrites the line.
    r"(?:\x1b(?:\[[0-?]*[ -/]*|[ -/]*|[\]PX^_][^\x07\x1b\n]*\x1b?)|\x9b[0-?]*[ -/]*|(?<!\r)\r+)\Z"
)
_LINE_END_RETURNS: Final = re.compile(r"(?<!\r)\r+$", re.MULTILINE)
_OVERWRITTEN: Final = re.compile(r"^[^\n]*\r", re.MULTILINE)


def plain(text: str) -> str:
    """Return ``text`` as a terminal finally shows it: without codes, and without text that was overwritten.

    Of each line, only what follows the last carriage return remains. A line end at the end of ``text`` is removed.
    """
    if "\x1b" in text or "\x9b" in text:
        text = _TERMINAL_CODES.sub("", text)
    if "\r" in text:
        text = _OVERWRITTEN.sub("", _LINE_END_RETURNS.sub("", text))
    return _CONTROLS.sub("", text.removesuffix("\n"))


class Lines:
    """Splits a stream of bytes into clean lines.

    ``redact`` gets one or more whole lines, or windows of an overlong line, cut where there is no secret.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._inside_secret = False

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[str]:
        """Yield the lines that ``chunk`` completes."""
        whole, end, self._rest = (self._rest + self._decode(chunk, final)).rpartition("\n")
        if end:
            yield from self._lines(whole + end)
        if len(self._rest) > LONGEST_LINE + _HELD_BACK:
            yield from self._windows()

    def close(self) -> Iterator[str]:
        """Yield what came after the last line end."""
        yield from self.feed(b"", final=True)
        if self._rest:
            yield from self._lines(self._rest)
        self._rest = ""

    def _lines(self, text: str) -> Iterator[str]:
        text = plain(text)
        if self._inside_secret:
            text = self._after_secret(text)
        for line in self._redact(text).split("\n"):
            if len(line) <= LONGEST_LINE:
                yield line
            else:
                yield from _pieces(line)

    def _windows(self) -> Iterator[str]:
        """Yield as much of an overlong line as can be cut off without splitting a secret."""
        end = _UNFINISHED.search(self._rest, len(self._rest) - _HELD_BACK)
        unfinished = end[0] if end else ""
        text = plain(self._rest.removesuffix(unfinished))
        if self._inside_secret:
            text = self._after_secret(text)
        while len(text) > LONGEST_LINE + _HELD_BACK:
            window, after = text[: LONGEST_LINE + _HELD_BACK], text[LONGEST_LINE + _HELD_BACK :]
            shown = self._redact(window)
            for cut in range(LONGEST_LINE, 0, -_STEP):
                head = self._redact(window[:cut])
                if head + self._redact(window[cut:]) == shown:
                    text = window[cut:] + after
                    break
            else:
                # The window is one secret from end to end, and what follows belongs to it.
                self._inside_secret = True
                head, text = shown, self._after_secret(after)
            yield from _pieces(head)
        self._rest = text + unfinished

    def _after_secret(self, text: str) -> str:
        end = re.search(r"\s", text)
        self._inside_secret = end is None
        return text[end.start() :] if end else ""


def _pieces(line: str) -> Iterator[str]:
    for start in range(0, len(line), LONGEST_LINE):
        yield line[start : start + LONGEST_LINE]
