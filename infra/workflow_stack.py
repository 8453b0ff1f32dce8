"""The workflow: its steps, its build, the two state machines and what starts them; then who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import ArnFormat, CfnOutput, Duration, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.build_project import BuildProject
from infra.constructs.core_layer import CoreLayer
from infra.constructs.schedule import Schedule
from infra.constructs.status_rule import StatusRule
from infra.constructs.step import Step
from infra.constructs.workflow import Workflow
from infra.core_stack import CoreStack
from infra.definition import check_lease, load_definition
from infra.errors import SynthError
from infra.packaging import Package
from infra.settings import Settings

STEPS = (
    "fetch_work_item",
    "validate_work_item",
    "acquire_lock",
    "update_status",
    "release_lock",
    "fail_run",
)


class WorkflowStack(Stack):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        core: CoreStack,
        package: Package,
        definitions: Path,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            stack_name=f"{construct_id}-{settings.environment}",
            description="Kiro CodeBuild Worker: steps, build, state machines, schedule",
        )
        if set(package.functions) != set(STEPS):
            wrong = ", ".join(sorted(set(package.functions) ^ set(STEPS)))
            raise SynthError(f"The folders of functions/ and the steps of the stack differ by: {wrong}.")
        work_item = load_definition(definitions / "work_item.asl.json")
        clean_up = load_definition(definitions / "clean_up.asl.json")
        check_lease(work_item, settings.lock_lease_seconds)

        config = {"CONFIG_PARAMETER_NAME": core.config.parameter_name}
        github = {"GITHUB_TOKEN_SECRET_ARN": core.secrets.github_token.secret_arn}
        locks = {"LOCKS_TABLE_NAME": core.lock_table.table_name}
        lease = {"LOCK_LEASE_SECONDS": str(settings.lock_lease_seconds)}

        # ------------------------------------------------------------------------------------ the steps
        layer = CoreLayer(self, "CoreLayer", settings=settings, asset=package.layer).version

        def step(construct_id: str, name: str, timeout: int, environment: Mapping[str, str]) -> Step:
            return Step(
                self,
                construct_id,
                settings=settings,
                name=name,
                asset=package.functions[name],
                layer=layer,
                log_group=core.log_groups.steps[name],
                timeout=Duration.seconds(timeout),
                environment=environment,
            )

        fetch_work_item = step("FetchWorkItem", "fetch_work_item", 60, config | github | locks)
        validate_work_item = step("ValidateWorkItem", "validate_work_item", 60, config | github)
        update_status = step("UpdateStatus", "update_status", 60, config | github)
        acquire_lock = step("AcquireLock", "acquire_lock", 30, config | locks | lease)
        release_lock = step("ReleaseLock", "release_lock", 30, locks)
        fail_run = step("FailRun", "fail_run", 30, {})

        # ------------------------------------------------------------------------------------ the build
        build = BuildProject(
            self,
            "Build",
            settings=settings,
            source=package.source,
            log_group=core.log_groups.build,
            environment={
                "ENVIRONMENT": settings.environment,
                **config,
                **locks,
                **lease,
                **github,
                "GIT_CREDENTIALS_SECRET_ARN": core.secrets.git_credentials.secret_arn,
                "KIRO_API_KEY_SECRET_ARN": core.secrets.kiro_api_key.secret_arn,
                "ARTIFACTS_BUCKET_NAME": core.artifacts.bucket_name,
                "KIRO_CLI_URL": settings.kiro_cli_url,
                "KIRO_CLI_SHA256": settings.kiro_cli_sha256,
            },
        )

        # ------------------------------------------------------------------------------------ the workflow
        work_item_machine = Workflow(
            self,
            "WorkItem",
            name=settings.prefix,
            definition=work_item,
            substitutions={
                "FetchWorkItemFunctionArn": fetch_work_item.function.function_arn,
                "ValidateWorkItemFunctionArn": validate_work_item.function.function_arn,
                "AcquireLockFunctionArn": acquire_lock.function.function_arn,
                "UpdateStatusFunctionArn": update_status.function.function_arn,
                "ReleaseLockFunctionArn": release_lock.function.function_arn,
                "FailRunFunctionArn": fail_run.function.function_arn,
                "CodeBuildProjectName": build.project.project_name,
            },
            log_group=core.log_groups.executions,
        )
        clean_up_machine = Workflow(
            self,
            "CleanUp",
            name=f"{settings.prefix}-clean-up",
            definition=clean_up,
            substitutions={
                "ReleaseLockFunctionArn": release_lock.function.function_arn,
                "UpdateStatusFunctionArn": update_status.function.function_arn,
            },
            log_group=core.log_groups.executions,
        )
        Schedule(self, "Schedule", settings=settings, state_machine=work_item_machine.state_machine)
        StatusRule(
            self,
            "StatusRule",
            settings=settings,
            watched=work_item_machine.state_machine,
            started=clean_up_machine.state_machine,
        )

        # ------------------------------------------------------------------------------------ who may do what
        # The board: which one it is, and the token to reach it.
        for reader in (fetch_work_item, validate_work_item, update_status):
            allow(reader.role, ["ssm:GetParameter"], core.config.parameter_arn)
            allow(reader.role, ["secretsmanager:GetSecretValue"], core.secrets.github_token.secret_arn)

        # The lock: its scope is in the configuration; whether its holder still runs, Step Functions knows, and
        # CodeBuild of a build that was started by hand.
        # Wildcard: an execution's ARN ends in its name, which is not known beforehand.
        executions = self.format_arn(
            service="states",
            resource="execution",
            resource_name=f"{settings.prefix}:*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        allow(acquire_lock.role, ["ssm:GetParameter"], core.config.parameter_arn)
        allow(acquire_lock.role, ["dynamodb:GetItem", "dynamodb:UpdateItem"], core.lock_table.table_arn)
        allow(acquire_lock.role, ["states:DescribeExecution"], executions)
        allow(acquire_lock.role, ["codebuild:BatchGetBuilds", "codebuild:StopBuild"], build.project.project_arn)
        # What runs that died left behind: every item is looked at, and there are a handful.
        allow(
            fetch_work_item.role,
            ["dynamodb:GetItem", "dynamodb:Scan", "dynamodb:UpdateItem"],
            core.lock_table.table_arn,
        )
        allow(fetch_work_item.role, ["states:DescribeExecution"], executions)
        allow(fetch_work_item.role, ["codebuild:BatchGetBuilds", "codebuild:StopBuild"], build.project.project_arn)
        # The clean-up knows the execution and not the key of its lock, so it looks through the few items.
        allow(
            release_lock.role,
            ["dynamodb:GetItem", "dynamodb:Scan", "dynamodb:UpdateItem"],
            core.lock_table.table_arn,
        )
        allow(release_lock.role, ["states:DescribeExecution"], executions)
        # A build that its execution has left behind is stopped before another may start.
        allow(release_lock.role, ["codebuild:BatchGetBuilds", "codebuild:StopBuild"], build.project.project_arn)
        # Whether it is redriven, for the count in the state's context may be older.
        allow(fail_run.role, ["states:DescribeExecution"], executions)

        # The build: its own source, the configuration, its secrets, the lock, a place for what it leaves behind.
        # Wildcards: the artifacts of a run lie under the run's name; nothing else is ever under runs/.
        source = build.source.bucket.arn_for_objects(build.source.s3_object_key)
        allow(build.role, ["s3:GetObject", "s3:GetObjectVersion"], source)
        allow(build.role, ["ssm:GetParameter"], core.config.parameter_arn)
        allow(
            build.role,
            ["secretsmanager:GetSecretValue"],
            core.secrets.github_token.secret_arn,
            core.secrets.git_credentials.secret_arn,
            core.secrets.kiro_api_key.secret_arn,
        )
        allow(build.role, ["dynamodb:GetItem", "dynamodb:UpdateItem"], core.lock_table.table_arn)
        allow(build.role, ["states:DescribeExecution"], executions)
        allow(build.role, ["codebuild:BatchGetBuilds"], build.project.project_arn)
        allow(build.role, ["s3:PutObject"], core.artifacts.arn_for_objects("runs/*"))

        # Central steering files, where there are some. Wildcard: their names are in a manifest, which may change.
        if settings.steering_prefix:
            steering = f"arn:{self.partition}:s3:::{settings.steering_prefix}/*"
            allow(build.role, ["s3:GetObject"], steering)

        # Its two report groups, and no right to make others: AWS CodeBuild User Guide, "Test report permissions".
        allow(
            build.role,
            [
                "codebuild:CreateReport",
                "codebuild:UpdateReport",
                "codebuild:BatchPutTestCases",
                "codebuild:BatchPutCodeCoverages",
            ],
            *(group.report_group_arn for group in build.report_groups),
        )

        # The state machines: CDK derives no grant from the text of a definition.
        for started in (
            fetch_work_item,
            validate_work_item,
            acquire_lock,
            update_status,
            release_lock,
            fail_run,
        ):
            allow(work_item_machine.role, ["lambda:InvokeFunction"], started.function.function_arn)
        for started in (release_lock, update_status):
            allow(clean_up_machine.role, ["lambda:InvokeFunction"], started.function.function_arn)
        # `codebuild:startBuild.sync` and the rule that tells Step Functions of the end of the build:
        # Step Functions Developer Guide, "IAM policies for calling AWS CodeBuild".
        allow(
            work_item_machine.role,
            [
                "codebuild:StartBuild",
                "codebuild:StopBuild",
                "codebuild:BatchGetBuilds",
                "codebuild:BatchGetReports",
            ],
            build.project.project_arn,
        )
        allow(
            work_item_machine.role,
            ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            self.format_arn(
                service="events",
                resource="rule",
                resource_name="StepFunctionsGetEventForCodeBuildStartBuildRule",
            ),
        )

        CfnOutput(self, "StateMachineArn", value=work_item_machine.state_machine.state_machine_arn)
        CfnOutput(self, "CleanUpStateMachineArn", value=clean_up_machine.state_machine.state_machine_arn)
        CfnOutput(self, "BuildProjectName", value=build.project.project_name)


def allow(role: iam.Role, actions: list[str], *resources: str) -> None:
    role.add_to_policy(iam.PolicyStatement(actions=actions, resources=list(resources)))
