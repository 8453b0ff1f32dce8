"""The rule that starts the clean-up after an execution that failed, timed out or was aborted.

An abort, the state machine's own timeout and ``States.Runtime`` reach no Catch, so nothing inside the workflow can
react to them.
"""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.settings import Settings


class StatusRule(Construct):
    """Starts ``clean_up`` when an execution of ``workflow`` ends without success."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        workflow: sfn.IStateMachine,
        clean_up: sfn.IStateMachine,
    ) -> None:
        super().__init__(scope, construct_id)
        self.rule = events.Rule(
            self,
            "Rule",
            rule_name=settings.names.status_rule,
            description="Frees what a failed, timed out or aborted execution still holds",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "stateMachineArn": [workflow.state_machine_arn],
                    "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                },
            ),
            # No input transformer: the clean-up reads the execution's ARN and stop date from the event.
            targets=[targets.SfnStateMachine(clean_up)],
        )
