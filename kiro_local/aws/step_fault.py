"""What can happen to a state of a running execution, at a given moment of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kiro_local.aws.build_run import BuildEnding

RUNTIME: Final = "States.Runtime"


class Means(Enum):
    """How it goes wrong."""

    ERROR = auto()
    """The caller sees an error of a name."""
    KILL = auto()
    """SIGKILL to the function's process."""
    BUILD_ENDS = auto()
    """The build runs nothing and ends as told."""
    ABORT = auto()
    """Somebody stops the execution."""
    TIME_OUT = auto()
    """The state machine's own time is up."""


class Moment(StrEnum):
    BEFORE = "before"
    DURING = "during"
    AFTER = "after"
    LATE = "late"


@dataclass(frozen=True)
class StepFault:
    """What happens to which ``state`` of which state ``machine``, when; ``always`` is until it is cleared.

    ``error`` is the name that the caller sees, ``ending`` how the build ends, ``line`` the beginning of the line of the
    build's log at which it happens ``DURING`` the build.
    """

    machine: str
    state: str
    means: Means
    moment: Moment = Moment.BEFORE
    error: str = ""
    ending: BuildEnding | None = None
    line: str = ""
    always: bool = False
