"""The subject of a commit: its template, its length, and the rules of commitlint and gitlint."""

from __future__ import annotations

import re
from typing import Final

from kiro_worker.commit_rules.text import defused_line, is_visible

LONGEST_SUBJECT: Final = 72
"""GitHub cuts longer ones in its lists; gitlint rejects them, and commitlint those above 100."""
TITLE: Final = "{title}"

_LONGEST_TEMPLATE: Final = 40
"""What a template may add to the title, so that at least 32 characters remain for that."""
_CONVENTIONAL: Final = re.compile(r"[a-z][a-z0-9-]*(?:\([^()]*\))?!?: *\S")
_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")
_PLAIN_WORD: Final = re.compile(r"[^\W\d_][a-z'-]*(?![^\W_]|\d)")
_OBEYED_BY_GIT: Final = re.compile(r"(?:[#\s]|-{3,}|(?:fixup|squash|amend)!)+", re.IGNORECASE)
"""At the beginning of a subject: a comment, the divider below which git reads no trailers, and autosquash."""
_SPEAKS_FOR_PERSON: Final = re.compile(r"([\w-]+-by|on-behalf-of|release-as)\s*[:=]+", re.IGNORECASE)
"""At the beginning of a line. Checks of the sign-off and release tools read it outside the trailers, too."""
_NO_TITLE: Final = "(no title)"
_LAST_PUNCTUATION: Final = " .,;:!?。，、；：！？"  # noqa: RUF001  # as other languages write them


def subject_problem(template: str) -> str:
    """Return why commits cannot have this template for their subject; empty if they can."""
    if not template.strip() or template != template.strip():
        return "must not be empty, or begin or end with a space"
    if not is_visible(template):
        return "must be one line without invisible characters"
    if unknown := next((name for name in _PLACEHOLDER.findall(template) if name != TITLE), ""):
        return f"has the unknown placeholder {unknown}; the only placeholder is {TITLE}"
    fixed = template.replace(TITLE, "")
    if template.count(TITLE) != 1 or "{" in fixed or "}" in fixed:
        return f"must contain {TITLE} once, and no other braces"
    if len(fixed) > _LONGEST_TEMPLATE:
        return f"must have at most {_LONGEST_TEMPLATE} characters besides {TITLE}"
    if (obeyed := defused_line(fixed)) != " ".join(fixed.split()):
        return f"must not contain what CI systems or GitHub obey; it would be written as: {obeyed}"
    if _OBEYED_BY_GIT.match(template):
        return "must not begin with what git obeys: # or --- or fixup!"
    if _SPEAKS_FOR_PERSON.match(template):
        return "must not begin like a trailer that speaks for a person, such as Signed-off-by:"
    if template[-1] in _LAST_PUNCTUATION:
        return "must not end with punctuation"
    return ""


def subject_line(title: str, template: str | None = None) -> str:
    """Return the subject for ``title``, which anybody may have written, in a ``template`` without a problem.

    A title after a type, as in ``feat: {title}``, begins with a small letter, because commitlint expects that.
    """
    template = template or TITLE
    before, _, after = template.partition(TITLE)
    title = _plain(title).removeprefix(before).removesuffix(after) or _NO_TITLE
    if is_conventional(template):
        title = _small(title)
    # What is around the title may belong to something that is obeyed: "[skip {title}".
    room = LONGEST_SUBJECT - len(before) - len(after)
    return defused_line(f"{before}{_cut(title, room)}{after}")[:LONGEST_SUBJECT].rstrip()


def fits_template(subject: str, template: str | None) -> bool:
    """Return whether ``subject`` may stay as it is: it has the ``template``, or another type where that has one."""
    before, _, after = (template or TITLE).partition(TITLE)
    if is_conventional(before + "x") and is_conventional(subject):
        return True
    return subject.startswith(before) and subject.endswith(after)


def is_conventional(text: str) -> bool:
    """Return whether ``text`` has the form of Conventional Commits: ``feat(cart)!: …``."""
    return _CONVENTIONAL.match(text) is not None


def _plain(title: str) -> str:
    """Return ``title`` on one line, without what git or a linter reads at its ends."""
    text = defused_line(title)
    begin = _OBEYED_BY_GIT.match(text)
    text = text[begin.end() if begin else 0 :]
    while spoken := _SPEAKS_FOR_PERSON.match(text):
        text = spoken[1] + text[spoken.end() :]
    return text.rstrip(_LAST_PUNCTUATION) or _NO_TITLE


def _small(title: str) -> str:
    """Return ``title`` with a small first letter; behind a verb if the first word is a name such as ``OAuth2``."""
    first = title[:1]
    if first == first.lower():
        return title
    return first.lower() + title[1:] if _PLAIN_WORD.match(title) else f"implement {title}"


def _cut(title: str, room: int) -> str:
    return title if len(title) <= room else f"{title[: room - 1].rstrip(_LAST_PUNCTUATION)}…"
