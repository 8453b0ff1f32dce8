"""The CodeBuild project. Its source is the packaged worker, never a card's repository."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from infra.packaging import Asset
from infra.settings import Settings

BUILD_TIMEOUT = Duration.minutes(60)
"""Shorter than the timeout of the state RunBuild: AWS does not document that a state's timeout stops its build."""
QUEUE_TIMEOUT = Duration.minutes(30)

# The agent runs as its own user. Creating one is safe, because the machine is discarded after the build.
SEPARATE_AGENT_USER = {"AGENT_USER": "own"}


class BuildProject(Construct):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        source: Asset,
        log_group: logs.ILogGroup,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self.source = s3_assets.Asset(self, "Source", path=str(source.path), asset_hash=source.digest)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("codebuild.amazonaws.com"))
        self.project = self._project(log_group, {**environment, **SEPARATE_AGENT_USER})
        log_group.grant_write(self.role)
        self.report_groups = [
            self._report_group("Tests", "tests", codebuild.ReportGroupType.TEST),
            self._report_group("Coverage", "coverage", codebuild.ReportGroupType.CODE_COVERAGE),
        ]

    def _project(self, log_group: logs.ILogGroup, variables: Mapping[str, str]) -> codebuild.Project:
        return codebuild.Project(
            self,
            "Project",
            project_name=self._settings.names.build_project,
            description="Implements one card: checkout, agent, tests, push",
            source=codebuild.Source.s3(bucket=self.source.bucket, path=self.source.s3_object_key),
            build_spec=codebuild.BuildSpec.from_source_filename("buildspec.yml"),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0,
                compute_type=codebuild.ComputeType.SMALL,
                privileged=False,
            ),
            environment_variables={
                name: codebuild.BuildEnvironmentVariable(value=value) for name, value in variables.items()
            },
            timeout=BUILD_TIMEOUT,
            queued_timeout=QUEUE_TIMEOUT,
            logging=codebuild.LoggingOptions(
                cloud_watch=codebuild.CloudWatchLoggingOptions(enabled=True, log_group=log_group)
            ),
            # CDK would grant access to whole families of log groups and report groups; the stack grants less.
            role=self.role.without_policy_updates(),
            grant_report_group_permissions=False,
        )

    def _report_group(
        self, construct_id: str, kind: str, report_type: codebuild.ReportGroupType
    ) -> codebuild.ReportGroup:
        """Return a report group under the name that CodeBuild derives from the project and the name in buildspec.yml.

        CodeBuild then finds it and needs no permission to create any: AWS CodeBuild User Guide, "Report group naming".
        """
        return codebuild.ReportGroup(
            self,
            construct_id,
            report_group_name=self._settings.names.report_group(kind),
            type=report_type,
            removal_policy=RemovalPolicy.RETAIN if self._settings.keeps_data else RemovalPolicy.DESTROY,
            delete_reports=not self._settings.keeps_data,
        )
