"""The steps' logs and metrics, with Powertools: JSON lines that name the execution, item and step, without secrets.

Metrics use CloudWatch's embedded metric format in the same log stream, so they need no extra request.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit, single_metric
from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.availability import unavailable
from kiro_worker.errors import KiroWorkerError
from kiro_worker.redaction import redact
from kiro_worker.state import StepEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext


class _RedactingFormatter(LambdaPowertoolsFormatter):
    def serialize(self, log: Any) -> str:
        return redact(super().serialize(log))


def count(name: str, value: int, event: StepEvent) -> None:
    """Report ``value`` as the metric ``name`` of the calling state."""
    with single_metric(name=name, unit=MetricUnit.Count, value=value) as metric:
        metric.add_dimension(name="step", value=event.state)


def step(
    run: Callable[[StepEvent], dict[str, Any]],
) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """Return a Lambda handler that runs a step.

    The handler parses the event, logs the start and end with execution, item and step, and counts errors. It raises
    each error under its own class, because the state machine catches errors by class name; boto3's errors that a retry
    may fix become :class:`~kiro_worker.errors.AwsUnavailable`.
    """
    logger = Logger(logger_formatter=_RedactingFormatter(), utc=True)
    metrics = Metrics()

    @wraps(run)
    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        logger.clear_state()
        logger.append_keys(execution=event["executionArn"], step=event["state"], request=context.aws_request_id)
        try:
            step_event = StepEvent.parse(event)
            item = step_event.document.item
            logger.append_keys(item=item.id if item else None)
            logger.info("step started", redriveCount=step_event.redrive_count)
            result = run(step_event)
        except (KiroWorkerError, BotoCoreError, ClientError) as raised:
            error = raised if isinstance(raised, KiroWorkerError) else unavailable(raised)
            if error is None:
                raise
            # Not a default dimension: one function may serve several states, and defaults outlive an invocation.
            metrics.add_dimension(name="step", value=event["state"])
            metrics.add_metric(name=type(error).__name__, unit=MetricUnit.Count, value=1)
            metrics.flush_metrics()
            logger.warning(type(error).__name__, reason=error.reason, remedy=error.remedy)
            # People see the message in the Step Functions console, so it is redacted like the log.
            raise type(error)(redact(error.reason), redact(error.remedy)) from None
        logger.info("step finished", result=result)
        return result

    return handler
