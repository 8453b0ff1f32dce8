"""The JSON Schemas of the configuration parameter and of the repository's file, for editors and validators.

They accept everything that :mod:`kiro_worker.config` accepts. Some rules exist only there, such as the form of a URL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.config.model import Configuration
from kiro_worker.config.repository_settings import (
    AgentConfiguration,
    BuildConfiguration,
    CheckConfiguration,
    CommitConfiguration,
    CoverageConfiguration,
    InstallationAgentConfiguration,
    Limits,
    RepositoryFile,
    RepositorySettings,
)
from tools.field_descriptions import described
from tools.generator import ROOT, GeneratedFile, command_line, write_or_check

if TYPE_CHECKING:
    from pydantic import BaseModel

PATH: Final = ROOT / "docs" / "reference" / "configuration.schema.json"
FILE_PATH: Final = ROOT / "docs" / "reference" / "repository-file.schema.json"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final = {"type": "string", "minLength": 1}
_ANY_TEXT: Final = {"type": "string"}
MODELS: Final[tuple[type[BaseModel], ...]] = (
    AgentConfiguration,
    BuildConfiguration,
    CheckConfiguration,
    CommitConfiguration,
    CoverageConfiguration,
    InstallationAgentConfiguration,
    Limits,
    RepositorySettings,
)
"""The models of nested objects."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = command_line(__doc__).parse_args(arguments)
    files = [GeneratedFile(PATH, _text(schema())), GeneratedFile(FILE_PATH, _text(file_schema()))]
    return write_or_check(files, check=options.check)


def schema() -> dict[str, Any]:
    """Return the schema of the configuration parameter."""
    return _schema(
        Configuration,
        PATH.name,
        "Configuration of the Kiro CodeBuild Worker",
        "The value of the SSM parameter /kiro-worker/<environment>/github-project-config",
    )


def file_schema() -> dict[str, Any]:
    """Return the schema of the repository's file."""
    return _schema(
        RepositoryFile,
        FILE_PATH.name,
        "Settings of a repository for the Kiro CodeBuild Worker",
        "The file .kiro-worker.yml at the root of the default branch",
    )


def _schema(model: type[BaseModel], name: str, title: str, description: str) -> dict[str, Any]:
    document = model.model_json_schema()
    _correct_arrays(document)
    shapes = document.get("$defs", {})
    nested = {one.__name__: one for one in MODELS if one.__name__ in shapes}
    definitions = {key: _object(shapes[key], nested[key]) for key in sorted(nested)}
    whole = _object(document, model)
    if RepositorySettings.__name__ in definitions:
        _accept_short_agent(definitions)
    return {"$schema": _DIALECT, "$id": name, "title": title, "description": description, **whole, "$defs": definitions}


def _object(shape: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of one object, with the descriptions of its fields and the short forms that they accept."""
    properties = _described(shape["properties"], model)
    # The models convert these short forms before they validate, so pydantic's schema does not know them.
    for key in ("setup", "test", "command", "arguments"):
        if key in properties:
            _accept_also(properties[key], _ANY_TEXT if key == "setup" else _TEXT)
    _rules(properties, model)
    required = {"required": shape["required"]} if "required" in shape else {}
    return {"type": "object", "properties": properties, **required, "additionalProperties": False, **_conditions(model)}


def _rules(properties: dict[str, Any], model: type[BaseModel]) -> None:
    if issubclass(model, RepositoryFile):
        # A number is text, too, because YAML reads the value of PORT: 8080 as one.
        variables = next(_alternatives(properties["environment"], "object"))
        variables["additionalProperties"] = {"type": ["string", "number"]}


def _conditions(model: type[BaseModel]) -> dict[str, Any]:
    """Return the rules between keys, as the models' own validators have them."""
    if model is InstallationAgentConfiguration:
        return {
            "if": {"required": ["name"], "properties": {"name": {"const": "command"}}},
            "then": {"required": ["command"], "properties": {"command": {"not": {"type": "null"}}}},
        }
    return {}


def _accept_short_agent(definitions: dict[str, Any]) -> None:
    """Accept an adapter's name as ``agent``. The agent ``command`` needs a further key, so its name is not enough."""
    name = next(_alternatives(definitions[InstallationAgentConfiguration.__name__]["properties"]["name"], "string"))
    names = {**_without_prose(name), "enum": [one for one in name["enum"] if one != "command"]}
    _accept_also(definitions[RepositorySettings.__name__]["properties"]["agent"], names)


def _alternatives(shape: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    yield from (one for one in (shape, *shape.get("anyOf", ())) if one.get("type") == kind)


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
    shape["anyOf"] = [*alternatives, *shape.get("anyOf", ())]


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
