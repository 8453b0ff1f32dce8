"""The worker's errors, under the names that the state machine, the console and operators see.

::

    KiroWorkerError
    ├── ConfigurationError   ConfigurationMissing ConfigurationInvalid ProjectNotFound StatusNotFound
    │                        BuildProjectMissing BuildImageUnsuitable AgentNotPinned
    ├── SecretError          SecretMissing SecretPendingDeletion SecretEmpty SecretPlaceholder SecretMalformed
    ├── AwsError             AwsUnavailable AwsAccessDenied AwsResourceMissing
    ├── StepFailed
    ├── GitHubError          GitHubUnavailable GitHubRateLimited GitHubAnswerInvalid GitHubRefused
    │                        GitHubForbidden GitHubTokenInvalid GitHubScopesInsufficient
    ├── WorkItemError        InvalidExecutionInput WorkItemNotFound WorkItemInvalid WorkItemRefused
    │                        WorkItemMoved
    ├── LockError            LockHeld ScopedLockHeld PinnedLockHeld LockLost
    └── BuildStopped         with one of kiro_worker.outcomes.Outcome

A class name is a contract: Step Functions uses the class name of a Python exception as the error name, and
``ErrorEquals`` in the state machine refers to it. Only leaf classes are raised.

Packages outside the core (the command line, the embedded environment) derive their own errors from
:class:`KiroWorkerError`, so that one ``except`` per entry point handles all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from kiro_worker.outcomes import OUTCOMES, FaultOwner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.outcomes import Outcome


def with_remedy(reason: str, remedy: str) -> str:
    """``reason``, followed by how to fix it if a remedy is known. Every error message for people is composed here."""
    return f"{reason}\nHow to fix: {remedy}" if remedy else reason


class KiroWorkerError(Exception):
    """Base class of all errors that the worker raises on purpose.

    ``reason`` says what failed and where. ``remedy`` says how to fix it, usually as a command. ``owner`` is who has to
    act, or ``None`` if no action is needed.
    """

    owner: FaultOwner | None = FaultOwner.SERVICE

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return with_remedy(self.reason, self.remedy)


class ConfigurationError(KiroWorkerError):
    """The installation is wrong: its parameter, its match with the board, or what is deployed."""

    owner = FaultOwner.INSTALLATION


class ConfigurationMissing(ConfigurationError):
    """The configuration parameter does not exist, or still holds the deployment's placeholder."""


class ConfigurationInvalid(ConfigurationError):
    """The configuration parameter is not JSON, or has an unknown key, an invalid value or a missing key."""


class ProjectNotFound(ConfigurationError):
    """The token can see no project with the configured number."""


class StatusNotFound(ConfigurationError):
    """The board lacks a configured status or the status field. The message lists the statuses that it has."""


class BuildProjectMissing(ConfigurationError):
    """The CodeBuild project does not exist."""


class BuildImageUnsuitable(ConfigurationError):
    """The image of the build lacks a Python or a git that the worker can use. ``start.sh`` reports it."""


class AgentNotPinned(ConfigurationError):
    """The CodeBuild project does not name the Kiro CLI's URL and SHA-256, or they do not have their form."""


class SecretError(KiroWorkerError):
    """A secret is missing or wrong. The message never contains its value."""

    owner = FaultOwner.INSTALLATION


class SecretMissing(SecretError):
    """The secret does not exist or has no value."""


class SecretPendingDeletion(SecretError):
    """The secret is scheduled for deletion, so its value cannot be read. It can still be restored."""


class SecretEmpty(SecretError):
    """The secret is empty or consists of white space."""


class SecretPlaceholder(SecretError):
    """The secret still holds a placeholder."""


class SecretMalformed(SecretError):
    """The secret does not have its documented form."""


class AwsError(KiroWorkerError):
    """A request to AWS failed."""


class AwsUnavailable(AwsError):
    """An AWS service throttled a request or gave no usable answer, in all of boto3's own attempts."""


class AwsAccessDenied(AwsError):
    """AWS does not permit a request: a role, a resource policy or a KMS key lacks a permission."""

    owner = FaultOwner.INSTALLATION


class AwsResourceMissing(AwsError):
    """A table, key, bucket or other resource of the installation does not exist."""

    owner = FaultOwner.INSTALLATION


class StepFailed(KiroWorkerError):
    """A step broke on something that the worker does not expect. The step's log has the traceback."""


class GitHubError(KiroWorkerError):
    """A request to GitHub failed."""


