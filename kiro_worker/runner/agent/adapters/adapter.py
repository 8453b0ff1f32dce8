"""What the runner needs to know about a program to run it as the agent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kiro_worker.runner.agent.adapters.refusal import Refusal

NUMBER_FIELD: Final = r"\s*:\s*(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
"""Matches what follows a JSON key whose value is a number.

The adapters search JSON output for single fields instead of parsing it, because a long answer is one line of JSON, and
overlong lines arrive in pieces. The quotes of such a field are escaped inside the text of an answer, so a pattern that
starts with ``(?<!\\\\)"`` does not match there.
"""


@dataclass(frozen=True)
class Usage:
    """What the agent reports about its own turn.

    ``cost`` is in the adapter's unit; ``None`` means not reported. ``failed`` is true when the agent reports that the
    turn failed.
    """

    cost: float | None = None
    seconds: float | None = None
    failed: bool = False


@dataclass(frozen=True)
class Service:
    """The service behind an agent: its name, its host, and the page that shows and raises the limits of a key."""

    name: str
    host: str
    limits_page: str


def never_refused(_lines: Sequence[str]) -> Refusal | None:
    """Return ``None``, for an agent whose refusals have no known texts."""
    return None


def whole_output(lines: Sequence[str]) -> str:
    """Return the lines as one text, for an agent whose output is for people."""
    return "\n".join(lines)


def last_text(lines: Sequence[str], field_name: str) -> str:
    """Return the last string in JSON output that is the value of ``field_name``, else the whole output."""
    found = re.findall(rf'(?<!\\)"{field_name}"\s*:\s*("(?:[^"\\]|\\.)*")', whole_output(lines), re.DOTALL)
    try:
        return str(json.loads(found[-1], strict=False))
    except (IndexError, ValueError):
        return whole_output(lines)


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """How to start one program as the agent, and how to read its output.

    The prompt goes to standard input. ``last_arguments`` come after all others.
    ``read_refusal`` returns why the agent's service refused the turn, and ``None`` for output with any evidence of
    work. ``read_words`` returns the part of the output that the agent said, which ends with its last words. ``unit`` is
    what ``maxCredits`` counts. ``always_reports_cost`` means that output without a cost proves that no turn took place.
    ``how_to_install`` is the fix when the program cannot be started.

    ``service`` is ``None`` for a program that gets no trial turn. ``trial_arguments`` and ``trial_variables`` make that
    turn cheap and quick.
    """

    name: str
    argv: tuple[str, ...]
    unit: str
    read_usage: Callable[[Sequence[str]], Usage]
    read_refusal: Callable[[Sequence[str]], Refusal | None] = never_refused
    how_to_install: str
    service: Service | None = None
    key_variable: str = ""
    last_arguments: tuple[str, ...] = ()
    always_reports_cost: bool = True
    read_words: Callable[[Sequence[str]], str] = whole_output
    trial_arguments: tuple[str, ...] = ()
    trial_variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PreparedAgent:
    """An adapter, the time limit of a turn, the environment variables that hold its key, and further arguments.

    ``chosen_by_repository`` are the settings (``name``, ``model``) that the repository's own file chose, so that their
    failure is the repository's. ``withheld`` are the variables that this file sets, and that the agent does not get.
    """

    adapter: Adapter
    timeout_seconds: float
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    arguments: tuple[str, ...] = ()
    chosen_by_repository: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line of a turn."""
        return (*self.adapter.argv, *self.arguments, *self.adapter.last_arguments)
