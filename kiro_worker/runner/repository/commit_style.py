"""How the worker writes commits: who the author is, the subject, the lines of the body and the trailers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.commit_rules import DEFAULT_AUTHOR, LONGEST_LINE, Author, defused, parse_author, subject_line
from kiro_worker.models import EXECUTION_TRAILER
from kiro_worker.runner.sandbox.printable import printable

if TYPE_CHECKING:
    from kiro_worker.config.settings import CommitSettings
    from kiro_worker.runner.request import BuildRequest

TASK_TRAILER: Final = "Kiro-Worker-Task"
PARTIAL_TRAILER: Final = "Kiro-Worker-Partial"
SIGN_OFF: Final = "Signed-off-by"
CO_AUTHOR: Final = "Co-authored-by"
_AGENTS_ADDRESS: Final = f"agent.of.{DEFAULT_AUTHOR.address}"
"""No stranger can get this one, either. The addresses that agents write belong to accounts that somebody chose."""


@dataclass(frozen=True)
class CommitMessage:
    """The message of a commit that the worker writes; ``trailers`` name the execution and the finished tasks."""

    title: str
    body: str
    trailers: tuple[str, ...]

    def __str__(self) -> str:
        paragraphs = (self.title, self.body, "\n".join(self.trailers))
        return printable("\n\n".join(filter(None, paragraphs)) + "\n")


@dataclass(frozen=True)
class CommitStyle:
    """The settings of commits. ``agent`` is the name of the agent, for commits that it made itself."""

    author: Author = DEFAULT_AUTHOR
    sign_off: bool = False
    subject: str | None = None
    squash: bool = False
    agent: str = ""

    @classmethod
    def of(cls, settings: CommitSettings, agent: str = "") -> CommitStyle:
        """Return the style that the settings, which have been validated, describe."""
        author = parse_author(settings.author) if settings.author else DEFAULT_AUTHOR
        return cls(author, settings.sign_off, settings.subject, settings.squash, agent)

    def message(self, title: str, body: str, trailers: tuple[str, ...], *, short_title: str = "") -> CommitMessage:
        """Return a message. ``short_title`` takes the place of ``title`` in the configured subject."""
        subject = subject_line((short_title or title) if self.subject else title, self.subject)
        return CommitMessage(subject, defused(body), (*trailers, *self.sign_offs))

    @property
    def sign_offs(self) -> tuple[str, ...]:
        """The trailer with which the author signs off, if that is required. It must be the author's name, exactly."""
        return (f"{SIGN_OFF}: {self.author}",) if self.sign_off else ()

    @property
    def co_author(self) -> str:
        """The trailer of a commit that the agent made itself. It names the agent and never a person."""
        name = re.sub(r"[^A-Za-z0-9 ._-]", "", self.agent).strip(" ._-")[:40] or "agent"
        return f"{CO_AUTHOR}: {name} <{_AGENTS_ADDRESS}>"

    @property
    def identity(self) -> dict[str, str]:
        """The environment variables that make git write this author and committer."""
        name, address = self.author.name, self.author.address
        return {
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": address,
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": address,
        }


def execution_trailer(request: BuildRequest) -> str:
    """Return the trailer that names the execution, for people: anybody can write it into a commit.

    It has the execution's name and not its ARN, which contains the account and is too long for commitlint.
    """
    return f"{EXECUTION_TRAILER}: {request.run_name}"


def wrapped(text: str) -> str:
    """Return ``text`` with its long lines wrapped. A longer word stays whole, because it may be an address."""
    return "\n".join(part for line in text.split("\n") for part in _wrapped_line(line))


def _wrapped_line(line: str) -> list[str]:
    if len(line) <= LONGEST_LINE:
        return [line]
    lines: list[str] = []
    for word in line.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= LONGEST_LINE:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [part.rstrip() for part in lines if part.strip()] or [""]
