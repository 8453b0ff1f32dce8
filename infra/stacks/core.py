"""The resources that survive a change to the workflow: lock, records, artifacts, secrets, configuration and logs."""

from __future__ import annotations

from collections.abc import Iterable

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from infra.constructs.artifacts import Artifacts
from infra.constructs.log_groups import LogGroups
from infra.constructs.project_config import ProjectConfig
from infra.constructs.secrets import Secrets
from infra.constructs.table import WorkerTable
from infra.settings import Settings


class CoreStack(Stack):
    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, steps: Iterable[str]) -> None:
        super().__init__(
            scope,
            construct_id,
            stack_name=settings.names.core_stack,
            description="Kiro CodeBuild Worker: lock, records, artifacts, secrets, configuration, logs",
            termination_protection=settings.keeps_data,
        )
        names = settings.names
        self.lock_table = WorkerTable(self, "LockTable", settings=settings, name=names.locks_table, key="lockKey").table
        self.records_table = WorkerTable(
            self, "RecordsTable", settings=settings, name=names.records_table, key="recordKey"
        ).table
        self.artifacts = Artifacts(self, "Artifacts", settings=settings).bucket
        secrets = Secrets(self, "Secrets", settings=settings)
        self.config = ProjectConfig(self, "ProjectConfig", settings=settings).parameter
        self.log_groups = LogGroups(self, "LogGroups", settings=settings, steps=steps)

        CfnOutput(self, "ConfigParameter", value=self.config.parameter_name)
        CfnOutput(self, "GitHubTokenSecret", value=secrets.github_token.secret_arn)
        CfnOutput(self, "GitCredentialsSecret", value=secrets.git_credentials.secret_arn)
        CfnOutput(self, "KiroApiKeySecret", value=secrets.kiro_api_key.secret_arn)
        CfnOutput(self, "LockTableName", value=self.lock_table.table_name)
        CfnOutput(self, "RecordsTableName", value=self.records_table.table_name)
        CfnOutput(self, "ArtifactsBucketName", value=self.artifacts.bucket_name)
