"""Credentials of every shape that must never appear in a log, and the encodings in which programs print a secret."""

from __future__ import annotations

import base64
import html
import json
import string
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st

ALPHANUMERIC = string.ascii_letters + string.digits
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
URL_SAFE = ALPHANUMERIC + "._~-"


@dataclass(frozen=True)
class Printed:
    """What a program prints.

    No part of ``secret`` that has ``revealing`` characters may remain in the log.
    """

    text: str
    secret: str
    revealing: int = 12


def of(alphabet: str, shortest: int, longest: int | None = None) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=shortest, max_size=longest or shortest)


def prefixed(prefixes: list[str], rest: st.SearchStrategy[str], revealing: int = 12) -> st.SearchStrategy[Printed]:
    return st.builds(lambda prefix, tail: Printed(prefix + tail, tail, revealing), st.sampled_from(prefixes), rest)


def labeled(labels: list[str], value: st.SearchStrategy[str]) -> st.SearchStrategy[Printed]:
    return st.builds(
        lambda label, between, found: Printed(f"{label}{between}{found}", found),
        st.sampled_from(labels),
        st.sampled_from(["=", ": ", '": "', "='", " = ", " => ", '\\":\\"', ">", " ", " [None]: ", "%3D"]),
        value,
    )


GITHUB = prefixed(["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], of(ALPHANUMERIC, 36, 251))
GITHUB_FINE_GRAINED = st.builds(
    lambda one, two: Printed(f"github_pat_{one}_{two}", f"{one}_{two}"), of(ALPHANUMERIC, 22), of(ALPHANUMERIC, 59)
)
GITHUB_APP_JWT = st.builds(
    lambda app, head, body, sign: Printed(f"ghs_{app}_{head}.{body}.{sign}", f"{head}.{body}.{sign}"),
    st.integers(1, 10**7),
    *(of(ALPHANUMERIC + "_-", 30, 200) for _ in range(3)),
)
AWS_KEY_ID = prefixed(["AKIA", "ASIA"], of(string.ascii_uppercase + "234567", 16))
AWS_SECRET_KEY = labeled(
    ["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey", "secretAccessKey", "AWS Secret Access Key"],
    of(ALPHANUMERIC + "/+", 40),
)
AWS_SESSION_TOKEN = labeled(
    ["aws_session_token", "AWS_SESSION_TOKEN", "SessionToken", "X-Amz-Security-Token", "aws_security_token"],
    of(ALPHANUMERIC + "/+", 100, 1200),
)
BARE_SESSION_TOKEN = prefixed(["IQoJb3JpZ2lu", "FwoGZXIvYXdz"], of(ALPHANUMERIC + "/+", 100, 1200))
KIRO = prefixed(["ksk_"], of(ALPHANUMERIC + "_-", 24, 80))
BEARER = prefixed(["Authorization: Bearer ", "authorization: bearer "], of(ALPHANUMERIC + "-._~+/", 24, 200))
BASIC = st.builds(
    lambda user, password: Printed(f"Authorization: Basic {basic(user, password)}", basic(user, password)),
    of(URL_SAFE, 1, 12),
    of(PRINTABLE, 16, 60),
)
URL_PASSWORD = st.builds(
    lambda scheme, user, password: Printed(f"{scheme}://{user}:{password}@host.example/x.git", password, len(password)),
    st.sampled_from(["https", "postgres", "amqp+ssl"]),
    of(URL_SAFE, 0, 12),
    of(URL_SAFE + "!$&'()*+,;=%:@", 8, 60).filter(lambda password: not password.isdigit()),
)

SHAPES = {
    "github": GITHUB,
    "github fine-grained": GITHUB_FINE_GRAINED,
    "github app, JWT": GITHUB_APP_JWT,
    "aws key id": AWS_KEY_ID,
    "aws secret key": AWS_SECRET_KEY,
    "aws session token": AWS_SESSION_TOKEN,
    "bare session token": BARE_SESSION_TOKEN,
    "kiro": KIRO,
    "bearer": BEARER,
    "basic": BASIC,
    "url": URL_PASSWORD,
}

KNOWN = of(PRINTABLE, 12, 60)
"""Secrets that the worker knows by value; a shorter one could be an ordinary word."""

WRAPS = st.binary(max_size=5)


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def percent(secret: str) -> str:
    return "".join(f"%{byte:02x}" for byte in secret.encode())


def encodings(secret: str, before: bytes = b"", after: bytes = b"") -> dict[str, str]:
    """``secret`` in every common encoding; base64 and hexadecimal include the text around it."""
    around = before + secret.encode() + after
    standard, url_safe = base64.b64encode(around).decode(), base64.urlsafe_b64encode(around).decode()
    return {
        "plain": secret,
        "url": quote(secret, safe=""),
        "url path": quote(secret),
        "url lower": "".join(part.lower() if part[0] == "%" else part for part in _parts(quote(secret, safe=""))),
        "form": quote_plus(secret),
        "url, everything": percent(secret),
        "url, everything, capitals": percent(secret).upper(),
        "url twice": quote(quote(secret, safe=""), safe=""),
        "json": json.dumps(secret)[1:-1],
        "json twice": json.dumps(json.dumps(secret))[3:-3],
        "json with slashes": json.dumps(secret)[1:-1].replace("/", "\\/"),
        "json, everything": "".join(f"\\u{ord(character):04x}" for character in secret),
        "html": html.escape(secret),
        "base64": standard,
        "base64 for urls": url_safe,
        "base64 in a url": quote(standard, safe=""),
        "base64 unpadded": url_safe.rstrip("="),
        "hex": around.hex(),
        "hex capitals": around.hex().upper(),
        "bytes": "".join(f"\\x{byte:02x}" for byte in around),
    }


def survives(printed: Printed, output: str) -> bool:
    """Whether a revealing part of the secret remains in ``output``."""
    secret, length = printed.secret, min(printed.revealing, len(printed.secret))
    return any(secret[at : at + length] in output for at in range(len(secret) - length + 1))


def _parts(quoted: str) -> list[str]:
    parts, at = [], 0
    while at < len(quoted):
        size = 3 if quoted[at] == "%" else 1
        parts.append(quoted[at : at + size])
        at += size
    return parts
