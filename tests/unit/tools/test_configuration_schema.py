from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kiro_worker.config.model import Configuration
from kiro_worker.config.parameter import parse_configuration
from kiro_worker.errors import ConfigurationInvalid
from tools.configuration_schema import MODELS, file_schema, schema

MINIMAL = {
    "organization": "acme",
    "repository": "shop",
    "projectNumber": 1,
    "targetStatusColumn": "For Implementation",
}


@cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def accepts(document: dict[str, Any]) -> bool:
    return bool(validator().is_valid(document))


def worker_accepts(document: dict[str, Any]) -> bool:
    try:
        parse_configuration(json.dumps(document), "/kiro-worker/test/github-project-config")
    except ConfigurationInvalid:
        return False
    return True


def test_schema_is_valid_draft_2020_12() -> None:
    Draft202012Validator.check_schema(schema())


def test_every_key_has_description() -> None:
    document = schema()
    assert document["properties"].keys() == {field.alias for field in Configuration.model_fields.values()}
    assert document["$defs"].keys() <= {model.__name__ for model in MODELS}
    shapes = [*document["properties"].values(), *file_schema()["properties"].values()]
    for model in MODELS:
        if model.__name__ in document["$defs"]:
            properties = document["$defs"][model.__name__]["properties"]
            assert properties.keys() == {field.alias for field in model.model_fields.values()}
            shapes += properties.values()
    assert all(shape["description"] for shape in shapes)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"repositoryDefaults": {"agent": "claude"}},
        {"repositoryDefaults": {"agent": {"command": "my-agent --headless"}}},
        {"repositoryDefaults": {"agent": {"command": ["my-agent"], "maxMinutes": 10}}},
        {"repositoryDefaults": {"agent": {"name": "command", "command": "my-agent"}}},
        {"repositoryDefaults": {"agent": {"name": "kiro", "command": None}}},
        {"repositoryDefaults": {"test": "make test"}},
        {"repositoryDefaults": {"test": ["make", "test"]}},
        {"repositoryDefaults": {"test": None, "coverage": {"threshold": None}}},
        {"repositories": ["acme/shop"], "lockScope": "branch", "maxConcurrentBuilds": 3},
        {"maxCreditsPerDay": 200, "repositoryDefaults": {"maxCreditsPerDay": 0.5}},
        {"maxCreditsPerDay": None, "repositorySettings": {"acme/shop": {"maxCreditsPerDay": None}}},
    ],
    ids=str,
)
def test_valid_configuration_is_accepted(more: dict[str, Any]) -> None:
    assert worker_accepts(MINIMAL | more)
    assert accepts(MINIMAL | more)


@pytest.mark.parametrize(
    "more",
    [
        {"unknownKey": 1},
        {"projectNumber": "1"},
        {"lockScope": "planet"},
        {"repositoryDefaults": {"coverage": {"threshold": 101}}},
        {"repositoryDefaults": {"agent": "nobody"}},
        {"repositoryDefaults": {"agent": "command"}},
        {"repositoryDefaults": {"agent": {"name": "command"}}},
        {"repositoryDefaults": {"agent": {"name": "command", "command": None}}},
        {"repositoryDefaults": {"agent": {"unknownKey": 1}}},
        {"repositoryDefaults": {"test": ""}},
        {"repositoryDefaults": {"test": []}},
        {"specRoot": "/specs"},
        {"maxCreditsPerDay": 0},
        {"maxCreditsPerDay": "200"},
        {"maxCreditsPerDay": True},
        {"limits": {"maxCreditsPerDay": 200}},
        {"repositoryDefaults": {"maxCreditsPerDay": -1}},
        {"repositoryDefaults": {"agent": {"maxCreditsPerDay": 10}}},
        {"repositorySettings": {"acme/shop": {"maxCreditsPerDay": 0}}},
    ],
    ids=str,
)
def test_invalid_configuration_is_rejected(more: dict[str, Any]) -> None:
    assert not worker_accepts(MINIMAL | more)
    assert not accepts(MINIMAL | more)


@pytest.mark.parametrize("key", MINIMAL)
def test_required_key_is_required(key: str) -> None:
    assert not accepts({name: value for name, value in MINIMAL.items() if name != key})


def test_repository_file_has_no_budget() -> None:
    assert not Draft202012Validator(file_schema()).is_valid({"maxCreditsPerDay": 5})


def test_every_default_is_accepted() -> None:
    defaults = {key: shape["default"] for key, shape in schema()["properties"].items() if "default" in shape}
    assert accepts(MINIMAL | defaults)
