"""Texts without secrets: of those that have a shape, and of those whose very value is known."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK: Final = "[redacted]"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without anything shaped like a credential, and without the ``secrets`` themselves: plain, escaped for a
    URL, for JSON or for HTML, in base64 of either alphabet wherever they begin in it, or in hexadecimal.

    No credential is looked for across the end of a line, so that whole lines may come one by one or many at once.
    """
    forms = _forms(tuple(secrets))
    escapes = bool(forms) and _has_escapes(text)
    for form in forms:
        if form.may_be_in(text, escapes=escapes):
            text = form.pattern.sub(MASK, text)
    return _without_shapes(text)


def holds_secret(text: str, secrets: Iterable[str]) -> bool:
    """Whether one of the very ``secrets`` is in ``text``, in any of the forms that :func:`redact` knows."""
    escapes = _has_escapes(text)
    forms = _forms(tuple(secrets))
    return any(form.may_be_in(text, escapes=escapes) and form.pattern.search(text) for form in forms)


# ------------------------------------------------------------------------------------------------ what has a shape
# Every pattern begins with letters of its own, or is tried only where its letters are in the text: a search for plain
# text runs at the speed of memory, a regular expression that may begin anywhere does not.
# No length has an upper bound, for then the end of a longer one would stay.

# GitHub: "Behind GitHub's new authentication token formats"; newer ones of apps carry a JWT, hence the dots.
_GITHUB: Final = re.compile(r"gh[pousr]_[A-Za-z0-9_.-]{16,}")
_GITHUB_FINE_GRAINED: Final = re.compile(r"github_pat_[A-Za-z0-9_]{20,}")
_KIRO: Final = re.compile(r"ksk_[A-Za-z0-9_-]{8,}")
# AWS: "IAM identifiers", the prefixes that belong to keys and tokens.
_AWS_KEY_ID: Final = re.compile(r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16,}")
# Session tokens are protocol buffers in base64, whose first field says "origin" or "er/aws".
_AWS_SESSION: Final = re.compile(r"[A-Za-z0-9]{3}(?:Jb3JpZ2lu|GZXIvYXdz)[A-Za-z0-9/+=%\\_-]{16,}")
_AFTER_A_LABEL: Final = r"""(?:[ \t"'=:<>,\\]|%3[ADad]|%2[02]|\[[^][\s]{0,40}\])+"""
_AWS_LABELLED: Final = tuple(
    (label[:5], re.compile(f"({label}{_AFTER_A_LABEL})[A-Za-z0-9/+=%\\\\_.-]{{16,}}"))
    for label in (
        "ecret[_ -]?(?:[Aa]ccess[_ -]?)?[Kk]ey",
        "ECRET[_ -]?(?:ACCESS[_ -]?)?KEY",
        "ession[_ -]?[Tt]oken",
        "ESSION[_ -]?TOKEN",
        "ecurity[_ -]?[Tt]oken",
        "ECURITY[_ -]?TOKEN",
    )
)
# A word in small letters after "basic" is English.
_AUTHORIZATION: Final = tuple(
    (scheme, re.compile(rf"({scheme}(?: +|%20|\+))(?![a-z]{{1,23}}(?![A-Za-z0-9._~+/=-]))[A-Za-z0-9._~+/=-]{{12,}}"))
    for scheme in ("earer", "EARER", "asic", "ASIC")
)
# All of it at once: an expression that gave up where no @ is would begin again at every address within.
_ADDRESS: Final = re.compile(r'://[^\s"<>`]+')
_HOST: Final = re.compile(r"[^/:]*(?::[0-9]{1,5})?/")
_LONGEST_USER_NAME: Final = 19


def _without_shapes(text: str) -> str:
    for tokens in (_GITHUB, _GITHUB_FINE_GRAINED, _KIRO, _AWS_KEY_ID):
        text = tokens.sub(MASK, text)
    if "Jb3JpZ2lu" in text or "GZXIvYXdz" in text:
        text = _AWS_SESSION.sub(MASK, text)
    for letters, labelled in (*_AWS_LABELLED, *_AUTHORIZATION):
        if letters in text:
            text = labelled.sub(rf"\1{MASK}", text)
    if "@" in text and "://" in text:
        text = _ADDRESS.sub(_without_password, text)
    return text


def _without_password(address: re.Match[str]) -> str:
    return "://".join(map(_without_user, address[0].split("://")))


def _without_user(address: str) -> str:
    user, at, host = address.rpartition("@")
    # https://host:443/@scope/package has no password; a password may hold a slash that somebody forgot to escape.
    if not at or _HOST.match(user) or (":" not in user and len(user) <= _LONGEST_USER_NAME):
        return address
    return f"{MASK}@{host}"


# -------------------------------------------------------------------------------------------- what is known by value
@dataclass(frozen=True)
class _Form:
    """One way to write a secret. The ``pattern`` can only match where one of the ``anchors`` is, or of the ``escaped``
    ones where the text has escapes; no anchors: anywhere.
    """

    pattern: re.Pattern[str]
    anchors: tuple[str, ...]
    escaped: tuple[str, ...] = ()

    def may_be_in(self, text: str, *, escapes: bool) -> bool:
        return (
            not self.anchors
            or any(anchor in text for anchor in self.anchors)
            or (escapes and any(anchor in text for anchor in self.escaped))
        )


