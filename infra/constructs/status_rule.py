"""Starts the clean-up after an execution that may have ended without a word.

An abort, the machine's own timeout and `States.Runtime` reach no Catch, so nothing inside the workflow can answer them.
"""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.settings import Settings


class StatusRule(Construct):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        watched: sfn.IStateMachine,
        started: sfn.IStateMachine,
    ) -> None:
        super().__init__(scope, construct_id)
        self.rule = events.Rule(
            self,
            "Rule",
            rule_name=f"{settings.prefix}-execution-ended",
            description="Frees what a failed, timed out or aborted execution still holds",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "stateMachineArn": [watched.state_machine_arn],
                    "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                },
            ),
            # No input transformation: the clean-up reads the execution's ARN and stop date from the event itself.
            targets=[targets.SfnStateMachine(started)],
        )
