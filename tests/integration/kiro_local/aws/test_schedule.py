from __future__ import annotations

from collections.abc import Callable

import pytest

from kiro_local.aws.schedule import DeliveryFailed, seconds_between, tick
from kiro_local.aws.server import EmbeddedAws

ROLE = "arn:aws:iam::123456789012:role/any"


@pytest.fixture
def schedule(embedded: EmbeddedAws) -> Callable[..., str]:
    def create(target: str, expression: str = "rate(5 minutes)") -> str:
        queue = embedded.client("sqs").create_queue(QueueName="dead-letters")["QueueUrl"]
        attributes = embedded.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        embedded.client("scheduler").create_schedule(
            Name="schedule",
            ScheduleExpression=expression,
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": target,
                "RoleArn": ROLE,
                "Input": '{"trigger":"schedule"}',
                "RetryPolicy": {"MaximumRetryAttempts": 2},
                "DeadLetterConfig": {"Arn": attributes["Attributes"]["QueueArn"]},
            },
        )
        return str(queue)

    return create


def test_tick_starts_target_with_input(
    embedded: EmbeddedAws, machine: Callable[..., str], schedule: Callable[..., str]
) -> None:
    schedule(machine({"A": {"Type": "Succeed"}}))
    arn = tick(embedded.client, "schedule")
    assert embedded.client("stepfunctions").describe_execution(executionArn=arn)["input"] == '{"trigger":"schedule"}'
    assert tick(embedded.client, "schedule") != arn


def test_failed_delivery_goes_to_dead_letters(embedded: EmbeddedAws, schedule: Callable[..., str]) -> None:
    queue = schedule("arn:aws:states:us-east-1:123456789012:stateMachine:missing")
    with pytest.raises(DeliveryFailed, match="missing") as error:
        tick(embedded.client, "schedule")
    assert error.value.remedy
    messages = embedded.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    assert [message["Body"] for message in messages] == ['{"trigger":"schedule"}']


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(1 hour)", 3600), ("rate(2 days)", 172_800)],
)
def test_rate_in_seconds(expression: str, seconds: float) -> None:
    assert seconds_between(expression) == seconds


def test_cron_expression_is_rejected() -> None:
    with pytest.raises(ValueError, match="cron"):
        seconds_between("cron(0 * * * ? *)")