_PERCENT: Final = re.compile("%[0-9A-Fa-f]{2}%")
_SHORTEST_ANCHOR: Final = 4
_SHORTEST_ENCODED: Final = 4
_LETTERS: Final = re.compile(r"[A-Za-z0-9]+")
_CHARACTERS: Final = re.compile(r"\\+|.", re.DOTALL)
_ESCAPE: Final = r"\\\\{0,7}"
"""Backslashes, of which there are more each time that a text is quoted; not any number, or a search through a long row
of them would begin again at each.
"""
_BASE64: Final = r"[A-Za-z0-9+/_-]"
_BASE64_SIGNS: Final = {"+": rf"(?:\+|-|%2[Bb]|{_ESCAPE}u002[Bb])", "/": rf"(?:/|_|%2[Ff]|{_ESCAPE}/)"}


def _has_escapes(text: str) -> bool:
    return "\\" in text or _PERCENT.search(text) is not None


@lru_cache(maxsize=64)
def _forms(secrets: tuple[str, ...]) -> tuple[_Form, ...]:
    # The longest first: one may be a part of another.
    ordered = sorted(filter(None, dict.fromkeys(secrets)), key=len, reverse=True)
    return tuple(form for secret in ordered for form in _forms_of(secret))


def _forms_of(secret: str) -> Iterator[_Form]:
    yield _written_out(secret)
    content = secret.encode("utf-8", "replace")
    if len(content) >= _SHORTEST_ENCODED:
        yield from (_in_base64(content, before) for before in range(3))
        yield _in_hexadecimal(content)


def _written_out(secret: str) -> _Form:
    """Each character as it is, or escaped in one of the usual ways."""
    pattern = "".join(map(_character, _CHARACTERS.findall(secret)))
    if "\\" in secret:
        pattern = f"{re.escape(secret)}|{pattern}"
    run = max(_LETTERS.findall(secret), key=len, default="")
    if len(run) < _SHORTEST_ANCHOR:
        return _Form(re.compile(pattern), ())
    # Nobody escapes letters, or else everything. Long anchors are the faster ones.
    codes = [f"{ord(character):02x}" for character in run[:6]]
    escaped = (way + way.join(codes) for way in ("%", "\\u00"))
    return _Form(re.compile(pattern), (run,), tuple(form for lower in escaped for form in _both_cases(lower)))


def _character(character: str) -> str:
    if character[0] == "\\":
        # Each is read in one way only, so that a search that fails gives up after one walk back.
        return rf"(?<!\\)(?:\\u005[Cc]|\\(?!u[0-9A-Fa-f]{{4}})|%(?:25)*5[Cc]){{{len(character)},}}"
    ways = [re.escape(character)]
    ways.append("".join(f"%(?:25)*{_any_case(byte)}" for byte in character.encode("utf-8", "replace")))
    units = character.encode("utf-16-be", "replace")
    ways.append(
        "".join(rf"{_ESCAPE}u{_any_case(units[at])}{_any_case(units[at + 1])}" for at in range(0, len(units), 2))
    )
    otherwise = {json.dumps(character)[1:-1], html.escape(character)} - {character}
    ways += [re.escape(written).replace(r"\\", _ESCAPE, 1) for written in sorted(otherwise)]
    if character in "/'":
        ways.append(_ESCAPE + re.escape(character))
    if character == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join(dict.fromkeys(ways))})"


def _in_base64(content: bytes, before: int) -> _Form:
    """As a part of something longer, ``before`` bytes of which share its first group of three."""
    encoded = base64.b64encode(bytes(before) + content).decode().rstrip("=")
    begin = -(-before * 8 // 6)
    end = (before + len(content)) * 8 // 6
    core = encoded[begin:end]
    pattern = "".join(_BASE64_SIGNS.get(character, character) for character in core)
    # The characters at both ends carry some of its bits, too.
    head = _BASE64 + "?" if before else ""
    tail = (_BASE64 + "?" if (before + len(content)) % 3 else "") + "={0,2}"
    anchor = max(_LETTERS.findall(core), key=len, default="")
    return _Form(re.compile(head + pattern + tail), (anchor,) if len(anchor) >= _SHORTEST_ANCHOR else ())


def _in_hexadecimal(content: bytes) -> _Form:
    pattern = f"(?:{_ESCAPE}x)?".join(map(_any_case, content))
    whole, bytewise = content.hex(), "".join(f"\\x{byte:02x}" for byte in content[:6])
    return _Form(re.compile(pattern), _both_cases(whole), _both_cases(bytewise))


def _both_cases(code: str) -> tuple[str, ...]:
    """With small and with capital digits; the letters of ``\\u`` and ``\\x`` are small in either."""
    upper = code.upper().replace("\\U", "\\u").replace("\\X", "\\x")
    return (code,) if code == upper else (code, upper)


def _any_case(byte: int) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{byte:02x}")
