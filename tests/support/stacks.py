"""The synthesized templates, in a form that tests can read."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Template = dict[str, Any]
Resource = dict[str, Any]
Synthesize = Callable[..., "subprocess.CompletedProcess[str]"]

_NAME_PROPERTIES = ("FunctionName", "StateMachineName", "TableName", "BucketName", "LogGroupName", "QueueName", "Name")


@dataclass(frozen=True)
class Stacks:
    """Both templates as one. References resolve to `<type> <name>`, so that tests are readable."""

    core: Template
    workflow: Template

    @cached_property
    def resources(self) -> dict[str, Resource]:
        return {**self.core["Resources"], **self.workflow["Resources"]}

    @cached_property
    def _exports(self) -> dict[str, Any]:
        outputs = self.core["Outputs"].values()
        return {output["Export"]["Name"]: output["Value"] for output in outputs if "Export" in output}

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of every resource of a type, by their names on AWS."""
        return {
            self.name(logical_id): resource.get("Properties", {})
            for logical_id, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def one(self, kind: str) -> dict[str, Any]:
        (properties,) = self.of(kind).values()
        return properties

    def name(self, logical_id: str) -> str:
        properties = self.resources[logical_id].get("Properties", {})
        name = next((properties[key] for key in _NAME_PROPERTIES if key in properties), logical_id)
        return self.resolve(name)

    def resolve(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        ((function, argument),) = value.items()
        if function == "Ref" and argument.startswith("AWS::"):
            return f"<{argument.removeprefix('AWS::')}>"
        if function == "Ref":
            return f"{self.resources[argument]['Type']} {self.name(argument)}"
        if function == "Fn::GetAtt" and argument[1] == "Arn":
            return f"{self.resources[argument[0]]['Type']} {self.name(argument[0])}"
        if function == "Fn::ImportValue":
            return self.resolve(self._exports[argument])
        if function == "Fn::Join":
            return str(argument[0]).join(self.resolve(part) for part in argument[1])
        if function == "Fn::Sub":
            return str(argument)
        raise AssertionError(f"cannot resolve {value}")

    def grants(self, role: Any) -> set[tuple[str, str]]:
        """(action, resource) for every permission of the role in a `Role` or `RoleArn` property."""
        role_id = role["Fn::GetAtt"][0]
        assert "ManagedPolicyArns" not in self.resources[role_id]["Properties"]
        assert "Policies" not in self.resources[role_id]["Properties"]
        granted = set()
        for policy in self.of("AWS::IAM::Policy").values():
            if {"Ref": role_id} in policy["Roles"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    assert statement["Effect"] == "Allow"
                    for action in _list(statement["Action"]):
                        for resource in _list(statement["Resource"]):
                            granted.add((action, self.resolve(resource)))
        return granted

    def record_keys(self, role: Any) -> dict[str, set[str]]:
        """The patterns of the keys of all records that the role may use, with the names of the actions."""
        role_id = role["Fn::GetAtt"][0]
        keys: dict[str, set[str]] = {}
        for policy in self.of("AWS::IAM::Policy").values():
            if {"Ref": role_id} in policy["Roles"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    resources = [self.resolve(resource) for resource in _list(statement["Resource"])]
                    if any(resource.endswith("-records") for resource in resources):
                        # A request without a key matches every ForAllValues condition.
                        assert statement["Condition"]["Null"] == {"dynamodb:LeadingKeys": "false"}
                        actions = {action.removeprefix("dynamodb:") for action in _list(statement["Action"])}
                        for key in statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]:
                            keys[key] = keys.get(key, set()) | actions
        return keys


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
