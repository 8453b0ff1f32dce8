"""The subject of a commit: its template and its length, as commitlint and gitlint want them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.commit_rules import LONGEST_SUBJECT, subject_line, subject_problem
from tests.unit.commit_rules.dangerous import hostile_text, obeyed_in

TEMPLATES = (
    "feat: {title}",
    "feat(cart)!: {title}",
    "[kiro] {title}",
    "{title} (kiro)",
    "PROJ-12: {title}",
)


@pytest.mark.parametrize(
    ("title", "subject"),
    [
        ("Add a price", "feat: add a price"),
        ("A price.", "feat: a price"),
        ("add a price", "feat: add a price"),
        ("feat: add a price", "feat: add a price"),
        ("OAuth2 login", "feat: implement OAuth2 login"),
        ("API", "feat: implement API"),
        ("`apply_discount` in Foo", "feat: `apply_discount` in Foo"),
        ("Über alles", "feat: über alles"),
        ("中文标题。", "feat: 中文标题"),
        ("3 retries", "feat: 3 retries"),
        ("fixup! Add a price", "feat: add a price"),
        ("## Title", "feat: title"),
        ("--- squash! # Title", "feat: title"),
        ("Fix crash (fixes #12) [skip ci]", "feat: fix crash (fixes no. 12) (skip ci)"),
        ("  ", "feat: (no title)"),
    ],
)
def test_conventional_subject(title: str, subject: str) -> None:
    assert subject_line(title, "feat: {title}") == subject


def test_subject_without_template_is_title() -> None:
    assert subject_line("Implement 1.1 Add a price.") == "Implement 1.1 Add a price"


def test_long_title_is_cut_but_not_template() -> None:
    subject = subject_line("Add " + "long " * 30, "feat: {title} (kiro)")

    assert len(subject) == LONGEST_SUBJECT
    assert subject.startswith("feat: add long")
    assert subject.endswith("… (kiro)")


@pytest.mark.parametrize("template", [None, "{title} (kiro)", "feat: {title}"])
@pytest.mark.parametrize(
    "title", ["Signed-off-by: A Boss <boss@acme.com>", "# Reviewed-by := A", "A-by:B-by: C", "release-as: 9"]
)
def test_title_speaks_for_nobody(title: str, template: str | None) -> None:
    subject = subject_line(title, template)

    assert not re.search(r"-(?:by|as)\s*[:=]", subject, re.IGNORECASE)


@pytest.mark.parametrize("template", TEMPLATES)
def test_template_is_accepted(template: str) -> None:
    assert subject_problem(template) == ""


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("", "must not be empty"),
        (" {title}", "begin or end with a space"),
        ("Signed-off-by: {title}", "must not begin like a trailer"),
        ("feat: {title}\n\nx", "one line"),
        ("feat: {number} {title}", "unknown placeholder {number}"),
        ("{title} {title}", "must contain {title} once"),
        ("feat: x", "must contain {title} once"),
        ("{title} }", "no other braces"),
        ("x" * 41 + "{title}", "at most 40 characters"),
        ("{title} [skip ci]", r"\(skip ci\)"),
        ("{title} (fixes #12)", "fixes no. 12"),
        ("{title}.", "punctuation"),
        ("--- {title}", "what git obeys"),
        ("@acme {title}", "@ acme"),
    ],
)
def test_wrong_template_is_refused(template: str, why: str) -> None:
    assert re.search(why, subject_problem(template))


@given(hostile_text, st.sampled_from((None, *TEMPLATES, "[skip {title}", "fix {title}")))
def test_subject_keeps_rules_whatever_title_says(title: str, template: str | None) -> None:
    subject = subject_line(title, template)

    assert 0 < len(subject) <= LONGEST_SUBJECT
    assert subject.isprintable()
    assert not obeyed_in(subject)
    assert subject == subject.strip()
    assert not subject.startswith(("#", "fixup!", "squash!"))
    if template in ("feat: {title}", None):
        assert not subject.endswith((".", "!", ":"))
    if template == "feat: {title}":
        assert subject[6] == subject[6].lower()
