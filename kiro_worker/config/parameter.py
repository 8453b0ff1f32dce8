"""The SSM parameter ``/kiro-worker/<env>/github-project-config``: read, parsed and validated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError
from pydantic import ValidationError
from pydantic_core import from_json

from kiro_worker.config.model import Configuration
from kiro_worker.config.problems import describe_problem, first_problems
from kiro_worker.config.resolve import resolve
from kiro_worker.errors import ConfigurationInvalid, ConfigurationMissing

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_ssm import SSMClient

_PLACEHOLDER_ORGANIZATION: Final = "your-org"
"""The organization in the parameter as deployed; operators replace it before the first run."""
_EXAMPLE: Final = (
    '{"organization":"your-org","repository":"your-repo","projectNumber":1,"targetStatusColumn":"For Implementation"}'
)
_JSON_TYPES: Final[dict[type, str]] = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
}


def load_configuration(ssm: SSMClient, parameter_name: str) -> Configuration:
    """The validated configuration in the SSM parameter.

    Raises :class:`ConfigurationMissing` or :class:`ConfigurationInvalid`.
    """
    try:
        text = ssm.get_parameter(Name=parameter_name)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        raise ConfigurationMissing(
            f"the parameter {parameter_name} does not exist", _put_parameter(parameter_name)
        ) from None
    return parse_configuration(text, parameter_name)


def parse_configuration(text: str, parameter_name: str) -> Configuration:
    """The validated configuration in ``text``, which error messages refer to as ``parameter_name``.

    Raises :class:`ConfigurationMissing` or :class:`ConfigurationInvalid`.
    """
    return _parse(text, parameter_name, _put_parameter(parameter_name))


def parse_configuration_file(text: str, file: Path) -> Configuration:
    """The validated configuration in ``text``, the content of ``file``, which error messages name.

    Raises :class:`ConfigurationMissing` or :class:`ConfigurationInvalid`.
    """
    return _parse(text, str(file), f"edit {file}, which must have at least {_EXAMPLE}")


def _parse(text: str, source: str, remedy: str) -> Configuration:
    try:
        # Unlike the standard library's parser, this one has an error for deep nesting and for numbers of any length.
        document = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise ConfigurationInvalid(f"{source} is not JSON: {error}", remedy) from None
    if not isinstance(document, dict):
        found = _JSON_TYPES.get(type(document), "null")
        raise ConfigurationInvalid(f"{source} must be a JSON object, but it is {found}", remedy)
    if document.get("organization") == _PLACEHOLDER_ORGANIZATION:
        raise ConfigurationMissing(f'{source} still holds the placeholder "{_PLACEHOLDER_ORGANIZATION}"', remedy)
    try:
        configuration = Configuration.model_validate(document)
        for repository in ("", *configuration.repository_settings):
            resolve(configuration, repository)
    except ValidationError as error:
        details, more = first_problems(error.errors(include_url=False))
        problems = "; ".join([*(describe_problem(detail, Configuration) for detail in details), *more])
        raise ConfigurationInvalid(f"{source} is not valid: {problems}", remedy) from None
    except ConfigurationInvalid as error:
        raise ConfigurationInvalid(f"{source} is not valid: {error.reason}", remedy) from None
    return configuration


def _put_parameter(name: str) -> str:
    return f"aws ssm put-parameter --name {name} --type String --overwrite --value '{_EXAMPLE}'"
