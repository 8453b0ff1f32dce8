"""Every log group, with a name and a retention, because log groups that AWS creates on demand keep logs forever."""

from __future__ import annotations

from collections.abc import Iterable

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.settings import Settings


class LogGroups(Construct):
    """The log groups: ``steps`` by step name (``acquire_lock``), ``build``, and ``executions`` of both machines."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, steps: Iterable[str]) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        names = settings.names
        self.steps = {step: self._group(f"Step-{step}", names.function_log_group(step)) for step in sorted(steps)}
        self.build = self._group("Build", names.build_log_group)
        self.executions = self._group("Executions", names.executions_log_group)

    def _group(self, construct_id: str, name: str) -> logs.LogGroup:
        keeps_data = self._settings.keeps_data
        return logs.LogGroup(
            self,
            construct_id,
            log_group_name=name,
            retention=logs.RetentionDays.THREE_MONTHS if keeps_data else logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.RETAIN if keeps_data else RemovalPolicy.DESTROY,
        )
