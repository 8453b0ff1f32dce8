"""The CodeBuild project. Its source is the packaged worker, never a card's repository."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from infra.machine import Machine, Network
from infra.packaging import Asset
from infra.settings import Settings
from kiro_worker.names import QUEUE_MINUTES

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
        if settings.machine.network:
            self._join(settings.machine.network)
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
                build_image=_image(self._settings.machine),
                compute_type=_COMPUTE[self._settings.machine.compute_type],
                privileged=self._settings.machine.privileged,
            ),
            environment_variables={
                name: codebuild.BuildEnvironmentVariable(value=value) for name, value in variables.items()
            },
            timeout=Duration.minutes(self._settings.machine.timeout_minutes),
            queued_timeout=Duration.minutes(QUEUE_MINUTES),
            logging=codebuild.LoggingOptions(
                cloud_watch=codebuild.CloudWatchLoggingOptions(enabled=True, log_group=log_group)
            ),
            # CDK would grant access to whole families of log groups and report groups; the stack grants less.
            role=self.role.without_policy_updates(),
            grant_report_group_permissions=False,
        )

    def _join(self, network: Network) -> None:
        """Run builds in a VPC. Its IDs are enough, so that synthesis looks nothing up in an account."""
        project = self.project.node.default_child
        if not isinstance(project, codebuild.CfnProject):
            raise TypeError(f"CDK's project consists of {type(project).__name__}")
        project.vpc_config = codebuild.CfnProject.VpcConfigProperty(
            vpc_id=network.vpc, subnets=list(network.subnets), security_group_ids=list(network.security_groups)
        )
        # CodeBuild checks these permissions when the project is created, so the policy must exist by then. It is not
        # part of the role's other policy, which names the project.
        policy = iam.Policy(self, "Network", statements=network_permissions(Stack.of(self), network))
        self.role.attach_inline_policy(policy)
        project.node.add_dependency(policy)

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


_COMPUTE = {
    "BUILD_GENERAL1_SMALL": codebuild.ComputeType.SMALL,
    "BUILD_GENERAL1_MEDIUM": codebuild.ComputeType.MEDIUM,
    "BUILD_GENERAL1_LARGE": codebuild.ComputeType.LARGE,
    "BUILD_GENERAL1_XLARGE": codebuild.ComputeType.X_LARGE,
    "BUILD_GENERAL1_2XLARGE": codebuild.ComputeType.X2_LARGE,
}


def _image(machine: Machine) -> codebuild.IBuildImage:
    """Return the image. CodeBuild pulls its own images with its own credentials, and others with the build's role."""
    if machine.has_aws_image:
        if machine.is_arm:
            return codebuild.LinuxArmBuildImage.from_code_build_image_id(machine.image)
        return codebuild.LinuxBuildImage.from_code_build_image_id(machine.image)
    if machine.is_arm:
        return codebuild.LinuxArmBuildImage.from_docker_registry(machine.image)
    return codebuild.LinuxBuildImage.from_docker_registry(machine.image)


def network_permissions(stack: Stack, network: Network) -> list[iam.PolicyStatement]:
    """Return what CodeBuild does with network interfaces: AWS CodeBuild User Guide, "Allow CodeBuild access to AWS
    services required to create a VPC network interface".
    """
    interfaces = stack.format_arn(service="ec2", resource="network-interface", resource_name="*")

    def named(resource: str, names: tuple[str, ...]) -> list[str]:
        # Wildcard: a shared VPC belongs to another account. The names are unique in all accounts.
        return [stack.format_arn(service="ec2", account="*", resource=resource, resource_name=name) for name in names]

    subnets = named("subnet", network.subnets)
    return [
        # Wildcard: these actions support no resources.
        iam.PolicyStatement(
            actions=[
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            resources=["*"],
        ),
        # Wildcard: EC2 chooses the name of a new network interface. It can be in these subnets only.
        iam.PolicyStatement(
            actions=["ec2:CreateNetworkInterface"],
            resources=[interfaces, *subnets, *named("security-group", network.security_groups)],
        ),
        # Wildcard: the same. Only interfaces in these subnets.
        iam.PolicyStatement(
            actions=["ec2:DeleteNetworkInterface"],
            resources=[interfaces],
            conditions={"ArnLike": {"ec2:Subnet": subnets}},
        ),
        # Wildcard: the same. Only CodeBuild itself gets an interface, and only in these subnets.
        iam.PolicyStatement(
            actions=["ec2:CreateNetworkInterfacePermission"],
            resources=[interfaces],
            conditions={
                "StringEquals": {"ec2:AuthorizedService": "codebuild.amazonaws.com"},
                "ArnLike": {"ec2:Subnet": subnets},
            },
        ),
    ]
