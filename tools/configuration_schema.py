"""docs/reference/configuration.schema.json: the JSON Schema of the configuration parameter, for editors and validators.

It accepts everything that :mod:`kiro_worker.config` accepts. Some rules exist only there, such as the form of a URL.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.config.model import AgentConfiguration, Configuration
from tools.field_descriptions import described
from tools.generator import ROOT, GeneratedFile, command_line, write_or_check

if TYPE_CHECKING:
    from pydantic import BaseModel

PATH: Final = ROOT / "docs" / "reference" / "configuration.schema.json"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final = {"type": "string", "minLength": 1}


def main(arguments: Sequence[str] | None = None) -> int:
    options = command_line(__doc__).parse_args(arguments)
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    return write_or_check([GeneratedFile(PATH, text)], check=options.check)


def schema() -> dict[str, Any]:
    """Return the schema of the models, with the descriptions of their fields and the short forms that they accept."""
    document = Configuration.model_json_schema()
    _correct_arrays(document)
    agent = document["$defs"][AgentConfiguration.__name__]
    properties = _described(document["properties"], Configuration)
    agent["properties"] = _described(agent["properties"], AgentConfiguration)
    # The models convert these short forms before they validate, so pydantic's schema does not know them.
    _accept_also(properties["agent"], {"$ref": properties["agent"].pop("$ref")}, _without_command(agent["properties"]))
    _accept_also(properties["setup"], _TEXT)
    _accept_also(properties["testCommand"], _TEXT)
    _accept_also(agent["properties"]["command"], _TEXT)
    _require_command(agent)
    return {
        "$schema": _DIALECT,
        "$id": PATH.name,
        "title": "Configuration of the Kiro CodeBuild Worker",
        "description": "The value of the SSM parameter /kiro-worker/<environment>/github-project-config",
        "type": "object",
        "properties": properties,
        "required": document["required"],
        "additionalProperties": document["additionalProperties"],
        "$defs": {AgentConfiguration.__name__: _without_prose(agent)},
    }


def _without_command(properties: dict[str, Any]) -> dict[str, Any]:
    """The adapters that need no further key, so that their name is enough."""
    name = properties["name"]
    return {**name, "enum": [one for one in name["enum"] if one != "command"]}


def _require_command(agent: dict[str, Any]) -> None:
    """Require ``command`` of the agent with that name, as the model's own validator does."""
    agent["if"] = {"required": ["name"], "properties": {"name": {"const": "command"}}}
    agent["then"] = {"required": ["command"], "properties": {"command": {"not": {"type": "null"}}}}


def _described(properties: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    texts = described(model)
    return {
        field.alias or name: {"description": texts[name], **_without_prose(properties[field.alias or name])}
        for name, field in model.model_fields.items()
    }


def _without_prose(shape: dict[str, Any]) -> dict[str, Any]:
    """Drop the titles that pydantic makes of field names, and the docstrings of the models."""
    return {key: value for key, value in shape.items() if key not in ("title", "description")}


def _correct_arrays(shape: Any) -> None:
    """Rename the limits of arrays. Behind a ``BeforeValidator`` pydantic gives them the names of a string's limits."""
    if isinstance(shape, dict):
        if shape.get("type") == "array" and "minLength" in shape:
            shape["minItems"] = shape.pop("minLength")
        for part in shape.values():
            _correct_arrays(part)
    elif isinstance(shape, list):
        for part in shape:
            _correct_arrays(part)


def _accept_also(shape: dict[str, Any], *alternatives: dict[str, Any]) -> None:
    plain = (
        {key: value for key, value in one.items() if key not in ("default", "description")} for one in alternatives
    )
    shape["anyOf"] = [*plain, *shape.get("anyOf", ())]


if __name__ == "__main__":
    raise SystemExit(main())
