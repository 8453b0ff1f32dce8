from __future__ import annotations

import base64
import time
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kiro_worker.redaction import MASK, holds_secret, redact
from tests.support.secret_shapes import KNOWN, SHAPES, WRAPS, Printed, encodings, survives


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "gho_0123456789abcdefghijABCDEFGHIJ012345",
        "ghs_0123456789abcdefghijABCDEFGHIJ012345",
        "github_pat_0123456789abcdefghij_ABCDEFGHIJ0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE",
        "ksk_0123456789abcdef",
    ],
)
def test_tokens_are_redacted_anywhere(secret: str) -> None:
    for text in (secret, f"token={secret},", f"https://x.example/?t={secret}", f"Authorization: Bearer {secret}"):
        assert secret not in redact(text)


def test_url_loses_only_its_password() -> None:
    assert redact("fatal: https://git:hush@github.example/x.git") == "fatal: https://[redacted]@github.example/x.git"


@given(st.text(min_size=6), st.text(), st.text())
def test_every_encoding_of_secret_is_redacted(secret: str, before: str, after: str) -> None:
    encoded = secret.encode("utf-8", "replace")
    for form in (secret, quote(secret, safe="", errors="replace"), base64.b64encode(encoded).decode()):
        if form not in before + "[redacted]" + after and form not in redact(""):
            output = redact(f"{before}{form}{after}", [secret])
            assert form not in output or form in redact(before, [secret]) + "[redacted]" + redact(after, [secret])


AROUND = st.sampled_from(
    ["", " ", "token=", '"', "x ", "\n", "é•▸ ", "url: https://host.example/a ", "'", "(", "50% ", "\\\\"]
)


@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data(), before=AROUND, after=AROUND)
def test_no_credential_shape_survives(shape: str, data: st.DataObject, before: str, after: str) -> None:
    printed = data.draw(SHAPES[shape])

    output = redact(f"{before}{printed.text}{after}")

    assert not survives(printed, output)
    assert MASK in output


@given(KNOWN, WRAPS, WRAPS, AROUND, AROUND)
@example("p4ss/w0rd+of=the&worker", b"", b"", "", "")
@example('"\\\\"\\<&>%25\'/+ab', b"git:", b"\n", "", "")
def test_known_secret_is_always_redacted(
    secret: str, inner_before: bytes, inner_after: bytes, before: str, after: str
) -> None:
    for encoding, text in encodings(secret, inner_before, inner_after).items():
        output = redact(f"{before}{text}{after}", ["another-known-secret", secret])
        known = text if encoding == "plain" else encodings(secret)[encoding].rstrip("=")
        assert secret not in output, encoding
        assert text not in output, encoding
        assert not survives(Printed(text, known[1:-1] if "base64" in encoding else known, 14), output), encoding
        assert holds_secret(text, [secret]), encoding


@given(st.text(max_size=300), st.lists(KNOWN, max_size=3))
def test_lines_are_redacted_alone_or_together(text: str, secrets: list[str]) -> None:
    assert redact(text, secrets) == "\n".join(redact(line, secrets) for line in text.split("\n"))


@pytest.mark.parametrize(
    "text",
    [
        "npm https://registry.example.org:443/@types/node",
        "git clone ssh://git@github.com/acme/shop.git",
        "see https://host.example/a and write to me@host.example",
        "basic authentication, bearer authorization, security token service",
        "e83c5163316f89bfbde7d9ab23ca2e25604af290 (HEAD -> main)",
        "The session token expired; the secret key is read from the vault",
    ],
)
def test_ordinary_text_stays_readable(text: str) -> None:
    assert redact(text, ["p4ss/w0rd+of=the&worker"]) == text


@pytest.mark.parametrize(
    "text", ["://a:" * 20_000, "://" * 30_000, "aws_secret_access_key = " * 5000, "\\\\" * 60_000, "%25" * 30_000]
)
def test_no_text_is_slow(text: str) -> None:
    started = time.perf_counter()

    redact(text, ["p4ss/w0rd+of=the&worker", '\\\\\\"quoted\\\\\\', "%%%%%%%%%%"])

    assert time.perf_counter() - started < 5
