"""CloudFormation for what moto cannot create from a template: CodeBuild projects, schedules, secrets, and
parameters with tags.

moto finds resource types by asking for the subclasses of ``CloudFormationModel``: defining the classes here
is what registers them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.awslambda.models import LambdaFunction, LayerVersion
from moto.codebuild.models import CodeBuildBackend, codebuild_backends
from moto.core.common_models import CloudFormationModel
from moto.scheduler.models import EventBridgeSchedulerBackend, scheduler_backends
from moto.secretsmanager.models import SecretsManagerBackend, secretsmanager_backends
from moto.ssm.models import Parameter
from moto.stepfunctions import models as stepfunctions_models
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiro_local.aws.replacements import Replacements


def install(replacements: Replacements) -> None:
    """Replaces ``create_from_cloudformation_json`` of ``Parameter`` (moto expects a parameter's tags as a
    list, a template has a map) and of ``StateMachine`` together with its update (moto leaves
    ``DefinitionSubstitutions`` out), and the backend that the latter two write to (moto takes the one that
    executes nothing). Replaces it of ``LambdaFunction``, too: moto leaves out all but a few of a
    function's properties, its layers among them, and does not know what ``Ref`` of a layer is.
    """
    # A template's state machine must be where the interpreter looks for it.
    replacements.set(stepfunctions_models, "stepfunctions_backends", stepfunctions_parser_backends)
    _rewrite(replacements, Parameter, "create_from_cloudformation_json", _listed_tags)
    _rewrite(replacements, StateMachine, "create_from_cloudformation_json", _substituted)
    _rewrite(replacements, StateMachine, "update_from_cloudformation_json", _substituted)
    replacements.set(LayerVersion, "physical_resource_id", property(lambda layer: layer.arn))
    replacements.set(LambdaFunction, "create_from_cloudformation_json", classmethod(_create_function))


_create_function_without_layers = vars(LambdaFunction)["create_from_cloudformation_json"].__func__


def _create_function(cls: type, resource_name: str, cloudformation_json: Any, *args: Any, **kwargs: Any) -> Any:
    function = _create_function_without_layers(cls, resource_name, cloudformation_json, *args, **kwargs)
    properties = cloudformation_json["Properties"]
    left_out = ("Layers", "Architectures", "LoggingConfig")
    function.update_configuration({name: properties[name] for name in left_out if name in properties})
    return function


def _rewrite(replacements: Replacements, model: type, name: str, rewritten: Callable[[Any], Any]) -> None:
    """Let a class method see the resource's properties as ``rewritten`` gives them."""
    original = vars(model)[name].__func__

    def replacement(cls: type, *args: Any, **kwargs: Any) -> Any:
        if "cloudformation_json" in kwargs:
            kwargs["cloudformation_json"] = _with_properties(kwargs["cloudformation_json"], rewritten)
        else:
            args = (args[0], _with_properties(args[1], rewritten), *args[2:])
        return original(cls, *args, **kwargs)

    replacements.set(model, name, classmethod(replacement))


def _with_properties(resource: Any, rewritten: Callable[[Any], Any]) -> Any:
    return {**resource, "Properties": rewritten(dict(resource["Properties"]))}


def _listed_tags(properties: dict[str, Any]) -> dict[str, Any]:
    if isinstance(tags := properties.get("Tags"), dict):
        properties["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return properties


def _substituted(properties: dict[str, Any]) -> dict[str, Any]:
    definition = properties["DefinitionString"]
    for name, value in properties.pop("DefinitionSubstitutions", {}).items():
        definition = definition.replace(f"${{{name}}}", str(value))
    return properties | {"DefinitionString": definition}


class NamedResource:
    """A resource with a name that the template gives; ``Ref`` is that name unless the type says otherwise."""

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
        assert attribute_name == "Arn"  # noqa: S101  # has_cfn_attr was asked before
        return self.arn

    def is_created(self) -> bool:
        return True


class CodeBuildProject(NamedResource, CloudFormationModel):  # type: ignore[misc]  # moto is untyped
    """``AWS::CodeBuild::Project``. The API's names are the template's with a small first letter."""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CodeBuild::Project"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> CodeBuildProject:
        properties = _with_small_first_letters(cloudformation_json["Properties"])
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
        # The history belongs to the name, and moto empties it with every create.
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
        # An unchanged template leaves the value that was put there since; nothing else of a secret can change here.
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        secretsmanager_backends[account_id][region_name].delete_secret(
            secret_id=resource_name, recovery_window_in_days=None, force_delete_without_recovery=True
        )


class _ResourcePolicy(NamedResource):
    """A resource policy. Nothing enforces IAM here, so it is accepted and otherwise left out."""

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


def _with_small_first_letters(value: Any) -> Any:
    if isinstance(value, dict):
        return {_api_name(key): _with_small_first_letters(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_small_first_letters(part) for part in value]
    return value


def _api_name(key: str) -> str:
    # The two abbreviations that the API writes otherwise than the template.
    return {"BuildSpec": "buildspec"}.get(key, key[:1].lower() + key[1:])
