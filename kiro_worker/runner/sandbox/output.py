"""What children print, made fit for a log: whole lines without terminal codes, redacted, of a bounded length.

An agent can print a gigabyte. So the work is done on all the lines of a read at once, each kind of it only where the
text has what it looks for, and of a line that does not end no more is held than a window.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST_LINE: Final = 16 * 1024
_HELD_BACK: Final = 4 * 1024
"""Of a line that is cut, so many characters at least wait for what follows them: longer than any secret, however it is
encoded, so that one at the end of what was read is whole or plain to see before its beginning is let go."""
_STEP: Final = 256

_TERMINAL_CODES: Final = re.compile(
    r"\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b\n]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[ -/]*[0-~]"  # two-character sequences
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_UNFINISHED: Final = re.compile(
    # A return at the end, too: it is half of the line's end, or what follows it writes the line over.
    r"(?:\x1b(?:\[[0-?]*[ -/]*|[ -/]*|[\]PX^_][^\x07\x1b\n]*\x1b?)|\x9b[0-?]*[ -/]*|(?<!\r)\r+)\Z"
)
_ENDS: Final = re.compile(r"(?<!\r)\r+$", re.MULTILINE)
_WRITTEN_OVER: Final = re.compile(r"^[^\n]*\r", re.MULTILINE)


def plain(text: str) -> str:
    """Each line of ``text`` as a terminal would have left it: no codes, and only what follows a line's last return.
    The last line's end is left out.
    """
    if "\x1b" in text or "\x9b" in text:
        text = _TERMINAL_CODES.sub("", text)
    if "\r" in text:
        text = _WRITTEN_OVER.sub("", _ENDS.sub("", text))
    return _CONTROLS.sub("", text.removesuffix("\n"))


class Lines:
    """Bytes in, as they come; lines out. ``redact`` sees whole lines, one or many at once, or, of a line that is too
    long, windows that are cut where no secret is.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._within_a_secret = False

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[str]:
        """The lines that ``chunk`` completes."""
        whole, end, self._rest = (self._rest + self._decode(chunk, final)).rpartition("\n")
        if end:
            yield from self._lines(whole + end)
        if len(self._rest) > LONGEST_LINE + _HELD_BACK:
            yield from self._windows()

    def close(self) -> Iterator[str]:
        """What came after the last line's end."""
        yield from self.feed(b"", final=True)
        if self._rest:
            yield from self._lines(self._rest)
        self._rest = ""

    def _lines(self, text: str) -> Iterator[str]:
        text = plain(text)
        if self._within_a_secret:
            text = self._after_the_secret(text)
        for line in self._redact(text).split("\n"):
            if len(line) <= LONGEST_LINE:
                yield line
            else:
                yield from _pieces(line)

    def _windows(self) -> Iterator[str]:
        """Let go of what may be let go of a line that is too long and goes on."""
        end = _UNFINISHED.search(self._rest, len(self._rest) - _HELD_BACK)
        unfinished = end[0] if end else ""
        text = plain(self._rest.removesuffix(unfinished))
        if self._within_a_secret:
            text = self._after_the_secret(text)
        while len(text) > LONGEST_LINE + _HELD_BACK:
            window, after = text[: LONGEST_LINE + _HELD_BACK], text[LONGEST_LINE + _HELD_BACK :]
            shown = self._redact(window)
            for cut in range(LONGEST_LINE, 0, -_STEP):
                head = self._redact(window[:cut])
                if head + self._redact(window[cut:]) == shown:
                    text = window[cut:] + after
                    break
            else:
                # It is one secret from end to end, and what follows belongs to it.
                self._within_a_secret = True
                head, text = shown, self._after_the_secret(after)
            yield from _pieces(head)
        self._rest = text + unfinished

    def _after_the_secret(self, text: str) -> str:
        end = re.search(r"\s", text)
        self._within_a_secret = end is None
        return text[end.start() :] if end else ""


def _pieces(line: str) -> Iterator[str]:
    for start in range(0, len(line), LONGEST_LINE):
        yield line[start : start + LONGEST_LINE]
