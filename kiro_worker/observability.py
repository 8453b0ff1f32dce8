"""The steps' logs and metrics, with Powertools: JSON lines that name the execution, item and step, without secrets.

Metrics use CloudWatch's embedded metric format in the same log stream, so they need no extra request.
"""

from __future__ import annotations

import os
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import MetricUnit, single_metric
from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.availability import refusal, unavailable
from kiro_worker.errors import KiroWorkerError, StepFailed
from kiro_worker.names import with_environment
from kiro_worker.outcomes import FaultOwner
from kiro_worker.records.breaker import open_breaker
from kiro_worker.records.table import RecordsTable
from kiro_worker.redaction import redact, shortened
from kiro_worker.state import StepEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext


_LONGEST_TEXT: Final = 12_000
"""The characters of a reason and of a remedy. Step Functions passes on at most 256 KiB, and ends an execution without
any Catch if an error, or the document with it, is larger.
"""


class _RedactingFormatter(LambdaPowertoolsFormatter):
    def serialize(self, log: Any) -> str:
        return redact(super().serialize(log))


def _named(error: Exception, function: str) -> KiroWorkerError:
    """The worker's own error for anything that a step raises. ``function`` is the name of the step's function."""
    if isinstance(error, KiroWorkerError):
        return error
    if isinstance(error, BotoCoreError | ClientError) and (named := unavailable(error) or refusal(error)):
        return named
    return StepFailed(
        f"the function {function} broke: {type(error).__name__}: {error}",
        f"aws logs tail /aws/lambda/{function} --since 1h, then redrive the execution; if it fails again, report it"
        " with the traceback",
    )


def _for_people(error: KiroWorkerError, execution_arn: str) -> KiroWorkerError:
    """The same error as people see it in the console: redacted like the log, with the names of this environment."""
    shown = type(error)(
        *(
            shortened(redact(with_environment(text, execution_arn)), _LONGEST_TEXT)
            for text in (error.reason, error.remedy)
        )
    )
    shown.owner = error.owner
    return shown


def _open_breaker(logger: Logger, error: KiroWorkerError, item_id: str) -> None:
    """Open the breaker if this step knows the records table. The step fails with its own error in any case."""
    if not (table := os.environ.get("RECORDS_TABLE_NAME")):
        return
    try:
        import boto3

        records = RecordsTable(boto3.client("dynamodb"), table)
        open_breaker(records, type(error).__name__, str(error), item_id)
    except (BotoCoreError, ClientError) as failure:
        logger.warning("the breaker could not be opened", reason=str(failure))


def count(name: str, value: int, event: StepEvent, **dimensions: str) -> None:
    """Report ``value`` as the metric ``name`` of the calling state."""
    _report(name, MetricUnit.Count, value, event, dimensions)


def seconds(name: str, value: int, event: StepEvent) -> None:
    """Report a time in seconds as the metric ``name`` of the calling state."""
    _report(name, MetricUnit.Seconds, value, event, {})


def _report(name: str, unit: MetricUnit, value: int, event: StepEvent, dimensions: Mapping[str, str]) -> None:
    with single_metric(name=name, unit=unit, value=value) as metric:
        metric.add_dimension(name="step", value=event.state)
        for dimension, text in dimensions.items():
            metric.add_dimension(name=dimension, value=text)


def step(
    run: Callable[[StepEvent], dict[str, Any]],
) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """Return a Lambda handler that runs a step.

    The handler parses the event, logs the start and end with execution, item and step, and counts errors. It raises
    each error under its own class, because the state machine catches errors by class name. boto3's errors that a retry
    may fix become :class:`~kiro_worker.errors.AwsUnavailable`, those that the operators have to fix become
    :class:`~kiro_worker.errors.AwsAccessDenied` or :class:`~kiro_worker.errors.AwsResourceMissing`, and any other
    error becomes :class:`~kiro_worker.errors.StepFailed`. An error of the installation opens the breaker before it is
    raised.
    """
    logger = Logger(logger_formatter=_RedactingFormatter(), utc=True)
    metrics = Metrics()

    @wraps(run)
    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        logger.clear_state()
        logger.append_keys(execution=event["executionArn"], step=event["state"], request=context.aws_request_id)
        item_id = ""
        try:
            step_event = StepEvent.parse(event)
            item = step_event.document.item
            item_id = item.id if item else ""
            logger.append_keys(item=item_id or None)
            logger.info("step started", redriveCount=step_event.redrive_count)
            result = run(step_event)
        except Exception as raised:
            error = _for_people(_named(raised, context.function_name), event["executionArn"])
            if isinstance(error, StepFailed):
                logger.exception("step broke")
            if error.owner is FaultOwner.INSTALLATION:
                _open_breaker(logger, error, item_id)
            # Not a default dimension: one function may serve several states, and defaults outlive an invocation.
            metrics.add_dimension(name="step", value=event["state"])
            metrics.add_metric(name=type(error).__name__, unit=MetricUnit.Count, value=1)
            metrics.flush_metrics()
            logger.warning(type(error).__name__, reason=error.reason, remedy=error.remedy)
            raise error from None
        logger.info("step finished", result=result)
        return result

    return handler
