"""How a build can end: the closed list of outcomes, each with its meaning, owner, effect on the card, and fix.

This is the only list: the runner, the steps and the comments use :class:`Outcome`, and the tables in the documentation
are generated from :data:`OUTCOMES` (``make docs``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class FaultOwner(StrEnum):
    """Who has to act when something fails."""

    CARD = "card"
    """The author of the card: its branch, spec or pull request."""
    REPOSITORY = "repository"
    """The team that owns the repository: its tests, its protected branches, its files."""
    INSTALLATION = "installation"
    """The operators of this installation: its secrets, configuration, agent and AWS account."""
    SERVICE = "service"
    """No one: GitHub, AWS or the worker itself failed, and another attempt may succeed."""


class CardEffect(StrEnum):
    """The status that a card moves to when its build ends."""

    REVIEW = "review"
    FAILED = "failed"
    QUEUE = "queue"
    """The target status, because the failure is the installation's."""
    QUEUE_ONCE = "queue-once"
    """The target status, because a service failed; for a second failure at the same commit, the failed status."""
    NONE = "none"


class Outcome(StrEnum):
    """How a build ended. The value is the name that operators see, and the error name in the state machine."""

    SUCCEEDED = "Succeeded"
    INCOMPLETE = "Incomplete"
    AGENT_UNAVAILABLE = "AgentUnavailable"
    AGENT_FAILED = "AgentFailed"
    AGENT_TIMED_OUT = "AgentTimedOut"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    NO_CHANGES = "NoChanges"
    SETUP_FAILED = "SetupFailed"
    TESTS_ALREADY_FAILING = "TestsAlreadyFailing"
    TESTS_FAILED = "TestsFailed"
    COVERAGE_BELOW_THRESHOLD = "CoverageBelowThreshold"
    PUSH_REJECTED = "PushRejected"
    LOCK_LOST = "LockLost"
    GUARD_TRIPPED = "GuardTripped"
    CHECKOUT_FAILED = "CheckoutFailed"
    WORKER_FAILED = "WorkerFailed"


@dataclass(frozen=True)
class OutcomeFacts:
    """Facts about an outcome that apply to every build.

    ``owner`` is who usually has to act, or ``None`` if no action is needed; the build's own reason is more specific.
    """

    meaning: str
    owner: FaultOwner | None
    card_effect: CardEffect
    fix: str


