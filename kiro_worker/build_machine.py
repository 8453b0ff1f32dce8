"""The machine of a build: what the settings of the repository choose, and otherwise that of the CodeBuild project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.errors import ConfigurationInvalid, WorkItemInvalid
from kiro_worker.models import WorkBuild

if TYPE_CHECKING:
    from mypy_boto3_codebuild.type_defs import ProjectTypeDef

    from kiro_worker.config.settings import Settings

AWS_IMAGES: Final = "aws/codebuild/"
"""The prefix of the images that CodeBuild provides. None of them has the Kiro CLI."""
_KEYS: Final = ("image", "computeType", "timeoutMinutes")


def choose_machine(settings: Settings, project: ProjectTypeDef, longest_minutes: int) -> WorkBuild:
    """Return the machine of the build, with concrete values only. ``longest_minutes`` is the installation's limit.

    Raises :class:`WorkItemInvalid` if the repository's file chooses an impossible machine, and
    :class:`ConfigurationInvalid` if the parameter does.
    """
    own, chosen = project["environment"], settings.build
    build = WorkBuild(
        image=chosen.image or own["image"],
        compute_type=chosen.compute_type or own["computeType"],
        timeout_minutes=chosen.timeout_minutes or longest_minutes,
        by_repository=any(settings.origins.get(f"build.{key}") == REPOSITORY_FILE for key in _KEYS),
    )
    if build.timeout_minutes > longest_minutes:
        _refuse(
            settings,
            "build.timeoutMinutes",
            f"{build.timeout_minutes} is more than the {longest_minutes} minutes that this installation allows",
            "choose fewer, or make deploy ARGS='--context buildTimeoutMinutes=…'",
        )
    if chosen.image and (problem := _architecture_problem(build.image, own["type"])):
        _refuse(settings, "build.image", problem, "choose an image for the architecture of this installation")
    return build


def _architecture_problem(image: str, machine_type: str) -> str:
    """Return why CodeBuild's own ``image`` cannot run; empty if it can, and for an image of others."""
    if not image.startswith(AWS_IMAGES):
        return ""
    if "lambda" in image or "windows" in image:
        return f"{image} is not an image for Linux containers"
    # Only the names of arm64 images contain an architecture: `aws/codebuild/standard:7.0` is for x86_64.
    needed = "arm64" if machine_type == "ARM_CONTAINER" else "x86_64"
    given = "arm64" if "aarch64" in image else "x86_64"
    return "" if given == needed else f"{image} is for {given}, and builds of this installation run on {needed}"


def _refuse(settings: Settings, key: str, problem: str, remedy: str) -> None:
    origin = settings.origins.get(key, "")
    text = f'"{key}" of {origin or "the configuration"}: {problem}'
    if origin == REPOSITORY_FILE:
        raise WorkItemInvalid(text, f"{remedy}; then move the card back")
    raise ConfigurationInvalid(text, remedy)
