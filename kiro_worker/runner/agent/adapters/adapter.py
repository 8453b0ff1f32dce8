"""What the runner needs to know about a program to run it as the agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """How to start one program as the agent, and how to read its output.

    The prompt goes to standard input. ``unit`` is what ``maxCredits`` counts. ``always_reports_cost`` means that output
    without a cost proves that no turn took place. ``how_to_install`` is the fix when the program cannot be started.
    """

    name: str
    argv: tuple[str, ...]
    unit: str
    read_usage: Callable[[Sequence[str]], Usage]
    how_to_install: str
    key_variable: str = ""
    always_reports_cost: bool = True


@dataclass(frozen=True)
class PreparedAgent:
    """An adapter, the time limit of a turn, and the environment variables that hold its key."""

    adapter: Adapter
    timeout_seconds: float
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
