"""The resource types that moto cannot create from a template: CodeBuild projects and report groups, schedules, secrets
and resource policies.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.cloudformation import parsing
from moto.codebuild.models import CodeBuildBackend, codebuild_backends
from moto.core.common_models import CloudFormationModel
from moto.scheduler.models import EventBridgeSchedulerBackend, scheduler_backends
from moto.secretsmanager.models import SecretsManagerBackend, secretsmanager_backends

if TYPE_CHECKING:
    from kiro_local.aws.replacements import Replacements


def install(replacements: Replacements) -> None:
    """Replaces nothing. moto finds resource types by listing the subclasses of ``CloudFormationModel``, and caches the
    list, so a list that is older than the classes below is dropped.
    """
    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()


class NamedResource:
    """A resource that the template names. ``Ref`` is that name unless the type overrides it."""

    def __init__(self, name: str, arn: str) -> None:
        self.name = name
        self.arn = arn

    @property
    def physical_resource_id(self) -> str:
        return self.name

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        assert attribute_name == "Arn"  # noqa: S101  # moto calls has_cfn_attr first
        return self.arn

    def is_created(self) -> bool:
        return True


class CodeBuildProject(NamedResource, CloudFormationModel):  # type: ignore[misc]  # moto is untyped
    """``AWS::CodeBuild::Project``. The API's names are the template's with a lower-case first letter."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CodeBuild::Project"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> CodeBuildProject:
        properties = _api_names(cloudformation_json["Properties"])
        backend: CodeBuildBackend = codebuild_backends[account_id][region_name]
        metadata = backend.create_project(
            project_name=resource_name,
            description=properties.get("description"),
            project_source=properties["source"],
            artifacts=properties["artifacts"],
            environment=properties["environment"],
            service_role=properties["serviceRole"],
            tags=properties.get("tags"),
            cache=properties.get("cache"),
            timeout=int(properties.get("timeoutInMinutes", 60)),
            queued_timeout=int(properties.get("queuedTimeoutInMinutes", 480)),
            source_version=properties.get("sourceVersion"),
            logs_config=properties.get("logsConfig"),
            vpc_config=properties.get("vpcConfig"),
        )
        return cls(resource_name, metadata["arn"])

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> CodeBuildProject:
        # The history belongs to the project's name, and moto empties it with every create.
        backend: CodeBuildBackend = codebuild_backends[account_id][region_name]
        history = backend.build_history.get(new_resource_name, [])
        project = cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)
        backend.build_history[new_resource_name] = history
        return project

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        codebuild_backends[account_id][region_name].delete_project(resource_name)


class CodeBuildReportGroup(NamedResource, CloudFormationModel):  # type: ignore[misc]  # moto is untyped
    """``AWS::CodeBuild::ReportGroup``; ``Ref`` is its ARN, as the CloudFormation reference documents. It has
    only a name and an ARN: the embedded AWS does not process the reports of a build.
    """

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
        """Do nothing, because a report group has no data of its own here."""


class SchedulerSchedule(NamedResource, CloudFormationModel):  # type: ignore[misc]  # moto is untyped
    """``AWS::Scheduler::Schedule``."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Scheduler::Schedule"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> SchedulerSchedule:
        properties = cloudformation_json["Properties"]
        backend: EventBridgeSchedulerBackend = scheduler_backends[account_id][region_name]
        schedule = backend.create_schedule(
            name=resource_name,
            group_name=properties.get("GroupName", "default"),
            description=properties.get("Description", ""),
            schedule_expression=properties["ScheduleExpression"],
            schedule_expression_timezone=properties.get("ScheduleExpressionTimezone", "UTC"),
            flexible_time_window=properties["FlexibleTimeWindow"],
            target=properties["Target"],
            state=properties.get("State", "ENABLED"),
            start_date=properties.get("StartDate"),
            end_date=properties.get("EndDate"),
            kms_key_arn=properties.get("KmsKeyArn"),
            action_after_completion=None,
        )
        return cls(resource_name, schedule.arn)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> SchedulerSchedule:
        cls.delete_from_cloudformation_json(original_resource.name, cloudformation_json, account_id, region_name)
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        scheduler_backends[account_id][region_name].delete_schedule(
            cloudformation_json["Properties"].get("GroupName", "default"), resource_name
        )


class Secret(NamedResource, CloudFormationModel):  # type: ignore[misc]  # moto is untyped
    """``AWS::SecretsManager::Secret``; ``Ref`` is its ARN."""

    @property
    def physical_resource_id(self) -> str:
        return self.arn

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::SecretsManager::Secret"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> Secret:
        properties = cloudformation_json["Properties"]
        backend: SecretsManagerBackend = secretsmanager_backends[account_id][region_name]
        created = backend.create_secret(
            name=resource_name,
            secret_string=properties.get("SecretString"),
            secret_binary=None,
            description=properties.get("Description"),
            tags=properties.get("Tags"),
            kms_key_id=properties.get("KmsKeyId"),
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        return cls(resource_name, json.loads(created)["ARN"])

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> Any:
        # An update keeps the secret's current value, and nothing else of a secret can change here.
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        secretsmanager_backends[account_id][region_name].delete_secret(
            secret_id=resource_name, recovery_window_in_days=None, force_delete_without_recovery=True
        )


class _ResourcePolicy(NamedResource):
    """A resource policy. The embedded AWS does not enforce IAM, so it accepts the policy and ignores it."""

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> Any:
        return cls(resource_name, "")

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> Any:
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        return


class BucketPolicy(_ResourcePolicy, CloudFormationModel):  # type: ignore[misc]  # moto is untyped
    """``AWS::S3::BucketPolicy``."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::S3::BucketPolicy"


class QueuePolicy(_ResourcePolicy, CloudFormationModel):  # type: ignore[misc]  # moto is untyped
    """``AWS::SQS::QueuePolicy``."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::SQS::QueuePolicy"


def _api_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {_api_name(key): _api_names(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_api_names(part) for part in value]
    return value


def _api_name(key: str) -> str:
    # The API spells this key differently from the template.
    return {"BuildSpec": "buildspec"}.get(key, key[:1].lower() + key[1:])