OUTCOMES: Final[Mapping[Outcome, OutcomeFacts]] = {
    Outcome.SUCCEEDED: OutcomeFacts(
        "Every required task is done, the tests passed, and the work is on the branch.",
        None,
        CardEffect.REVIEW,
        "Nothing to fix: review the pull request.",
    ),
    Outcome.INCOMPLETE: OutcomeFacts(
        "Required tasks were open when the agent stopped, or another push opened some. Nothing was pushed to the"
        " branch.",
        FaultOwner.CARD,
        CardEffect.FAILED,
        "Redrive the execution or move the card back, which continues with the open tasks. Make tasks that the agent"
        " does not change anything for more specific, mark them as optional, or tick them if they are done.",
    ),
    Outcome.AGENT_UNAVAILABLE: OutcomeFacts(
        "The agent could not be installed or started, its key was rejected, its quota or credits are used up, a rate"
        " limit is reached, its service cannot be reached, or it could not complete a short turn before the spec.",
        FaultOwner.INSTALLATION,
        CardEffect.QUEUE,
        "Follow the fix in the reason, which names the secret, the quota page or the deployment, then redrive the"
        " execution.",
    ),
    Outcome.AGENT_FAILED: OutcomeFacts(
        "The agent was started and ended with an error, showed no evidence of work, or left files that cannot be"
        " committed; or it does not report its cost, which `agent.maxCredits` limits.",
        FaultOwner.CARD,
        CardEffect.FAILED,
        "Read the last lines of `agent.log` in the comment, make the open tasks smaller or more specific, then redrive"
        " the execution, which continues with them.",
    ),
    Outcome.AGENT_TIMED_OUT: OutcomeFacts(
        "One turn of the agent exceeded `agent.timeoutMinutes`.",
        FaultOwner.CARD,
        CardEffect.FAILED,
        "Redrive the execution, which resumes after the finished tasks. Split large tasks, or raise the limit.",
    ),
    Outcome.BUDGET_EXHAUSTED: OutcomeFacts(
        "The turns of the build reached `agent.maxCredits` or `agent.maxMinutes` before every task was done.",
        FaultOwner.CARD,
        CardEffect.FAILED,
        "Redrive the execution, which resumes after the finished tasks with a new budget. Or raise the limit, or split"
        " the spec.",
    ),
    Outcome.NO_CHANGES: OutcomeFacts(
        "The agent changed nothing, or no task was open.",
        FaultOwner.CARD,
        CardEffect.FAILED,
        "Make the open tasks more specific, or tick those that are done.",
    ),
    Outcome.SETUP_FAILED: OutcomeFacts(
        "Setup, configured or detected, failed, timed out or could not be started: on the branch, or on the agent's"
        " work. Or nothing is configured for a repository with several projects.",
        FaultOwner.REPOSITORY,
        CardEffect.FAILED,
        "Read `setup.log`. Correct `setup`, or the files that it reads on the branch, then redrive the execution.",
    ),
    Outcome.TESTS_ALREADY_FAILING: OutcomeFacts(
        "Before the agent started, the project's tests failed on the branch, or their command could not be started. The"
        " agent was not started.",
        FaultOwner.REPOSITORY,
        CardEffect.FAILED,
        "Read `baseline.log`. Fix the named tests or the test command, then redrive the execution. `baseline` decides"
        " which failures are accepted.",
    ),
    Outcome.TESTS_FAILED: OutcomeFacts(
        "The project's tests failed, timed out or could not be started, or nothing shows that a test ran.",
        FaultOwner.REPOSITORY,
        CardEffect.FAILED,
        "Read `tests.log`. Fix the tests or the spec, or set `test` in `.kiro-worker.yml`, then redrive the execution.",
    ),
    Outcome.COVERAGE_BELOW_THRESHOLD: OutcomeFacts(
        "The tests passed, but their coverage is below `coverage.threshold` or could not be measured.",
        FaultOwner.REPOSITORY,
        CardEffect.FAILED,
        "Add tests, write a coverage report, or change `coverage.threshold`, then redrive the execution.",
    ),
    Outcome.PUSH_REJECTED: OutcomeFacts(
        "The server rejected a push (the push check before the agent starts, or the work) or the LFS objects, or the"
        " branch moved or was deleted: either before the agent started, or later and in conflict with the work.",
        FaultOwner.REPOSITORY,
        CardEffect.FAILED,
        "Follow the fix in the reason, which quotes the server. If the branch moved, redrive the execution or move the"
        " card back to build the new head.",
    ),
    Outcome.LOCK_LOST: OutcomeFacts(
        "Another run or build holds the lock, the build's execution has ended, or a manually started build found no"
        " free slot. Nothing was pushed to the branch.",
        None,
        CardEffect.NONE,
        "Nothing to fix: the run that holds the lock continues. Replay the card when that run has ended.",
    ),
    Outcome.GUARD_TRIPPED: OutcomeFacts(
        "The branch or the agent changed files that steer the agent or run commands, the change contains one of the"
        " worker's secrets, or central steering files do not match their manifest or cannot be written to the"
        " checkout.",
        FaultOwner.CARD,
        CardEffect.FAILED,
        "Review the named files. Merge them into the default branch first, or add the guard's label to the pull"
        " request. Replace any secret that the change contains.",
    ),
    Outcome.CHECKOUT_FAILED: OutcomeFacts(
        "The pinned commit, its submodules or its LFS files could not be checked out; or, in that commit or in the one"
        " to be pushed, git cannot commit the files again unchanged, or symbolic links leave the repository.",
        FaultOwner.REPOSITORY,
        CardEffect.FAILED,
        "Follow the fix in the reason: push what is missing, or give the git credentials access to it.",
    ),
    Outcome.WORKER_FAILED: OutcomeFacts(
        "The worker itself failed, its configuration or a secret is wrong, AWS, GitHub or the source of the central"
        " steering files did not respond, the run lost its slot, or the build was stopped.",
        FaultOwner.SERVICE,
        CardEffect.QUEUE_ONCE,
        "Follow the fix in the reason if there is one, then redrive the execution. If it fails again, read the build"
        " log.",
    ),
}
