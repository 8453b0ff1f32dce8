"""EventBridge Scheduler's deliveries: moto keeps schedules but never fires them.

A delivery starts the target state machine with the schedule's input, is retried as its retry policy says, and
ends in the dead-letter queue when it cannot be made
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule.html).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

_UNIT_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


class DeliveryFailed(Exception):
    """The target could not be started; the input is in the dead-letter queue, where the schedule has one."""


def tick(client: Callable[[str], Any], name: str) -> str:
    """Deliver the schedule once, now; the ARN of the execution that it started. Raises :class:`DeliveryFailed`."""
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
    raise DeliveryFailed(f"the schedule {name} could not start {target['Arn']}: {reason}")


def seconds_between(expression: str) -> float:
    """Of ``rate(5 minutes)``; raises :class:`ValueError` for anything else."""
    match = re.fullmatch(r"rate\((\d+) (second|minute|hour|day)s?\)", expression)
    if not match:
        raise ValueError(f"the schedule {expression!r} is no rate(…), which is all that is delivered here")
    return float(match[1]) * _UNIT_SECONDS[match[2]]
