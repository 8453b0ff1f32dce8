"""The author of the worker's commits is nobody's account by accident."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.commit_rules import DEFAULT_AUTHOR, Author, parse_author


@pytest.mark.parametrize(
    ("text", "author"),
    [
        ("Acme Bot <bot@acme.com>", Author("Acme Bot", "bot@acme.com")),
        (" Größe 7<a.b+c@mail.acme.co.uk> ", Author("Größe 7", "a.b+c@mail.acme.co.uk")),
        (
            "acme-kiro[bot] <1234567+acme-kiro[bot]@users.noreply.github.com>",
            Author("acme-kiro[bot]", "1234567+acme-kiro[bot]@users.noreply.github.com"),
        ),
        (str(DEFAULT_AUTHOR), DEFAULT_AUTHOR),
    ],
)
def test_author_is_read(text: str, author: Author) -> None:
    assert parse_author(text) == author


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Acme Bot", "must be name <address>"),
        ("bot@acme.com", "must be name <address>"),
        ("<bot@acme.com>", "must be name <address>"),
        ("A <B> <bot@acme.com>", "must be name <address>"),
        ("Bot <bot>", "is not an email address"),
        ("Bot <>", "is not an email address"),
        ("Bot <bot@acme>", "is not an email address"),
        ("Bot <bot@@acme.com>", "is not an email address"),
        ("Acme Inc. <bot@acme.com>", "not begin or end with"),
        ("--- <bot@acme.com>", "must contain a letter"),
        ("Bo\nt <bot@acme.com>", "invisible or control"),
        ("Bo\u202et <bot@acme.com>", "invisible or control"),
        (f"{'B' * 101} <bot@acme.com>", "100 characters"),
        ("Bot <kiro-worker@users.noreply.github.com>", "whoever has the login kiro-worker"),
        ("Bot <Kiro@Users.NoReply.GitHub.com>", "whoever has the login Kiro"),
        ("Bot <a_b@users.noreply.acme.ghe.com>", "whoever has the login a_b"),
        ("Bot <acme[bot]@users.noreply.github.com>", r"whoever has the login acme\[bot\]"),
        ("Bot <noreply@github.com>", "an address of GitHub itself"),
        ("Bot <bot@example.com>", "nobody owns example.com"),
        ("Bot <bot@kiro.invalid>", "nobody owns kiro.invalid"),
        ("Bot <bot@127.0.0.1>", "nobody owns 127.0.0.1"),
        ("Bot <bot@kiro.onion>", "nobody owns kiro.onion"),
        ("Bot <bot@ip-10-0-0-1.us-east-1.compute.internal>", "nobody owns"),
    ],
)
def test_wrong_author_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_author(text)


def test_default_is_no_ones_address() -> None:
    local, _, domain = DEFAULT_AUTHOR.address.partition("@")

    assert domain == "users.noreply.github.com", "GitHub's own domain: nobody receives mail there"
    assert "." in local, "no login contains a dot"


@given(st.builds("{} <{}@acme.com>".format, st.text(max_size=12), st.text("ab.+[]'\"#", max_size=6)))
def test_git_stores_author_as_it_is(text: str) -> None:
    try:
        author = parse_author(text)
    except ValueError:
        return

    who = {"GIT_AUTHOR_NAME": author.name, "GIT_AUTHOR_EMAIL": author.address, "GIT_AUTHOR_DATE": "@1 +0000"}
    stored = subprocess.run(["git", "var", "GIT_AUTHOR_IDENT"], env=who, cwd=Path(__file__).parent, capture_output=True)

    assert stored.stdout.decode() == f"{author} 1 +0000\n"
