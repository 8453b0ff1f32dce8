"""Deliveries of EventBridge Scheduler. moto stores schedules but never fires them.

A delivery starts the target state machine with the schedule's input. One that fails is retried according to its retry
policy and then goes to the dead-letter queue
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule.html).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from kiro_worker.errors import KiroWorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

_UNIT_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


class DeliveryFailed(KiroWorkerError):
    """The schedule could not start its target. Its input is in the dead-letter queue, if the schedule has one."""


def tick(client: Callable[[str], Any], name: str) -> str:
    """Deliver the schedule once, now, and return the ARN of the new execution. Raises :class:`DeliveryFailed`."""
    target = client("scheduler").get_schedule(Name=name)["Target"]
    stepfunctions = client("stepfunctions")
    attempts = 1 + target.get("RetryPolicy", {}).get("MaximumRetryAttempts", 0)
    reason = ""
    for _ in range(attempts):
        try:
            started = stepfunctions.start_execution(stateMachineArn=target["Arn"], input=target.get("Input", "{}"))
            return str(started["executionArn"])
        except ClientError as error:
            reason = str(error)
    if queue := target.get("DeadLetterConfig", {}).get("Arn"):
        sqs = client("sqs")
        url = sqs.get_queue_url(QueueName=queue.rsplit(":", 1)[-1])["QueueUrl"]
        attribute = {"DataType": "String", "StringValue": reason}
        sqs.send_message(
            QueueUrl=url, MessageBody=target.get("Input", "{}"), MessageAttributes={"ERROR_MESSAGE": attribute}
        )
    raise DeliveryFailed(
        f"The schedule {name} could not start {target['Arn']}: {reason}",
        "deploy the stacks again, so that the schedule's target exists",
    )


def seconds_between(expression: str) -> float:
    """The seconds of ``rate(5 minutes)``. Raises :class:`ValueError` for any other kind of expression."""
    match = re.fullmatch(r"rate\((\d+) (second|minute|hour|day)s?\)", expression)
    if not match:
        raise ValueError(f"the embedded AWS delivers rate(…) schedules only, not {expression!r}")
    return float(match[1]) * _UNIT_SECONDS[match[2]]
