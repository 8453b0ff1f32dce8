"""The CodeBuild project. Its source is our own packaged worker, never the repository that it works on."""

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
        self.source = s3_assets.Asset(self, "Source", path=str(source.path), asset_hash=source.digest)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("codebuild.amazonaws.com"))
        self.project = codebuild.Project(
            self,
            "Project",
            project_name=settings.prefix,
            description="Implements one card: checkout, agent, tests, push",
            source=codebuild.Source.s3(bucket=self.source.bucket, path=self.source.s3_object_key),
            build_spec=codebuild.BuildSpec.from_source_filename("buildspec.yml"),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0,
                compute_type=codebuild.ComputeType.SMALL,
                privileged=False,
            ),
            environment_variables={
                name: codebuild.BuildEnvironmentVariable(value=value)
                # A user of the agent's own, whatever it takes: this machine is thrown away after the build.
                for name, value in {**environment, "AGENT_USER": "own"}.items()
            },
            # Below the timeout of the state RunBuild: it is not documented that its own timeout stops a build.
            timeout=Duration.minutes(60),
            queued_timeout=Duration.minutes(30),
            logging=codebuild.LoggingOptions(
                cloud_watch=codebuild.CloudWatchLoggingOptions(enabled=True, log_group=log_group)
            ),
            # CDK would grant whole families of log and report groups; the stack grants by hand instead.
            role=self.role.without_policy_updates(),
            grant_report_group_permissions=False,
        )
        log_group.grant_write(self.role)
        # By the names that CodeBuild makes of the project's and those in buildspec.yml, so that it finds them there:
        # AWS CodeBuild User Guide, "Report group naming". It would make them itself, with a right to make any.
        self.report_groups = [
            codebuild.ReportGroup(
                self,
                construct_id,
                report_group_name=f"{settings.prefix}-{name}",
                type=kind,
                removal_policy=RemovalPolicy.RETAIN if settings.keeps_data else RemovalPolicy.DESTROY,
                delete_reports=not settings.keeps_data,
            )
            for construct_id, name, kind in (
                ("Tests", "tests", codebuild.ReportGroupType.TEST),
                ("Coverage", "coverage", codebuild.ReportGroupType.CODE_COVERAGE),
            )
        ]
