"""The workflow: its steps, its build, its two state machines, and what starts them."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from infra.constructs.build_project import BuildProject
from infra.constructs.schedule import Schedule
from infra.constructs.state_machine import AslStateMachine
from infra.constructs.status_rule import StatusRule
from infra.definition import Definition, check_lease, load_definition, with_timeout
from infra.packaging import Package
from infra.settings import Settings
from infra.stacks.core import CoreStack
from infra.stacks.grants import Grants
from infra.stacks.steps import Steps, create_steps
from infra.stacks.variables import Variables


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
            stack_name=settings.names.workflow_stack,
            description="Kiro CodeBuild Worker: steps, build, state machines, schedule",
        )
        self._settings = settings
        self._core = core
        steps = create_steps(self, settings=settings, core=core, package=package)
        build = self._create_build(package)
        # The file has the timeout for the default of buildTimeoutMinutes.
        work_item = with_timeout(load_definition(definitions / "work_item.asl.json"), settings.execution_seconds)
        workflow = self._create_workflow(work_item, steps, build)
        clean_up = self._create_clean_up(load_definition(definitions / "clean_up.asl.json"), steps)
        Schedule(self, "Schedule", settings=settings, state_machine=workflow.state_machine)
        StatusRule(
            self,
            "StatusRule",
            settings=settings,
            workflow=workflow.state_machine,
            clean_up=clean_up.state_machine,
        )

        grants = Grants(self, settings, core, build)
        grants.to_steps(steps)
        grants.to_build()
        grants.to_workflow(workflow, steps)
        grants.to_clean_up(clean_up, steps)

        CfnOutput(self, "StateMachineArn", value=workflow.state_machine.state_machine_arn)
        CfnOutput(self, "CleanUpStateMachineArn", value=clean_up.state_machine.state_machine_arn)
        CfnOutput(self, "BuildProjectName", value=build.project.project_name)

    def _create_build(self, package: Package) -> BuildProject:
        return BuildProject(
            self,
            "Build",
            settings=self._settings,
            source=package.source,
            log_group=self._core.log_groups.build,
            environment=Variables(self._settings, self._core).build,
        )

    def _create_workflow(self, definition: Definition, steps: Steps, build: BuildProject) -> AslStateMachine:
        check_lease(definition, self._settings.lock_lease_seconds)
        return AslStateMachine(
            self,
            "WorkItem",
            name=self._settings.names.state_machine,
            definition=definition,
            substitutions={
                "FetchWorkItemFunctionArn": steps.fetch_work_item.function.function_arn,
                "ValidateWorkItemFunctionArn": steps.validate_work_item.function.function_arn,
                "AcquireLockFunctionArn": steps.acquire_lock.function.function_arn,
                "ReadBuildResultFunctionArn": steps.read_build_result.function.function_arn,
                "UpdateStatusFunctionArn": steps.update_status.function.function_arn,
                "ReleaseLockFunctionArn": steps.release_lock.function.function_arn,
                "FailRunFunctionArn": steps.fail_run.function.function_arn,
                "CodeBuildProjectName": build.project.project_name,
            },
            log_group=self._core.log_groups.executions,
        )

    def _create_clean_up(self, definition: Definition, steps: Steps) -> AslStateMachine:
        return AslStateMachine(
            self,
            "CleanUp",
            name=self._settings.names.clean_up_state_machine,
            definition=definition,
            substitutions={
                "ReleaseLockFunctionArn": steps.release_lock.function.function_arn,
                "UpdateStatusFunctionArn": steps.update_status.function.function_arn,
            },
            log_group=self._core.log_groups.executions,
        )
