"""The overrides of StartBuild: what CodeBuild rejects, and the environment of a build that results from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from moto.codebuild.exceptions import InvalidInputException

MINUTES: Final = range(5, 2161)
_AWS_IMAGES: Final = "aws/codebuild/"
_SIZES: Final = tuple(f"BUILD_GENERAL1_{size}" for size in ("SMALL", "MEDIUM", "LARGE", "XLARGE", "2XLARGE"))
"""The compute types of on-demand Linux containers: AWS CodeBuild User Guide, "About on-demand environment types"."""
_CREDENTIALS: Final = ("CODEBUILD", "SERVICE_ROLE")
_ENVIRONMENT: Final = {
    "imageOverride": "image",
    "computeTypeOverride": "computeType",
    "imagePullCredentialsTypeOverride": "imagePullCredentialsType",
    "privilegedModeOverride": "privilegedMode",
    "environmentTypeOverride": "type",
}


def check_overrides(project: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """Raise CodeBuild's InvalidInputException if no build can have these overrides."""
    environment = effective_environment(project, request)
    if "imageOverride" in request and not str(request["imageOverride"]).strip():
        raise InvalidInputException("Invalid image provided: an image must not be empty")
    size = request.get("computeTypeOverride")
    if size is not None and size not in _SIZES:
        raise InvalidInputException(f"Invalid compute type provided: {size}")
    minutes = request.get("timeoutInMinutesOverride")
    if minutes is not None and (type(minutes) is not int or minutes not in MINUTES):
        raise InvalidInputException(
            f"Invalid timeout provided: {minutes}. It must be between {MINUTES[0]} and {MINUTES[-1]} minutes"
        )
    credentials = request.get("imagePullCredentialsTypeOverride")
    if credentials is not None and credentials not in _CREDENTIALS:
        raise InvalidInputException(f"Invalid image pull credentials type provided: {credentials}")
    # CodeBuild API reference, "ProjectEnvironment": the opposite, an image of others with CODEBUILD, is allowed.
    curated = str(environment.get("image", "")).startswith(_AWS_IMAGES)
    if curated and environment.get("imagePullCredentialsType") == "SERVICE_ROLE":
        raise InvalidInputException("An image that CodeBuild provides must be pulled with CODEBUILD credentials")


def effective_environment(project: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The environment of a build, as BatchGetBuilds describes it: the project's, with what the request overrides."""
    overridden = {name: request[key] for key, name in _ENVIRONMENT.items() if key in request}
    variables = request.get("environmentVariablesOverride", ())
    replaced = {variable["name"] for variable in variables}
    environment = {**project.get("environment", {}), **overridden}
    environment["environmentVariables"] = [
        *(v for v in environment.get("environmentVariables", ()) if v["name"] not in replaced),
        *variables,
    ]
    return environment
