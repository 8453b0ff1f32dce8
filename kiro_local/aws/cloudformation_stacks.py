"""Reports which resource of a stack failed and why, and updates the dependents of a replaced resource."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.awslambda.models import LayerVersion
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import Stack
from moto.core.exceptions import ServiceException, _RESTError
from moto.dynamodb.models.table import Table

from kiro_local.aws.replacements import Replacements
from kiro_local.aws.session import Clients

_ORIGINAL_CREATE = parsing.parse_and_create_resource
_ORIGINAL_UPDATE = parsing.parse_and_update_resource
_ORIGINAL_DIFF = parsing.ResourceMap.build_resource_diff
_ORIGINAL_PARSE = Stack.parse_template
_ORIGINAL_CREATE_TABLE = Table.create_from_cloudformation_json
#: A change of one of these types changes its physical id, so the resources that refer to it must be updated too.
_REPLACED_ON_CHANGE = ("AWS::Lambda::LayerVersion",)
_FAILURES = (BotoCoreError, ClientError, ServiceException, _RESTError, KeyError, TypeError, ValueError, AttributeError)


def install(replacements: Replacements, clients: Clients) -> None:
    """Replaces in ``moto.cloudformation``

    - ``parse_and_create_resource`` and ``parse_and_update_resource``: moto does not name the resource that failed, only
      warns about an unknown type, and loses a resource whose type it cannot update,
    - ``ResourceMap.build_resource_diff``, which misses the dependents of a replaced resource,
    - ``Stack.parse_template``, which reads JSON as YAML, slowly.

    Replaces ``Table.create_from_cloudformation_json``, which ignores time to live and point-in-time recovery, and adds
    ``LayerVersion.update_from_cloudformation_json``, because a changed layer is a new version.
    """
    replacements.set(parsing, "parse_and_create_resource", _create)
    replacements.set(parsing, "parse_and_update_resource", _update)
    replacements.set(parsing.ResourceMap, "build_resource_diff", _diff)
    replacements.set(Stack, "parse_template", staticmethod(_parse))

    replacements.set(LayerVersion, "update_from_cloudformation_json", classmethod(_new_layer_version))

    def create_table(cls: type[Table], name: str, document: Any, *args: Any, **kwargs: Any) -> Table:
        table = _ORIGINAL_CREATE_TABLE.__func__(cls, name, document, *args, **kwargs)
        _finish_table(clients.get("dynamodb"), table.name, document["Properties"])
        return table

    replacements.set(Table, "create_from_cloudformation_json", classmethod(create_table))


def _new_layer_version(
    cls: type[LayerVersion],
    original_resource: LayerVersion,
    new_resource_name: str,
    cloudformation_json: Any,
    account_id: str,
    region_name: str,
) -> LayerVersion:
    return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)


def _parse(template: str) -> Any:
    try:
        return json.loads(template)
    except ValueError:
        return _ORIGINAL_PARSE(template)


def _create(logical_id: str, resource_json: Any, resources_map: Any, account_id: str, region_name: str) -> Any:
    kind = resource_json["Type"]
    if kind not in parsing.get_model_map() and kind not in parsing.NULL_MODELS and not kind.startswith("Custom::"):
        raise ValidationError(message=f"Resource {logical_id} ({kind}): the embedded AWS has no such resource type")
    try:
        return _ORIGINAL_CREATE(logical_id, resource_json, resources_map, account_id, region_name)
    except _FAILURES as failure:
        raise _named(logical_id, kind, failure) from failure


def _update(logical_id: str, resource_json: Any, resources_map: Any, account_id: str, region_name: str) -> Any:
    try:
        updated = _ORIGINAL_UPDATE(logical_id, resource_json, resources_map, account_id, region_name)
    except _FAILURES as failure:
        raise _named(logical_id, resource_json["Type"], failure) from failure
    return updated if updated is not None else resources_map[logical_id]


def _named(logical_id: str, kind: str, failure: Exception) -> Exception:
    text = str(getattr(failure, "message", "")) or str(failure) or type(failure).__name__
    if text.startswith("Resource "):  # the error names a dependency that failed first
        return failure
    named: Exception = ValidationError(message=f"Resource {logical_id} ({kind}): {text}")
    return named


def _diff(self: Any, other_template: dict[str, Any], parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    found: dict[str, list[str]] = _ORIGINAL_DIFF(self, other_template, parameters)
    resources = other_template["Resources"]
    for replaced in [name for name in found["Modify"] if resources[name]["Type"] in _REPLACED_ON_CHANGE]:
        reference = json.dumps({"Ref": replaced})
        found["Modify"] += [
            name
            for name, resource in resources.items()
            if reference in json.dumps(resource) and name not in found["Modify"] + found["Add"]
        ]
    # Replaced resources come first, so that their dependents refer to the new ones.
    found["Modify"].sort(key=lambda name: resources[name]["Type"] not in _REPLACED_ON_CHANGE)
    return found


def _finish_table(client: Any, name: str, properties: dict[str, Any]) -> None:
    if "TimeToLiveSpecification" in properties:
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])
    recovery = properties.get("PointInTimeRecoverySpecification")
    if recovery:
        client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
