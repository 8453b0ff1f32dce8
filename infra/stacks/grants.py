"""The permissions of every role, written by hand.

A wildcard stands only where a comment gives the reason; tests/integration/infra/test_grants.py holds the whole list.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam

from infra.constructs.build_project import BuildProject
from infra.constructs.state_machine import AslStateMachine
from infra.settings import Settings
from infra.stacks.core import CoreStack
from infra.stacks.steps import Steps

NEVER_OVERRIDDEN = (
    "codebuild:artifacts",
    "codebuild:environment.fleet.fleetArn",
    "codebuild:environment.privilegedMode",
    "codebuild:environment.registryCredential",
    "codebuild:environment.type",
    "codebuild:serviceRole",
    "codebuild:source.buildspec",
    "codebuild:source.location",
    "codebuild:source.auth.resource",
)
"""The parts of the project that no request to start a build may replace."""


@dataclass(frozen=True)
class Grants:
    stack: Stack
    settings: Settings
    core: CoreStack
    build: BuildProject

    def to_steps(self, steps: Steps) -> None:
        for step in (steps.fetch_work_item, steps.validate_work_item, steps.read_build_result, steps.update_status):
            self._read_configuration(step.role)
            self._use_secrets(step.role, "GetSecretValue", self.settings.names.github_token_secret)
        # A step that meets a failure of the installation opens the breaker.
        for step in (steps.validate_work_item, steps.acquire_lock, steps.read_build_result):
            self._allow_records(step.role, ["dynamodb:UpdateItem"], ("breaker",))
        for step in (steps.fetch_work_item, steps.update_status):
            self._use_records(step.role, "breaker")
            self._allow_records(step.role, ["dynamodb:UpdateItem"], ("card#*",))
        # What decides which card is next, read together: the breaker, what was spent today, why earlier runs passed the
        # waiting cards over, and where on the board the last run stopped. What DynamoDB leaves out of the answer is
        # read one by one.
        self._allow_records(
            steps.fetch_work_item.role,
            ["dynamodb:BatchGetItem", "dynamodb:GetItem"],
            ("board", "breaker", "card#*", "day#*"),
        )
        self._allow_records(steps.fetch_work_item.role, ["dynamodb:UpdateItem"], ("board",))
        # Whether a run that was redriven, or that ended otherwise, has pushed its work.
        for step in (steps.fetch_work_item, steps.validate_work_item, steps.update_status):
            self._read_records(step.role, "run#*")
        self._check_installation(steps.validate_work_item.role)
        self._read_build(steps.read_build_result.role)
        # The configuration names the scope of the lock.
        self._read_configuration(steps.acquire_lock.role)
        self._use_locks(steps.acquire_lock.role, slots=True)
        self._end_holders(steps.acquire_lock.role)
        # Reads every item, of which there are few, to find locks of abandoned runs.
        self._use_locks(steps.fetch_work_item.role, scan=True)
        self._end_holders(steps.fetch_work_item.role)
        # The clean-up knows the execution but not its lock key, so it reads every item.
        self._use_locks(steps.release_lock.role, scan=True, delete=True)
        self._end_holders(steps.release_lock.role)
        # Checks whether the execution was redriven, because the count in the state's context may be out of date.
        self._describe_executions(steps.fail_run.role)

    def _check_installation(self, role: iam.Role) -> None:
        """Allow checking whether a build would find its secrets, its project and its agent. No value is read."""
        names = self.settings.names
        self._use_secrets(role, "DescribeSecret", names.git_credentials_secret, names.kiro_api_key_secret)
        self._use_test_secrets(role, "DescribeSecret")
        _allow(role, ["codebuild:BatchGetProjects"], self.build.project.project_arn)

    def _read_build(self, role: iam.Role) -> None:
        """Allow finding a failed build, stopping it if it still runs, and noting that it is repeated."""
        _allow(role, ["dynamodb:GetItem"], self.core.lock_table.table_arn)
        self._read_records(role, "run#*", "branch#*")
        self._allow_records(role, ["dynamodb:UpdateItem"], ("card#*",))
        # The list is for a build whose start was not answered, so that nothing names it.
        _allow(
            role,
            ["codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject", "codebuild:StopBuild"],
            self.build.project.project_arn,
        )

    def to_build(self) -> None:
        role, names = self.build.role, self.settings.names
        source = self.build.source.bucket.arn_for_objects(self.build.source.s3_object_key)
        _allow(role, ["s3:GetObject", "s3:GetObjectVersion"], source)
        self._read_configuration(role)
        self._use_secrets(
            role, "GetSecretValue", names.github_token_secret, names.git_credentials_secret, names.kiro_api_key_secret
        )
        self._use_test_secrets(role, "GetSecretValue")
        self._use_locks(role, slots=True)
        self._use_records(role, "run#*", "branch#*")
        # What the build spends. Only FetchWorkItem reads it.
        self._allow_records(role, ["dynamodb:UpdateItem"], ("day#*",))
        self._describe_executions(role)
        _allow(role, ["codebuild:BatchGetBuilds"], self.build.project.project_arn)
        # Wildcard: artifacts are stored under the run's name, and nothing else is ever under runs/.
        _allow(role, ["s3:PutObject"], self.core.artifacts.arn_for_objects("runs/*"))
        if self.settings.steering_prefix:
            # Wildcard: a manifest names the central steering files, and it may change.
            steering = f"arn:{self.stack.partition}:s3:::{self.settings.steering_prefix}/*"
            _allow(role, ["s3:GetObject"], steering)
        self._pull_images(role)
        # Reports to its two report groups, without permission to create others: AWS CodeBuild User Guide, "Test report
        # permissions".
        _allow(
            role,
            [
                "codebuild:CreateReport",
                "codebuild:UpdateReport",
                "codebuild:BatchPutTestCases",
                "codebuild:BatchPutCodeCoverages",
            ],
            *(group.report_group_arn for group in self.build.report_groups),
        )

    def _pull_images(self, role: iam.Role) -> None:
        """Allow pulling images from the named ECR repositories. CodeBuild pulls its own images without the role."""
        repositories = self.settings.machine.repositories
        if not repositories:
            return
        # Wildcard: this action supports no resources.
        _allow(role, ["ecr:GetAuthorizationToken"], "*")
        _allow(
            role,
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            *(
                f"arn:{self.stack.partition}:ecr:{repository.region}:{repository.account}:repository/{repository.name}"
                for repository in repositories
            ),
        )

    def to_workflow(self, workflow: AslStateMachine, steps: Steps) -> None:
        """Grant what the definition calls, because CDK derives no permissions from a definition that is text."""
        for step in steps:
            _allow(workflow.role, ["lambda:InvokeFunction"], step.function.function_arn)
        # `codebuild:startBuild.sync`, and the rule that reports the end of the build to Step Functions:
        # Step Functions Developer Guide, "IAM policies for calling AWS CodeBuild".
        _allow(
            workflow.role,
            ["codebuild:StopBuild", "codebuild:BatchGetBuilds", "codebuild:BatchGetReports"],
            self.build.project.project_arn,
        )
        # RunBuild overrides image, size and timeout, for which there is no key, and nothing else: AWS CodeBuild User
        # Guide, "AWS CodeBuild condition keys". A key is null if the request does not override what it names.
        workflow.role.add_to_policy(
            iam.PolicyStatement(
                actions=["codebuild:StartBuild"],
                resources=[self.build.project.project_arn],
                conditions={"Null": dict.fromkeys(NEVER_OVERRIDDEN, "true")},
            )
        )
        # The run that takes the next card. The ARN is composed, because a reference would be circular.
        machine = self.stack.format_arn(
            service="states",
            resource="stateMachine",
            resource_name=self.settings.names.state_machine,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        _allow(workflow.role, ["states:StartExecution"], machine)
        rule = self.stack.format_arn(
            service="events",
            resource="rule",
            resource_name="StepFunctionsGetEventForCodeBuildStartBuildRule",
        )
        _allow(workflow.role, ["events:PutTargets", "events:PutRule", "events:DescribeRule"], rule)

    def to_clean_up(self, clean_up: AslStateMachine, steps: Steps) -> None:
        for step in (steps.release_lock, steps.update_status):
            _allow(clean_up.role, ["lambda:InvokeFunction"], step.function.function_arn)

    def _read_configuration(self, role: iam.Role) -> None:
        _allow(role, ["ssm:GetParameter"], self.core.config.parameter_arn)

    def _use_secrets(self, role: iam.Role, action: str, *names: str) -> None:
        """Allow ``action`` on the secrets of these names, even after they were deleted and created again."""
        # Wildcard: a secret's ARN ends in six random characters, which differ when it is created again. The ARN without
        # them is that of a secret that does not exist: otherwise, AWS denies the request instead of reporting that.
        suffixes = ("", "-??????")
        secrets = [
            self.stack.format_arn(
                service="secretsmanager",
                resource="secret",
                resource_name=f"{name}{suffix}",
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            )
            for name in names
            for suffix in suffixes
        ]
        _allow(role, [f"secretsmanager:{action}"], *secrets)

    def _use_test_secrets(self, role: iam.Role, action: str) -> None:
        # Wildcard: operators choose the names of the secrets for setup, below this prefix.
        secrets = self.stack.format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{self.settings.names.test_secrets_prefix}*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        _allow(role, [f"secretsmanager:{action}"], secrets)

    def _use_locks(self, role: iam.Role, *, scan: bool = False, slots: bool = False, delete: bool = False) -> None:
        """Allow reading and changing locks.

        With ``scan`` it may find all of them, with ``slots`` read many at once, with ``delete`` delete free ones.
        """
        reads = [
            "dynamodb:GetItem",
            *(["dynamodb:Scan"] if scan else []),
            *(["dynamodb:BatchGetItem"] if slots else []),
        ]
        writes = ["dynamodb:UpdateItem", *(["dynamodb:DeleteItem"] if delete else [])]
        _allow(role, [*reads, *writes], self.core.lock_table.table_arn)

    def _read_records(self, role: iam.Role, *keys: str) -> None:
        self._allow_records(role, ["dynamodb:GetItem"], keys)

    def _use_records(self, role: iam.Role, *keys: str) -> None:
        self._allow_records(role, ["dynamodb:GetItem", "dynamodb:UpdateItem"], keys)

    def _allow_records(self, role: iam.Role, actions: list[str], keys: tuple[str, ...]) -> None:
        """Allow ``actions`` on records whose key matches one of ``keys``, and on no others."""
        role.add_to_policy(
            iam.PolicyStatement(
                actions=actions,
                resources=[self.core.records_table.table_arn],
                conditions={
                    "ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(keys)},
                    # A request without a key matches every ForAllValues condition.
                    "Null": {"dynamodb:LeadingKeys": "false"},
                },
            )
        )

    def _end_holders(self, role: iam.Role) -> None:
        """Allow checking whether a lock's holder still runs, and stopping a build that its execution has abandoned."""
        self._describe_executions(role)
        _allow(role, ["codebuild:BatchGetBuilds", "codebuild:StopBuild"], self.build.project.project_arn)

    def _describe_executions(self, role: iam.Role) -> None:
        # Wildcard: an execution's ARN ends in its name, which is not known beforehand.
        executions = self.stack.format_arn(
            service="states",
            resource="execution",
            resource_name=f"{self.settings.names.state_machine}:*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        _allow(role, ["states:DescribeExecution"], executions)


def _allow(role: iam.Role, actions: list[str], *resources: str) -> None:
    role.add_to_policy(iam.PolicyStatement(actions=actions, resources=list(resources)))
