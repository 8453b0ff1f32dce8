"""What the agent's turns cost, as it counts toward the limits of the build and the budgets of its day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.records.days import note_spending
from kiro_worker.runner.agent.limits import note_usage

if TYPE_CHECKING:
    from kiro_worker.runner.agent.turn import AgentRun
    from kiro_worker.runner.edges import BuildEdges
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.request import BuildRequest


class Spending:
    """The spending of the build of ``request``. It counts for the day on which the build started."""

    def __init__(self, request: BuildRequest, edges: BuildEdges, progress: BuildProgress) -> None:
        # A build outside of CodeBuild has no ID. A person started it, so its owner is as unique.
        self._build_id = edges.environment.get("CODEBUILD_BUILD_ID", "") or request.owner
        self._repository = request.repository
        self._edges = edges
        self._progress = progress
        self._started = edges.records.now()
        self._recorded: float | None = None

    def note_turn(self, run: AgentRun) -> None:
        """Add the turn to the build's cost and time, and record them before the next turn can spend more."""
        note_usage(run, self._progress)
        self.record()

    def record(self) -> None:
        """Record what the build has spent, unless that is done or the agent does not report it.

        A failure stops nothing: the next turn and the end of the build record it again.
        """
        spent = self._progress.agent_credits
        if spent is None or spent == self._recorded:
            return
        try:
            note_spending(self._edges.records, self._started, self._repository, self._build_id, spent)
        except (BotoCoreError, ClientError) as error:
            self._edges.log.say(f"the daily budgets miss what this build spent, which cannot be recorded: {error}")
        else:
            self._recorded = spent