class GitHubUnavailable(GitHubError):
    """GitHub gave no usable answer: connection failure, timeout or 5xx. A retry may succeed."""

    owner = FaultOwner.SERVICE


class GitHubRateLimited(GitHubError):
    """A primary or secondary rate limit is reached. ``retry_after`` is how many seconds GitHub asks us to wait."""

    owner = FaultOwner.SERVICE
    retry_after: float = 60.0


class GitHubAnswerInvalid(GitHubError):
    """GitHub's answer does not follow its schema."""

    owner = FaultOwner.SERVICE


class GitHubRefused(GitHubError):
    """GitHub rejected the request: the object is gone, or a value is invalid. A retry does not help."""

    owner = FaultOwner.REPOSITORY


class GitHubTokenInvalid(GitHubError):
    """The token is wrong, expired or revoked (401)."""

    owner = FaultOwner.INSTALLATION


class GitHubScopesInsufficient(GitHubError):
    """The token is valid but lacks a scope. The message lists the scopes that it has."""

    owner = FaultOwner.INSTALLATION


class GitHubForbidden(GitHubError):
    """The token is not allowed to see or do this.

    ``owner`` is the installation's operators if the token may do nothing, or cannot see the board.
    """

    owner: FaultOwner | None = FaultOwner.REPOSITORY


class WorkItemError(KiroWorkerError):
    """A card cannot be built, or the execution's input does not name one correctly."""

    owner = FaultOwner.CARD


class InvalidExecutionInput(WorkItemError):
    """The execution's input is not ``{"trigger"?: "schedule|manual|replay", "itemId"?: "PVTI_…"}``."""


class WorkItemNotFound(WorkItemError):
    """The card in the execution's input does not exist, or is on another board."""


class WorkItemInvalid(WorkItemError):
    """The card is not ready: its branch, spec or pull request is missing, wrong or unsafe.

    The message lists every reason.
    """


class WorkItemRefused(WorkItemError):
    """The card is not ready, and this run got it from its input or a redrive instead of the queue.

    Only the person who started the run sees the reasons; the card is not touched.
    """


class WorkItemMoved(WorkItemError):
    """A person moved the card after the run selected it."""


class LockError(KiroWorkerError):
    """The lock cannot be acquired or kept. No action is needed: the run that holds the lock continues."""

    owner = None


class LockHeld(LockError):
    """A running execution holds the environment's only lock, or all slots are taken: no other run can start."""


class ScopedLockHeld(LockError):
    """A running execution holds the lock of this repository or branch: the run can try the next card."""


class PinnedLockHeld(LockError):
    """A run that is about one card needs a lock or slot that another card's run holds: the card goes to the queue."""


class LockLost(LockError):
    """Another run holds the lock that this run needs, so this run must not change anything."""


class BuildStopped(KiroWorkerError):
    """The build ends with ``outcome``. ``details`` are the last lines that a child process wrote.

    ``owner`` is given where the reason says who has to act, and is the outcome's usual owner otherwise. ``error`` is
    the name of the error of this module that ends the build, and empty if the outcome's own name says it.
    ``retry_after`` is when another attempt may succeed, in epoch seconds, if that is known.
    """

    def __init__(
        self,
        outcome: Outcome,
        reason: str,
        remedy: str = "",
        details: str = "",
        owner: FaultOwner | None = None,
        error: str = "",
        retry_after: int = 0,
    ) -> None:
        super().__init__(reason, remedy)
        self.owner = owner or OUTCOMES[outcome].owner
        self.args = (outcome, reason, remedy, details, self.owner, error, retry_after)
        self.outcome = outcome
        self.details = details
        self.error = error
        self.retry_after = retry_after

    def __str__(self) -> str:
        return with_remedy(f"{self.outcome}: {self.reason}", self.remedy)


ERRORS: Final[Mapping[str, type[KiroWorkerError]]] = {
    error.__name__: error
    for error in tuple(globals().values())
    if isinstance(error, type) and issubclass(error, KiroWorkerError)
}
"""The classes of this module by name."""
ERRORS_OF_BUILDS: Final = frozenset(
    name
    for name, error in ERRORS.items()
    if not error.__subclasses__() and not issubclass(error, BuildStopped | LockError)
)
"""The names of the errors that can end a build under their own name. A lock error becomes the outcome ``LockLost``."""


def raise_by_name(name: str, message: str) -> NoReturn:
    """Raise an error whose class is called ``name``, which Step Functions then uses as the error name.

    ``name`` may also be one of Step Functions' own error names, such as ``States.TaskFailed``.
    """
    raise type(name, (KiroWorkerError,), {})(message)
