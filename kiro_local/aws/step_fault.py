"""A fault of one state of a running execution: what goes wrong, and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kiro_local.aws.build_run import BuildEnding

RUNTIME: Final = "States.Runtime"


class Means(Enum):
    """What goes wrong."""

    ERROR = auto()
    """The caller receives an error."""
    KILL = auto()
    """The function's process receives SIGKILL."""
    BUILD_ENDS = auto()
    """The build runs nothing and ends as ``StepFault.ending``."""
    ABORT = auto()
    """A person stops the execution."""
    TIME_OUT = auto()
    """The state machine's own timeout passes."""


class Moment(StrEnum):
    """When it goes wrong, relative to the state's work."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"
    LATE = "late"
    """The caller has given up, and the work is done afterwards."""


@dataclass(frozen=True)
class StepFault:
    """A fault of ``state`` of the state machine ``machine``. It happens once, or until it is cleared if ``always``.

    ``error`` is the name of the error that the caller receives, ``ending`` how the build ends, ``line`` the text in the
    build's log that triggers a fault ``DURING`` the build.
    """

    machine: str
    state: str
    means: Means
    moment: Moment = Moment.BEFORE
    error: str = ""
    ending: BuildEnding | None = None
    line: str = ""
    always: bool = False
