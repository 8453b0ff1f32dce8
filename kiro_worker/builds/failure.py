"""The names of failures of builds that report no outcome, and what people read about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import with_remedy
from kiro_worker.outcomes import FaultOwner

if TYPE_CHECKING:
    from collections.abc import Mapping


class BuildFailure(StrEnum):
    """The name of a build's failure that is not an outcome, because the build reported none."""

    NOT_STARTED = "BuildNotStarted"
    """CodeBuild accepted no build."""
    FAILED = "BuildFailed"
    """A phase of the build failed, or a person or a program stopped the build."""
    TIMED_OUT = "BuildTimedOut"
    """The build waited in the queue, or ran, for longer than it may."""
    FAULTED = "BuildFaulted"
    """CodeBuild itself failed: the build status FAULT."""


@dataclass(frozen=True)
class Explanation:
    """Why a build failed: what people need to know, how to fix it, and who has to act.

    ``keeps_work`` says that the agent may have finished tasks, which are then on the checkpoint. ``of_machine`` says
    that another image, size or time limit of the build may be all that is needed.
    """

    name: BuildFailure
    reason: str
    remedy: str
    owner: FaultOwner
    keeps_work: bool = False
    of_machine: bool = False

    def for_repository(self, file: str) -> Explanation:
        """The same for a machine that the repository's own ``file`` chose: others can be built without it.

        Otherwise the choice of one repository could stop the queue for all of them.
        """
        if not self.of_machine or self.owner is not FaultOwner.INSTALLATION:
            return self
        remedy = f'correct "build" in {file} on the default branch, which chose the machine; or {self.remedy}'
        return replace(self, owner=FaultOwner.REPOSITORY, remedy=remedy)

    @property
    def text(self) -> str:
        """Reason, remedy and owner for people."""
        return f"{with_remedy(self.reason, self.remedy)}\n{WHO_ACTS[self.owner]}"


WHO_ACTS: Final[Mapping[FaultOwner, str]] = {
    FaultOwner.CARD: "Who has to act: the author of the card.",
    FaultOwner.REPOSITORY: "Who has to act: the team that owns the repository.",
    FaultOwner.INSTALLATION: "Who has to act: the operators of this installation.",
    FaultOwner.SERVICE: "Nobody has to change anything: a service failed, and another attempt may succeed.",
}
