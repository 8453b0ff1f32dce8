"""Nothing in a commit's message closes an issue, skips CI or mentions people, and people can still read it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given

from kiro_worker.commit_rules import defused, defused_line
from tests.unit.commit_rules.dangerous import REFERENCES, SKIP_MARKS, VERBS, hostile_text, obeyed_in


@pytest.mark.parametrize("mark", [*SKIP_MARKS, "[ skip ci ]", "[Skip\nCI]", "[[skip] ci]", "skip-checks: true"])
def test_skip_mark_is_defused(mark: str) -> None:
    shown = defused(f"Add a price {mark}")

    assert not obeyed_in(shown)
    assert "skip" in shown.lower() or "no" in shown.lower(), "people can still read it"


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("verb", VERBS)
def test_closing_keyword_is_defused(verb: str, reference: str) -> None:
    assert not obeyed_in(defused(f"{verb} {reference}"))
    assert not obeyed_in(defused(f"x ({verb}\n{reference})"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fixes #12", "fixes no. 12"),
        ("closes acme/shop#12", "closes acme/shop no. 12"),
        ("see (#12)", "see (no. 12)"),
        ("resolves GH-12", "resolves GH 12"),
        ("fixes https://github.com/acme/shop/issues/12", "fixes https://github.com/acme/shop no. 12"),
        ("Fixes AB#12", "Fixes AB no. 12"),
        ("JRA-1 #close", "JRA-1 close"),
        ("[skip ci] now", "(skip ci) now"),
        ("***NO_CI***", "NO_CI"),
        ("Ask @alice", "Ask @ alice"),
        ("skip-checks: true", "skip-checks true"),
        ("caf\udce9", r"caf\xe9"),
        ("a\u200bb\u202ec\x1bd", "abcd"),
    ],
)
def test_people_can_still_read_it(text: str, shown: str) -> None:
    assert defused(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Return `list[int]` for GET /issues/12",
        "Use C# and F# for a.b@acme.com",
        "Add a note [optional]",
        "Support --no-cache and the flag -x",
        "# Heading\n\n- item, über, 中文",
        "Handle x != 3 [1, 2]",
    ],
)
def test_harmless_text_stays(text: str) -> None:
    assert defused(text) == text


@given(hostile_text)
def test_nothing_that_is_obeyed_survives(text: str) -> None:
    shown, line = defused(text), defused_line(text)

    assert not obeyed_in(shown)
    assert not obeyed_in(line)
    assert defused(shown) == shown
    assert "\n" not in line
    assert line.isprintable()


@pytest.mark.parametrize(
    "piece", ["#", "!", "*", "-", "[", "[skip ", "@", "skip-checks:", "skip-checks ", "GH-", "[no"]
)
def test_long_text_takes_no_time(piece: str) -> None:
    started = time.process_time()

    defused(piece * 20_000)

    assert time.process_time() - started < 5
