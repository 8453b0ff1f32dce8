"""One step of the workflow: a Lambda function whose role can write to its own log group and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.packaging import Asset
from infra.settings import Settings


def architecture_of(settings: Settings) -> lambda_.Architecture:
    """Return the architecture of every function: that of builds, so that both get the same wheels."""
    return lambda_.Architecture.ARM_64 if settings.machine.is_arm else lambda_.Architecture.X86_64


class Step(Construct):
    """``name`` is the folder below functions/; with hyphens, it ends the function's name."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        name: str,
        asset: Asset,
        layer: lambda_.ILayerVersion,
        log_group: logs.ILogGroup,
        timeout: Duration,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(scope, construct_id)
        # Not CDK's default role: its AWSLambdaBasicExecutionRole may write to every log group.
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log_group.grant_write(self.role)
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=settings.names.function(name),
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=architecture_of(settings),
            code=lambda_.Code.from_asset(str(asset.path), asset_hash=asset.digest),
            handler="handler.handler",
            layers=[layer],
            role=self.role,
            log_group=log_group,
            memory_size=256,
            timeout=timeout,
            environment={
                "ENVIRONMENT": settings.environment,
                "LOG_LEVEL": "INFO",
                "POWERTOOLS_METRICS_NAMESPACE": "KiroWorker",
                "POWERTOOLS_SERVICE_NAME": name,
                **environment,
            },
        )
