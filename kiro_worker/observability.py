"""Logs and metrics: Powertools, JSON lines that carry execution, item and step, and no secrets.

Metrics leave as CloudWatch's embedded metric format on the same stream, so that they cost no request.
"""

from __future__ import annotations

import base64
import re
from functools import wraps
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit

from kiro_worker.errors import KiroWorkerError
from kiro_worker.models import StepEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aws_lambda_powertools.utilities.typing import LambdaContext

MASK: Final = "[redacted]"

# The shapes of the tokens that can come near us. Sources: GitHub's "behind GitHub's new authentication token formats",
# AWS IAM identifiers.
_TOKENS: Final = re.compile(
    r"gh[pousr]_[A-Za-z0-9]{16,255}"
    r"|github_pat_[A-Za-z0-9_]{20,255}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|ksk_[A-Za-z0-9_-]{8,}"
    r"|(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9._~+/=-]{12,}"
    r"|(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without anything shaped like a credential, and without the ``secrets`` themselves, plain, base64 or
    URL-encoded.
    """
    for secret in secrets:
        if secret:
            plain = secret.encode()
            for form in (
                secret,
                quote(secret, safe=""),
                base64.b64encode(plain).decode(),
                base64.urlsafe_b64encode(plain).decode(),
            ):
                text = text.replace(form, MASK)
    return _TOKENS.sub(MASK, text)


class _RedactingFormatter(LambdaPowertoolsFormatter):
    def serialize(self, log: Any) -> str:
        return redact(super().serialize(log))


def step(
    run: Callable[[StepEvent], dict[str, Any]],
) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """Make a Lambda handler of a step: parse the event, log its beginning and its end with execution, item and step,
    count them, and let errors through, because their class names are what the state machine catches.
    """
    logger = Logger(logger_formatter=_RedactingFormatter(), utc=True)
    metrics = Metrics()

    @wraps(run)
    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        # An execution's input is the first state's document, and people can put anything there.
        document = event["document"] if isinstance(event["document"], dict) else {}
        step_event = StepEvent.from_dict({**event, "document": document})
        logger.clear_state()
        logger.append_keys(
            execution=step_event.execution_arn,
            item=(step_event.document.get("item") or {}).get("id"),
            step=step_event.state,
            request=context.aws_request_id,
        )
        metrics.set_default_dimensions(step=step_event.state)
        logger.info("begins", redriveCount=step_event.redrive_count)
        try:
            result = run(step_event)
        except KiroWorkerError as error:
            metrics.add_metric(name=type(error).__name__, unit=MetricUnit.Count, value=1)
            metrics.flush_metrics()
            logger.warning(type(error).__name__, what=error.what, remedy=error.remedy)
            # Step Functions shows the message to people: it goes out as it went into the log, redacted.
            raise type(error)(redact(error.what), redact(error.remedy)) from None
        logger.info("ends", result=result)
        return result

    return handler
