"""Checks the installation before a build is started, so that a missing part of it costs no build and no card.

Nothing is written, and no secret is read. The run that finds a part missing fails under that error's name.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kiro_worker.agent_pin import parse_pin
from kiro_worker.build_machine import AWS_IMAGES, choose_machine
from kiro_worker.config.secrets import require_agent_key, require_git_credentials, require_test_secret
from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.errors import AgentNotPinned, BuildProjectMissing, SecretError, WorkItemInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_codebuild.type_defs import ProjectTypeDef
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from kiro_worker.config.settings import Settings
    from kiro_worker.environment import ValidateWorkItemEnvironment
    from kiro_worker.models import WorkBuild


def require_installation(
    secrets: SecretsManagerClient,
    codebuild: CodeBuildClient,
    environment: ValidateWorkItemEnvironment,
    settings: Settings,
) -> ProjectTypeDef:
    """Return the build project. A build of it would find its secrets, its machine and its agent.

    Raises :class:`SecretMissing`, :class:`SecretPendingDeletion`, :class:`AwsAccessDenied` or
    :class:`BuildProjectMissing`, and what :func:`prepare_machine` raises.
    """
    require_git_credentials(secrets, environment.git_credentials_secret_name)
    project = _find_project(codebuild, environment.build_project_name)
    prepare_machine(secrets, environment, project, settings)
    return project


def prepare_machine(
    secrets: SecretsManagerClient,
    environment: ValidateWorkItemEnvironment,
    project: ProjectTypeDef,
    settings: Settings,
) -> WorkBuild:
    """Return the machine that ``settings`` choose. A build on it would find setup's secrets and its agent.

    Raises :class:`SecretMissing`, :class:`SecretPendingDeletion`, :class:`AwsAccessDenied` or :class:`AgentNotPinned`;
    and, for a machine that is not possible, :class:`WorkItemInvalid` or :class:`ConfigurationInvalid`.
    """
    with _choice_of_file(settings, "secrets"):
        for name in settings.secrets.values():
            require_test_secret(secrets, name)
    build = choose_machine(settings, project, environment.build_timeout_minutes)
    with _choice_of_file(settings, "agent.name"):
        if settings.agent.needs_key:
            require_agent_key(secrets, environment.kiro_api_key_secret_name)
        if settings.agent.name != "command":
            _require_pin(project, build.image, settings.agent.name)
    return build


@contextmanager
def _choice_of_file(settings: Settings, key: str) -> Iterator[None]:
    """Leave what is missing to the repository whose own file chose it with ``key``: others do not need it.

    Otherwise the file of one repository could stop the queue for all of them.
    """
    try:
        yield
    except (SecretError, AgentNotPinned) as error:
        if settings.origins.get(key) != REPOSITORY_FILE:
            raise
        raise WorkItemInvalid(
            f'"{key}" of {REPOSITORY_FILE}: {error.reason}',
            f"choose otherwise, or ask the operators of this installation to do this: {error.remedy}; then move the"
            " card back",
        ) from None


def _find_project(codebuild: CodeBuildClient, name: str) -> ProjectTypeDef:
    projects = codebuild.batch_get_projects(names=[name])["projects"]
    if not projects:
        raise BuildProjectMissing(
            f"the CodeBuild project {name} does not exist", "make deploy, then redrive the execution"
        )
    return projects[0]


def _require_pin(project: ProjectTypeDef, image: str, agent: str) -> None:
    # A custom image may have the agent. Only the build can find out.
    if not image.startswith(AWS_IMAGES):
        return
    variables = project["environment"].get("environmentVariables", [])
    try:
        parse_pin(agent, {variable["name"]: variable["value"] for variable in variables})
    except AgentNotPinned as error:
        raise AgentNotPinned(f"{project['name']}: {error.reason}", error.remedy) from None
