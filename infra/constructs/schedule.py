"""The schedule that starts the workflow every few minutes."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.settings import Settings


class Schedule(Construct):
    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, state_machine: sfn.IStateMachine
    ) -> None:
        super().__init__(scope, construct_id)
        interval = Duration.minutes(settings.schedule_minutes)
        # Ticks that EventBridge Scheduler could not deliver. An execution that starts and then fails is not among
        # them. No alarm reports either, so operators check the queue and the list of executions.
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=settings.names.schedule_dead_letter_queue,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        self.schedule = scheduler.Schedule(
            self,
            "Schedule",
            schedule_name=settings.names.schedule,
            description="Looks for a card to implement",
            schedule=scheduler.ScheduleExpression.rate(interval),
            target=targets.StepFunctionsStartExecution(
                state_machine,
                input=scheduler.ScheduleTargetInput.from_object({"trigger": "schedule"}),
                # The default is 185 retries within a day. A late tick is useless, because the next one follows soon.
                retry_attempts=2,
                max_event_age=interval,
                dead_letter_queue=self.dead_letters,
            ),
        )
