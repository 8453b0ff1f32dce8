"""Removes secrets from text: credentials with a recognizable shape, and secrets whose value is known."""

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
    """``text`` with :data:`MASK` in place of every text with the shape of a credential, and of each of ``secrets``.

    Secrets are found as plain text, escaped for a URL, JSON or HTML, in either base64 alphabet at any offset, and in
    hexadecimal. No match extends across a line ending, so it makes no difference whether lines are redacted one by one
    or together.
    """
    forms = _forms(tuple(secrets))
    escapes = bool(forms) and _has_escapes(text)
    for form in forms:
        if form.may_be_in(text, escapes=escapes):
            text = form.pattern.sub(MASK, text)
    return _mask_shapes(text)


def holds_secret(text: str, secrets: Iterable[str]) -> bool:
    """Whether ``text`` contains one of ``secrets``, in any of the forms that :func:`redact` finds."""
    escapes = _has_escapes(text)
    forms = _forms(tuple(secrets))
    return any(form.may_be_in(text, escapes=escapes) and form.pattern.search(text) for form in forms)


# ------------------------------------------------------------------------------------------------ credential shapes
# Every pattern starts with literal letters, or is tried only if its letters occur in the text: searching for literal
# text is far faster than a regular expression that may match anywhere.
# No pattern limits the length of a credential, because the rest of a longer one would remain visible.

# “Behind GitHub's new authentication token formats”,
# https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
# Newer GitHub App tokens contain a JWT, hence the dots.
_GITHUB: Final = re.compile(r"gh[pousr]_[A-Za-z0-9_.-]{16,}")
_GITHUB_FINE_GRAINED: Final = re.compile(r"github_pat_[A-Za-z0-9_]{20,}")
_KIRO: Final = re.compile(r"ksk_[A-Za-z0-9_-]{8,}")
# The prefixes of keys and tokens: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
_AWS_KEY_ID: Final = re.compile(r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16,}")
# Session tokens are base64-encoded protocol buffers whose first field contains "origin" or "er/aws".
_AWS_SESSION: Final = re.compile(r"[A-Za-z0-9]{3}(?:Jb3JpZ2lu|GZXIvYXdz)[A-Za-z0-9/+=%\\_-]{16,}")
_LABEL_END: Final = r"""(?:[ \t"'=:<>,\\]|%3[ADad]|%2[02]|\[[^][\s]{0,40}\])+"""
_AWS_LABELED: Final = tuple(
    (label[:5], re.compile(f"({label}{_LABEL_END})[A-Za-z0-9/+=%\\\\_.-]{{16,}}"))
    for label in (
        "ecret[_ -]?(?:[Aa]ccess[_ -]?)?[Kk]ey",
        "ECRET[_ -]?(?:ACCESS[_ -]?)?KEY",
        "ession[_ -]?[Tt]oken",
        "ESSION[_ -]?TOKEN",
        "ecurity[_ -]?[Tt]oken",
        "ECURITY[_ -]?TOKEN",
    )
)
# A lower-case word after "basic" or "bearer" is English text, not a credential.
_AUTHORIZATION: Final = tuple(
    (scheme, re.compile(rf"({scheme}(?: +|%20|\+))(?![a-z]{{1,23}}(?![A-Za-z0-9._~+/=-]))[A-Za-z0-9._~+/=-]{{12,}}"))
    for scheme in ("earer", "EARER", "asic", "ASIC")
)
# Matches a whole URL, because a pattern that required an @ would fail and start over at every URL in the text.
_URL: Final = re.compile(r'://[^\s"<>`]+')
_HOST: Final = re.compile(r"[^/:]*(?::[0-9]{1,5})?/")
_LONGEST_USER_NAME: Final = 19


def _mask_shapes(text: str) -> str:
    for tokens in (_GITHUB, _GITHUB_FINE_GRAINED, _KIRO, _AWS_KEY_ID):
        text = tokens.sub(MASK, text)
    if "Jb3JpZ2lu" in text or "GZXIvYXdz" in text:
        text = _AWS_SESSION.sub(MASK, text)
    for letters, labeled in (*_AWS_LABELED, *_AUTHORIZATION):
        if letters in text:
            text = labeled.sub(rf"\1{MASK}", text)
    if "@" in text and "://" in text:
        text = _URL.sub(_mask_user, text)
    return text


def _mask_user(url: re.Match[str]) -> str:
    return "://".join(map(_mask_user_in_part, url[0].split("://")))


def _mask_user_in_part(part: str) -> str:
    user, at, host = part.rpartition("@")
    # The URL https://host:443/@scope/package contains no password. A password may contain an unescaped slash.
    if not at or _HOST.match(user) or (":" not in user and len(user) <= _LONGEST_USER_NAME):
        return part
    return f"{MASK}@{host}"


# ------------------------------------------------------------------------------------------------ known secrets
@dataclass(frozen=True)
class _Form:
    """One encoding of a secret.

    ``pattern`` can match only text that contains one of ``anchors`` or, if the text contains escapes, one of
    ``escaped_anchors``. Without anchors, it may match any text.
    """

    pattern: re.Pattern[str]
    anchors: tuple[str, ...]
    escaped_anchors: tuple[str, ...] = ()

    def may_be_in(self, text: str, *, escapes: bool) -> bool:
        return (
            not self.anchors
            or any(anchor in text for anchor in self.anchors)
            or (escapes and any(anchor in text for anchor in self.escaped_anchors))
        )


