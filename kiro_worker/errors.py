"""The errors, by the names that the state machine, its console and the operators see.

::

    KiroWorkerError
    ├── ConfigurationError       ConfigurationMissing ConfigurationInvalid ProjectNotFound StatusNotFound
    ├── SecretError              SecretMissing SecretEmpty SecretPlaceholder SecretMalformed
    ├── GitHubError              GitHubUnavailable GitHubRateLimited GitHubRefused GitHubForbidden
    │                            GitHubTokenInvalid GitHubScopesInsufficient
    ├── WorkItemError            InvalidExecutionInput WorkItemNotFound WorkItemInvalid WorkItemRefused
    │                            WorkItemMoved
    └── LockError                LockHeld ScopedLockHeld LockLost

A class name is a contract: Step Functions takes a Python exception's class name as the error name, and ``ErrorEquals``
in the state machine names these classes. Only leaves are ever raised.
"""

from __future__ import annotations

from typing import NoReturn


class KiroWorkerError(Exception):
    """What is wrong and where (``what``), and what mends it (``remedy``, mostly a command); ``str()`` shows both."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\nTo mend it: {self.remedy}" if self.remedy else self.what


class ConfigurationError(KiroWorkerError):
    """Of the configuration parameter, or of what it says about the board."""


class ConfigurationMissing(ConfigurationError):
    """The configuration parameter does not exist, or holds the placeholder the deployment left there."""


class ConfigurationInvalid(ConfigurationError):
    """The configuration parameter is not JSON, has an unknown key, a value of the wrong type, or lacks a required
    one.
    """


class ProjectNotFound(ConfigurationError):
    """No project of that number is visible to the token."""


class StatusNotFound(ConfigurationError):
    """The board has no such status, or no such status field; the message lists what it has."""


class SecretError(KiroWorkerError):
    """Of a secret's value. The value itself is never part of the message."""


class SecretMissing(SecretError):
    """There is no such secret, or it never had a value."""


class SecretEmpty(SecretError):
    """The secret's value is empty or white space."""


class SecretPlaceholder(SecretError):
    """The secret still holds the placeholder that the deployment put there."""


class SecretMalformed(SecretError):
    """The secret's value does not have its documented form."""


class GitHubError(KiroWorkerError):
    """Of a request to GitHub."""


class GitHubUnavailable(GitHubError):
    """No usable answer: connection, timeout, 5xx. Worth trying again."""


class GitHubRateLimited(GitHubError):
    """A primary or secondary limit; ``retry_after`` is how many seconds GitHub asks to wait."""

    retry_after: float = 60.0


class GitHubRefused(GitHubError):
    """GitHub understood and refuses: a write to something that is gone, or a value that is not
    valid. A second try is of no use.
    """


class GitHubTokenInvalid(GitHubError):
    """401: the token is wrong, expired or revoked."""


class GitHubScopesInsufficient(GitHubError):
    """The token is good but lacks a scope; the message names the scopes it has."""


class GitHubForbidden(GitHubError):
    """The token may not see or do this."""


class WorkItemError(KiroWorkerError):
    """Of a card, or of the input that names one."""


class InvalidExecutionInput(WorkItemError):
    """The execution's input is not ``{"trigger"?: "schedule|manual|replay", "itemId"?: "PVTI_…"}``."""


class WorkItemNotFound(WorkItemError):
    """The card that the input names does not exist, is on another board, or is not in a status from which it can be
    worked on.
    """


class WorkItemInvalid(WorkItemError):
    """The card is not ready: branch, spec, pull request or a safety rule. The message lists every reason."""


class WorkItemRefused(WorkItemError):
    """The card is not ready, and only the input or a redrive names it: whoever started the run is told, the card is
    not.
    """


class WorkItemMoved(WorkItemError):
    """Somebody moved the card between its selection and the lock."""


class LockError(KiroWorkerError):
    """Of the lock."""


class LockHeld(LockError):
    """A running execution holds the one lock of this environment, or as many builds run as may: nothing else can
    start.
    """


class ScopedLockHeld(LockError):
    """A running execution holds this repository's or branch's lock: the next card may go on."""


class LockLost(LockError):
    """The lock this run needs is another's now: touch nothing."""


def raise_by_name(name: str, message: str) -> NoReturn:
    """Raise an error under ``name``, be it ours or one of Step Functions' (``States.TaskFailed``): the class is made
    for the occasion, because Step Functions takes the class name for the error's.
    """
    raise type(name, (KiroWorkerError,), {})(message)
