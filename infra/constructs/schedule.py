"""The clock of the worker: starts the workflow every few minutes."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.settings import Settings

EVERY = Duration.minutes(5)


class Schedule(Construct):
    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, state_machine: sfn.IStateMachine
    ) -> None:
        super().__init__(scope, construct_id)
        # Ticks that could not be delivered. Failed executions are not in here: those are the alarms' business.
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=f"{settings.prefix}-schedule-dlq",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        self.schedule = scheduler.Schedule(
            self,
            "Schedule",
            schedule_name=settings.prefix,
            description="Looks for a card to implement",
            schedule=scheduler.ScheduleExpression.rate(EVERY),
            target=targets.StepFunctionsStartExecution(
                state_machine,
                input=scheduler.ScheduleTargetInput.from_object({"trigger": "schedule"}),
                # The default is 185 tries in a day. The next tick comes anyway: a late one is of no use.
                retry_attempts=2,
                max_event_age=EVERY,
                dead_letter_queue=self.dead_letters,
            ),
        )
