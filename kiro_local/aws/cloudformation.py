"""Resources that moto creates incompletely from a template: functions, layers, state machines and parameters with tags.
The types that moto lacks altogether are in :mod:`kiro_local.aws.cloudformation_types`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.awslambda.models import LambdaFunction, LayerVersion
from moto.ssm.models import Parameter
from moto.stepfunctions import models as stepfunctions_models
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiro_local.aws.replacements import Replacements


def install(replacements: Replacements) -> None:
    """Replaces ``create_from_cloudformation_json`` of

    - ``Parameter``: moto expects a parameter's tags as a list, where a template has a map,
    - ``StateMachine``, with its update: moto ignores ``DefinitionSubstitutions``, and writes to the backend that
      executes nothing, which is replaced too,
    - ``LambdaFunction``: moto ignores most properties of a function, among them its layers.

    Replaces ``LayerVersion.physical_resource_id``, because moto does not resolve ``Ref`` of a layer.
    """
    # The interpreter looks for a template's state machine in its own backend.
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
    ignored_by_moto = ("Layers", "Architectures", "LoggingConfig")
    function.update_configuration({name: properties[name] for name in ignored_by_moto if name in properties})
    return function


def _rewrite(replacements: Replacements, model: type, name: str, rewritten: Callable[[Any], Any]) -> None:
    """Make the class method ``name`` receive the resource's properties as ``rewritten`` returns them."""
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
