"""The configuration parameter: JSON that every run reads, so that a change needs no deployment."""

from __future__ import annotations

import json

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.settings import Settings

# CloudFormation writes a parameter only when its template changes, so a deployment keeps what operators have set.
PLACEHOLDER = {
    "organization": "your-org",
    "repository": "your-repo",
    "projectNumber": 1,
    "targetStatusColumn": "For Implementation",
}


class ProjectConfig(Construct):
    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.parameter = ssm.StringParameter(
            self,
            "Parameter",
            parameter_name=settings.names.configuration_parameter,
            description="Which board the Kiro worker serves, and how",
            string_value=json.dumps(PLACEHOLDER),
        )
