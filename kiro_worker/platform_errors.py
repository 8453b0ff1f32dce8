"""What the errors of Step Functions and Lambda mean: one table, each row with what happened, the fix and the owner.

The names are those of the AWS Step Functions Developer Guide, "Handling errors", and of the AWS Lambda Developer Guide,
"Invoke" (errors) and "Lambda runtime API". ``Sandbox.Timedout`` and ``Runtime.ExitError`` are what Lambda reports for
functions that it stopped or that died. RunBuild's errors have a table of their own: :mod:`kiro_worker.builds.causes`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.builds.causes import LONGEST_QUOTE
from kiro_worker.builds.failure import WHO_ACTS
from kiro_worker.errors import with_remedy
from kiro_worker.outcomes import FaultOwner
from kiro_worker.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

FUNCTIONS: Final[Mapping[str, str]] = {
    "FetchWorkItem": "fetch-work-item",
    "ValidateWorkItem": "validate-work-item",
    "RejectWorkItem": "update-status",
    "AcquireLock": "acquire-lock",
    "ReturnToQueue": "update-status",
    "MarkInProgress": "update-status",
    "ReadBuildResult": "read-build-result",
    "MarkInReview": "update-status",
    "ReleaseLock": "release-lock",
    "MarkFailed": "update-status",
    "ReleaseLockAfterFailure": "release-lock",
    "FailRun": "fail-run",
}
"""The function of each state, as the end of its name."""

_REDRIVE: Final = "redrive the execution"
_DEPLOY: Final = f"make deploy, then {_REDRIVE}"
_TAIL: Final = "aws logs tail {logs} --since 1h"
_READ_LOG: Final = f"{_TAIL}, then {_REDRIVE}"
_CONTINUE: Final = f"{_REDRIVE}, which continues with the open tasks"


@dataclass(frozen=True)
class PlatformError:
    """What a platform error means: the text for people, and who has to act."""

    text: str
    owner: FaultOwner


@dataclass(frozen=True)
class _Known:
    """A row of the table. ``name`` matches the whole name, and ``message`` any part of the message.

    ``reason`` and ``remedy`` are templates for ``{state}``, ``{function}`` and ``{logs}``. ``anywhere`` is the reason
    if the state is not known, where that makes a difference. Nobody has to act on what a person decided.
    """

    name: str
    reason: str
    remedy: str
    owner: FaultOwner = FaultOwner.SERVICE
    message: str = ""
    anywhere: str = ""
    is_decision: bool = False


_TABLE: Final = (
    _Known(r"Sandbox\.Timedout", "{function} exceeded its own timeout in {state}, and was stopped", _READ_LOG),
    _Known(
        r"(?:States\.)?(?:Heartbeat)?Timeout",
        "{state} exceeded its timeout: {function} did not answer in time",
        _READ_LOG,
        anywhere="the execution, or one of its states, exceeded its timeout",
    ),
    _Known(
        r"Runtime\.(?:ImportModuleError|HandlerNotFound|UserCodeSyntaxError|InvalidEntrypoint)",
        "the package of {function} cannot be loaded in {state}",
        f"{_TAIL}, correct the package: {_DEPLOY}",
    ),
    _Known(r"Runtime\.OutOfMemory", "{function} ran out of memory in {state}", _READ_LOG),
    _Known(
        r"Runtime\.\w+",
        "the process of {function} ended in {state} before it answered: it crashed, was killed or ran out of memory",
        _READ_LOG,
    ),
    _Known(
        r"Lambda\.Unknown",
        "Lambda does not say why {function} failed in {state}: it ran out of memory, crashed or timed out",
        _READ_LOG,
    ),
    _Known(
        r"Lambda\.TooManyRequestsException",
        "Lambda did not run {function} in {state}, because too many functions of this account and region run already",
        f"{_REDRIVE}. If this happens often, request a higher quota of concurrent executions in Service Quotas (AWS"
        " Lambda)",
    ),
    _Known(
        r"Lambda\.AWSLambdaException",
        "AWS does not permit what {state} does: the role of the state machine or of {function} lacks a permission",
        f"{_DEPLOY}. If a policy outside of the deployment denies the request, allow it there",
        FaultOwner.INSTALLATION,
        message="is not authorized to perform",
    ),
    _Known(
        r"Lambda\.(?:ServiceException|AWSLambdaException|SdkClientException|ClientExecutionTimeoutException)",
        "Lambda did not run {function} in {state}, or its answer was lost",
        f"check https://health.aws.amazon.com/health/status, then {_REDRIVE}",
    ),
    _Known(
        r"Lambda\.ResourceNotFoundException",
        "{function}, which {state} needs, does not exist",
        _DEPLOY,
        FaultOwner.INSTALLATION,
    ),
    _Known(
        r"Lambda\.KMS\w+",
        "Lambda cannot use the KMS key of {function} in {state}",
        f"enable the key and allow the function's role to use it: {_DEPLOY}",
        FaultOwner.INSTALLATION,
    ),
    _Known(
        r"(?:\w+\.)?\w*AccessDenied\w*|(?:States\.)?Permissions",
        "AWS does not permit what {state} does: the role of the state machine or of {function} lacks a permission",
        f"{_DEPLOY}. If a policy outside of the deployment denies the request, allow it there",
        FaultOwner.INSTALLATION,
    ),
    _Known(
        r"ClientError",
        "AWS does not permit what {function} does in {state}: its role lacks a permission",
        f"{_DEPLOY}. If a policy outside of the deployment denies the request, allow it there",
        FaultOwner.INSTALLATION,
        message=r"\((?:\w*AccessDenied\w*|NotAuthorized|UnauthorizedOperation|UnrecognizedClientException)\)",
    ),
    _Known(
        r"(?:States\.)?DataLimitExceeded",
        "what {state} passes on is larger than Step Functions allows",
        "shorten the card's title and its branch name, then start a new execution",
    ),
    _Known(
        r"(?:States\.)?QueryEvaluationError|States\.Runtime",
        "Step Functions could not evaluate {state}",
        "read the state's input in the execution's history; if the deployed state machine differs from the release:"
        f" {_DEPLOY}",
    ),
    _Known(r"ABORTED", "a person or a program stopped the execution", _CONTINUE, is_decision=True),
    _Known(
        r"TIMED_OUT",
        "the execution exceeded the timeout of the state machine kiro-worker-<env>",
        _CONTINUE,
    ),
)


def explain_platform_error(state: str, name: str, message: str) -> PlatformError | None:
    """What the error ``name`` of ``state`` means; ``None`` if the table does not know it.

    ``message`` is kept if an earlier step has explained it.
    """
    for known in _TABLE:
        if re.fullmatch(known.name, name) and re.search(known.message, message):
            text = message if "\nHow to fix: " in message else _text(known, state, message)
            return PlatformError(text, known.owner)
    return None


def _text(known: _Known, state: str, message: str) -> str:
    step = FUNCTIONS.get(state, "")
    facts = {
        "state": f"the state {redact(state)}" if state else "a state",
        "function": f"the function kiro-worker-<env>-{step}" if step else "the function",
        "logs": f"/aws/lambda/kiro-worker-<env>-{step or '<step>'}",
    }
    quote = redact(" ".join(message.split()))[:LONGEST_QUOTE]
    template = known.reason if state or not known.anywhere else known.anywhere
    reason = template.format_map(facts) + (f": {quote}" if quote else "")
    text = with_remedy(reason, known.remedy.format_map(facts))
    return text if known.is_decision else f"{text}\n{WHO_ACTS[known.owner]}"


def cause_message(cause: str) -> str:
    """The message in a failed function's Cause, which is JSON ``{errorMessage, errorType, …}``.

    Any other ``cause`` is returned unchanged.
    """
    try:
        document = json.loads(cause)
    except ValueError:
        return cause
    return str(document.get("errorMessage", cause)) if isinstance(document, dict) else cause
