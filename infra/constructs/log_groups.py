"""Every log group under a name and a retention of ours; a group that AWS creates by itself keeps its logs forever."""

from __future__ import annotations

from collections.abc import Iterable

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.settings import Settings


class LogGroups(Construct):
    """`steps` by step name (`acquire_lock`), `build`, and one for both state machines."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, steps: Iterable[str]) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self.steps = {
            step: self._group(f"Step-{step}", f"/aws/lambda/{settings.prefix}-{step.replace('_', '-')}")
            for step in sorted(steps)
        }
        self.build = self._group("Build", f"/aws/codebuild/{settings.prefix}")
        # The prefix keeps the group out of the account's one log resource policy, whose size is limited:
        # Step Functions Developer Guide, "Logging using CloudWatch Logs".
        self.executions = self._group("Executions", f"/aws/vendedlogs/states/{settings.prefix}")

    def _group(self, construct_id: str, name: str) -> logs.LogGroup:
        keeps = self._settings.keeps_data
        return logs.LogGroup(
            self,
            construct_id,
            log_group_name=name,
            retention=logs.RetentionDays.THREE_MONTHS if keeps else logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.RETAIN if keeps else RemovalPolicy.DESTROY,
        )
