"""``AWS::CodeBuild::ReportGroup`` for templates. Only its name and ARN are there: the embedded build leaves its reports
among the artifacts and reads none of them.
"""

from __future__ import annotations

from typing import Any

from moto.core.common_models import CloudFormationModel

from kiro_local.aws.cloudformation import NamedResource


class CodeBuildReportGroup(NamedResource, CloudFormationModel):  # type: ignore[misc]  # moto is untyped
    """``Ref`` is the ARN, as the CloudFormation reference says."""

    @property
    def physical_resource_id(self) -> str:
        return self.arn

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CodeBuild::ReportGroup"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> CodeBuildReportGroup:
        arn = f"arn:aws:codebuild:{region_name}:{account_id}:report-group/{resource_name}"
        return cls(resource_name, arn)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> CodeBuildReportGroup:
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        """There is nothing behind it."""
