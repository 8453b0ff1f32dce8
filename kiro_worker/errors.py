"""The errors, by the names that the state machine, the console and the operators see.

::

    KiroWorkerError
    ├── ConfigurationError   ConfigurationMissing ConfigurationInvalid ProjectNotFound StatusNotFound
    ├── SecretError          SecretMissing SecretEmpty SecretPlaceholder SecretMalformed
    ├── GitHubError          GitHubUnavailable GitHubRateLimited GitHubRefused GitHubForbidden
    │                        GitHubTokenInvalid GitHubScopesInsufficient
    ├── WorkItemError        InvalidExecutionInput WorkItemNotFound WorkItemInvalid WorkItemRefused
    │                        WorkItemMoved
    ├── LockError            LockHeld ScopedLockHeld LockLost
    └── BuildStopped         by one of kiro_worker.outcomes.Outcome

A class name is a contract: Step Functions uses a Python exception's class name as the error name, and ``ErrorEquals``
in the state machine names these classes. Only leaves are raised.

The commands that need more than the core (``kiro-worker replay``, the embedded environment) derive their own errors
from :class:`KiroWorkerError`, so that one ``except`` at each border handles all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NoReturn

from kiro_worker.outcomes import OUTCOMES, FaultOwner

if TYPE_CHECKING:
    from kiro_worker.outcomes import Outcome


def with_remedy(reason: str, remedy: str) -> str:
    """``reason``, followed by how to fix it where that is known. Every message that a person reads is made here."""
    return f"{reason}\nHow to fix: {remedy}" if remedy else reason


class KiroWorkerError(Exception):
    """``reason`` says what failed and where, ``remedy`` how to fix it, usually as a command; ``str()`` shows both.

    ``owner`` is who has to act; ``None`` where nobody has to.
    """

    owner: ClassVar[FaultOwner | None] = FaultOwner.SERVICE

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return with_remedy(self.reason, self.remedy)


class ConfigurationError(KiroWorkerError):
    """The configuration parameter, or what it says about the board, is wrong."""

    owner = FaultOwner.INSTALLATION


class ConfigurationMissing(ConfigurationError):
    """The configuration parameter does not exist, or still holds the placeholder of the deployment."""


class ConfigurationInvalid(ConfigurationError):
    """The configuration parameter is not JSON, has an unknown key or a value of the wrong type, or lacks a required
    key.
    """


class ProjectNotFound(ConfigurationError):
    """The token sees no project of that number."""


class StatusNotFound(ConfigurationError):
    """The board has no such status, or no such status field; the message lists what it has."""


class SecretError(KiroWorkerError):
    """The value of a secret is wrong. The value itself is never part of the message."""

    owner = FaultOwner.INSTALLATION


class SecretMissing(SecretError):
    """The secret does not exist, or never had a value."""


class SecretEmpty(SecretError):
    """The secret's value is empty or white space."""


class SecretPlaceholder(SecretError):
    """The secret still holds the placeholder of the deployment."""


class SecretMalformed(SecretError):
    """The secret's value does not have its documented form."""


class GitHubError(KiroWorkerError):
    """A request to GitHub failed."""


class GitHubUnavailable(GitHubError):
    """GitHub gave no usable answer: connection, timeout, 5xx. A retry may succeed."""

    owner = FaultOwner.SERVICE


class GitHubRateLimited(GitHubError):
    """A primary or secondary limit is reached; ``retry_after`` is the number of seconds that GitHub asks to wait."""

    owner = FaultOwner.SERVICE
    retry_after: float = 60.0


class GitHubRefused(GitHubError):
    """GitHub understood the request and refused it: the object is gone, or a value is invalid. A retry does not help."""

    owner = FaultOwner.REPOSITORY


class GitHubTokenInvalid(GitHubError):
    """401: the token is wrong, expired or revoked."""

    owner = FaultOwner.INSTALLATION


class GitHubScopesInsufficient(GitHubError):
    """The token is valid but lacks a scope; the message names the scopes it has."""

    owner = FaultOwner.INSTALLATION


class GitHubForbidden(GitHubError):
    """The token may not see or do this."""

    owner = FaultOwner.INSTALLATION


class WorkItemError(KiroWorkerError):
    """A card, or the input that names one, is wrong."""

    owner = FaultOwner.CARD


class InvalidExecutionInput(WorkItemError):
    """The execution's input is not ``{"trigger"?: "schedule|manual|replay", "itemId"?: "PVTI_…"}``."""


class WorkItemNotFound(WorkItemError):
    """The card that the input names does not exist or is on another board."""


class WorkItemInvalid(WorkItemError):
    """The card is not ready: branch, spec, pull request or a safety rule. The message lists every reason."""


class WorkItemRefused(WorkItemError):
    """The card is not ready, and only the input or a redrive names it: the person who started the run gets the reasons,
    and the card is not touched.
    """


class WorkItemMoved(WorkItemError):
    """A person moved the card after the run had selected it."""


class LockError(KiroWorkerError):
    """The lock cannot be acquired or kept. Nobody has to act: the run that holds it goes on."""

    owner = None


class LockHeld(LockError):
    """A running execution holds the one lock of this environment, or every slot is taken: nothing else can start."""


class ScopedLockHeld(LockError):
    """A running execution holds this repository's or branch's lock: the run can try the next card."""


class LockLost(LockError):
    """Another run holds the lock that this run needs: this run must touch nothing."""


class BuildStopped(KiroWorkerError):
    """The build ends here with ``outcome``. ``details`` are the last lines of a child process's output."""

    def __init__(self, outcome: Outcome, reason: str, remedy: str = "", details: str = "") -> None:
        super().__init__(reason, remedy)
        self.args = (outcome, reason, remedy, details)
        self.outcome = outcome
        self.details = details

    @property
    def fault_owner(self) -> FaultOwner | None:
        """Who has to act, which depends on the outcome."""
        return OUTCOMES[self.outcome].owner

    def __str__(self) -> str:
        return with_remedy(f"{self.outcome}: {self.reason}", self.remedy)


def raise_by_name(name: str, message: str) -> NoReturn:
    """Raise an error whose class is called ``name``, which may be one of Step Functions' own (``States.TaskFailed``):
    Step Functions uses the class name as the error name.
    """
    raise type(name, (KiroWorkerError,), {})(message)
