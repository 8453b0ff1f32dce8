"""The filter language of project views, as in ``ProjectV2.items(query:)``.

A space means AND, a comma OR, ``-`` NOT: ``status:"For Implementation",Todo -is:draft no:branch``. Fields are named by
their slug. An unknown status or field matches nothing and is not an error. A word without a qualifier is searched for
in the title.

https://docs.github.com/en/issues/planning-and-tracking-with-projects/customizing-views-in-your-project/filtering-projects
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_local.github.model import Issue, Item, PullRequest

if TYPE_CHECKING:
    from collections.abc import Callable

_VALUE: Final = r'"(?:[^"\\]|\\.)*"|[^\s,"]+'
_TERM: Final = re.compile(
    rf'(?P<negated>-)?(?:(?P<qualifier>[\w.-]+):(?P<values>(?:{_VALUE})(?:,(?:{_VALUE}))*)?|(?P<word>"[^"]*"|\S+))'
)


@dataclass(frozen=True)
class Term:
    """One condition. ``qualifier`` is empty for a word in the title."""

    qualifier: str
    values: tuple[str, ...]
    negated: bool = False


def parse(query: str) -> tuple[Term, ...]:
    """The conditions of a filter, all of which must hold."""
    terms = []
    for match in _TERM.finditer(query):
        if match["qualifier"] is None:
            terms.append(Term("", (_unquoted(match["word"]),), bool(match["negated"])))
        else:
            values = tuple(_unquoted(value) for value in re.findall(_VALUE, match["values"] or ""))
            terms.append(Term(match["qualifier"].lower(), values, bool(match["negated"])))
    return tuple(terms)


def matcher(query: str | None) -> Callable[[Item], bool]:
    """A predicate that is true for a card that the filter shows."""
    terms = parse(query or "")
    return lambda item: all(_holds(term, item) != term.negated for term in terms)


def _holds(term: Term, item: Item) -> bool:
    match term.qualifier:
        case "":
            return any(value.lower() in item.title.lower() for value in term.values)
        case "is":
            return any(_is(value.lower(), item) for value in term.values)
        case "no":
            return any(_has(value.lower(), item) is False for value in term.values)
        case "has":
            return any(_has(value.lower(), item) is True for value in term.values)
        case "title":
            return any(_same(value, item.title) for value in term.values)
        case "repo":
            content = item.content
            name = content.repository.name_with_owner if isinstance(content, Issue | PullRequest) else ""
            return any(_same(value, name) for value in term.values)
        case slug:
            field = next((each for each in item.project.fields if each.slug == slug), None)
            actual = item.value(field.name) if field else None
            return actual is not None and any(_same(value, actual) for value in term.values)


def _is(state: str, item: Item) -> bool:
    content = item.content
    draft = item.type == "DRAFT_ISSUE" or (isinstance(content, PullRequest) and content.is_draft)
    closed = isinstance(content, Issue | PullRequest) and content.closed
    answers = {
        "issue": item.type == "ISSUE",
        "pr": item.type == "PULL_REQUEST",
        "draft": draft,
        "closed": closed,
        "open": content is not None and not closed,
        "merged": isinstance(content, PullRequest) and content.merged,
    }
    return answers.get(state, False)


def _has(slug: str, item: Item) -> bool | None:
    """Whether a field is set; ``None`` for an unknown field, which neither ``no:`` nor ``has:`` matches."""
    field = next((each for each in item.project.fields if each.slug == slug), None)
    return None if field is None else bool(item.value(field.name))


def _same(wanted: str, actual: str) -> bool:
    """Whether the texts are equal, ignoring case; ``*`` in ``wanted`` matches any text."""
    pattern = ".*".join(re.escape(part) for part in wanted.split("*"))
    return re.fullmatch(pattern, actual, re.IGNORECASE | re.DOTALL) is not None


def _unquoted(value: str) -> str:
    return (
        re.sub(r"\\(.)", r"\1", value[1:-1])
        if value.startswith('"') and value.endswith('"') and len(value) > 1
        else value
    )
