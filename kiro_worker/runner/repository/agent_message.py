"""What the worker keeps of the message of a commit that the agent made itself.

The agent can write anything: the sign-off or the review of a person, a co-author, the worker's own trailers, or what
CI obeys. The subject and the body stay readable, and nothing of the rest is kept.
"""

from __future__ import annotations

import re
from typing import Final

from kiro_worker.commit_rules import LONGEST_LINE, defused
from kiro_worker.commit_rules.subject import is_conventional, subject_line
from kiro_worker.runner.repository.commit_style import CommitMessage, CommitStyle, wrapped

LONGEST_MESSAGE: Final = 20_000
_MOST_LINES: Final = 100
_TRAILER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*: \S")
_FORGEABLE: Final = re.compile(
    r"(?:[>#\s-]|(?:fixup|squash|amend)!)*+"
    r"(?:(?:[\w-]+-by|on-behalf-of|kiro-worker-[\w-]+|release-as)\s*[:=]|(?:skip|request)-checks\b)",
    re.IGNORECASE,
)
"""A line that speaks for a person or for the worker. GitHub also reads such lines outside the last paragraph."""
_DIVIDER: Final = re.compile(r"-{3}")
"""git reads no trailers below a line that begins so, and takes it for the beginning of a patch."""


def agent_message(text: str, style: CommitStyle, default: str) -> CommitMessage:
    """Return the message in place of ``text``. ``default`` is the subject if it has none."""
    first, _, rest = defused(text[:LONGEST_MESSAGE]).strip().partition("\n")
    if _is_forgeable(first):
        first, rest = "", f"{first}\n{rest}"
    # Wrapped first, because what follows in a long line can become the beginning of one.
    lines = [line.rstrip() for line in wrapped(rest).split("\n") if not _is_forgeable(line)][:_MOST_LINES]
    *paragraphs, last = re.split(r"\n{2,}", "\n".join(lines).strip("\n"))
    trailers = tuple(last.split("\n")) if last and all(map(_is_trailer, last.split("\n"))) else ()
    body = "\n\n".join(filter(str.strip, paragraphs if trailers else (*paragraphs, last)))
    body = "\n".join(f" {line}" if _DIVIDER.match(line) else line for line in body.split("\n"))
    return CommitMessage(_subject(first, style, default), body, (*trailers, style.co_author, *style.sign_offs))


def _subject(first: str, style: CommitStyle, default: str) -> str:
    title = first.strip() or default
    if style.subject and is_conventional(style.subject) and is_conventional(title):
        # The agent chose the type itself, as the team's guidelines probably say.
        prefix, _, title = title.partition(": ")
        return subject_line(title, f"{prefix[:40]}: {{title}}") if title else subject_line(prefix, style.subject)
    return subject_line(title, style.subject)


def _is_forgeable(line: str) -> bool:
    return _FORGEABLE.match(line) is not None


def _is_trailer(line: str) -> bool:
    return _TRAILER.match(line) is not None and len(line) <= LONGEST_LINE