_PERCENT: Final = re.compile("%[0-9A-Fa-f]{2}%")
_SHORTEST_ANCHOR: Final = 4
_SHORTEST_ENCODED: Final = 4
_LETTERS: Final = re.compile(r"[A-Za-z0-9]+")
_CHARACTERS: Final = re.compile(r"\\+|.", re.DOTALL)
_ESCAPE: Final = r"\\\\{0,7}"
"""Backslashes: each level of quoting adds some. The number is limited, because in a long run of backslashes, a search
without a limit would start over at each one.
"""
_BASE64: Final = r"[A-Za-z0-9+/_-]"
_BASE64_SIGNS: Final = {"+": rf"(?:\+|-|%2[Bb]|{_ESCAPE}u002[Bb])", "/": rf"(?:/|_|%2[Ff]|{_ESCAPE}/)"}


def _has_escapes(text: str) -> bool:
    return "\\" in text or _PERCENT.search(text) is not None


@lru_cache(maxsize=64)
def _forms(secrets: tuple[str, ...]) -> tuple[_Form, ...]:
    # Longest first, because one secret may be part of another.
    ordered = sorted(filter(None, dict.fromkeys(secrets)), key=len, reverse=True)
    return tuple(form for secret in ordered for form in _forms_of(secret))


def _forms_of(secret: str) -> Iterator[_Form]:
    yield _by_character(secret)
    content = secret.encode("utf-8", "replace")
    if len(content) >= _SHORTEST_ENCODED:
        yield from (_in_base64(content, offset) for offset in range(3))
        yield _in_hexadecimal(content)


def _by_character(secret: str) -> _Form:
    """The form that matches the secret with each character plain or escaped in one of the usual ways."""
    pattern = "".join(map(_character, _CHARACTERS.findall(secret)))
    if "\\" in secret:
        pattern = f"{re.escape(secret)}|{pattern}"
    anchor = max(_LETTERS.findall(secret), key=len, default="")
    if len(anchor) < _SHORTEST_ANCHOR:
        return _Form(re.compile(pattern), ())
    # An encoder escapes either no letters or every character. A long anchor is faster than a short one.
    codes = [f"{ord(character):02x}" for character in anchor[:6]]
    escaped = (prefix + prefix.join(codes) for prefix in ("%", "\\u00"))
    return _Form(re.compile(pattern), (anchor,), tuple(form for lower in escaped for form in _both_cases(lower)))


def _character(character: str) -> str:
    """A pattern for one character, or for a run of backslashes, in every usual escape."""
    if character[0] == "\\":
        # Each backslash can match in only one way, so that a failing search backtracks only once.
        return rf"(?<!\\)(?:\\u005[Cc]|\\(?!u[0-9A-Fa-f]{{4}})|%(?:25)*5[Cc]){{{len(character)},}}"
    forms = [re.escape(character)]
    forms.append("".join(f"%(?:25)*{_any_case(byte)}" for byte in character.encode("utf-8", "replace")))
    units = character.encode("utf-16-be", "replace")
    forms.append("".join(rf"{_ESCAPE}u{_any_case(units[i])}{_any_case(units[i + 1])}" for i in range(0, len(units), 2)))
    escaped = {json.dumps(character)[1:-1], html.escape(character)} - {character}
    forms += [re.escape(form).replace(r"\\", _ESCAPE, 1) for form in sorted(escaped)]
    if character in "/'":
        forms.append(_ESCAPE + re.escape(character))
    if character == " ":
        forms.append(r"\+")
    return f"(?:{'|'.join(dict.fromkeys(forms))})"


def _in_base64(content: bytes, offset: int) -> _Form:
    """The secret inside longer base64 text, ``offset`` bytes after the start of a group of three."""
    encoded = base64.b64encode(bytes(offset) + content).decode().rstrip("=")
    start = -(-offset * 8 // 6)
    end = (offset + len(content)) * 8 // 6
    core = encoded[start:end]
    pattern = "".join(_BASE64_SIGNS.get(character, character) for character in core)
    # The first and last characters share bits with the surrounding data.
    head = _BASE64 + "?" if offset else ""
    tail = (_BASE64 + "?" if (offset + len(content)) % 3 else "") + "={0,2}"
    anchor = max(_LETTERS.findall(core), key=len, default="")
    return _Form(re.compile(head + pattern + tail), (anchor,) if len(anchor) >= _SHORTEST_ANCHOR else ())


def _in_hexadecimal(content: bytes) -> _Form:
    pattern = f"(?:{_ESCAPE}x)?".join(map(_any_case, content))
    whole, bytewise = content.hex(), "".join(f"\\x{byte:02x}" for byte in content[:6])
    return _Form(re.compile(pattern), _both_cases(whole), _both_cases(bytewise))


def _both_cases(code: str) -> tuple[str, ...]:
    """``code`` with lower-case and upper-case digits; the letters of ``\\u`` and ``\\x`` stay lower-case."""
    upper = code.upper().replace("\\U", "\\u").replace("\\X", "\\x")
    return (code,) if code == upper else (code, upper)


def _any_case(byte: int) -> str:
    """A pattern for the two hexadecimal digits of ``byte`` in either case."""
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{byte:02x}")


def shortened(text: str, longest: int) -> str:
    """``text``, cut to at most ``longest`` characters. Redact it before, because half a secret could remain."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
