"""A state machine whose definition is an ASL file, inlined so that ``cdk diff`` and the tests see it."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.definition import Definition, check_substitutions


class AslStateMachine(Construct):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        definition: Definition,
        substitutions: Mapping[str, str],
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        check_substitutions(definition, substitutions)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=name,
            # Redrive and replay need the history that only a Standard workflow keeps.
            state_machine_type=sfn.StateMachineType.STANDARD,
            definition_body=sfn.DefinitionBody.from_string(definition.text),
            definition_substitutions=dict(substitutions),
            role=self.role,
            # All states, so that a run can still be followed when Step Functions has deleted its history after 90 days.
            # No data, because cards and specs of private repositories belong only in their execution's own history.
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=False),
            # The history already traces an execution, and most executions find nothing to do.
            tracing_enabled=False,
        )
