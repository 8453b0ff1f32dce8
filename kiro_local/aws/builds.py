"""Builds that really run: the project's buildspec as local processes."""

from __future__ import annotations

import io
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from moto.codebuild.exceptions import InvalidInputException, ResourceNotFoundException
from moto.codebuild.models import CodeBuild, CodeBuildBackend, codebuild_backends

from kiro_local.aws.build_environment import BuildEnvironment, BuildFacts
from kiro_local.aws.build_overrides import check_overrides, effective_environment
from kiro_local.aws.build_run import BuildEnding, BuildPlan, BuildRun, SourceMissing
from kiro_local.aws.build_source import BuildSources
from kiro_local.aws.logs import LogStream
from kiro_local.aws.session import ACCOUNT, REGION, Clients
from kiro_local.aws.undocumented import ASSUMED, Undocumented

TOKEN_SECONDS = 300.0
_BUILDSPEC = "buildspec.yml"
DEFAULT_TIMEOUT_MINUTES = 60
_STOPPING_SECONDS = 15.0


@dataclass
class Build:
    """One build, with the project and the request as they were when it started."""

    facts: BuildFacts
    project: Mapping[str, Any]
    request: Mapping[str, Any]
    run: BuildRun
    logs: LogStream
    log_file: Path


@dataclass(frozen=True)
class _Token:
    request: Mapping[str, Any]
    build_id: str
    used: float


class Builds:
    """All builds of one embedded AWS."""

    def __init__(
        self,
        workspace: Path,
        clients: Clients,
        aws_variables: Mapping[str, str],
        on_line: Callable[[str, str], None] | None = None,
        minute_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        undocumented: Callable[[], Undocumented] = lambda: ASSUMED,
    ) -> None:
        """``aws_variables`` are the credentials, region and endpoint that AWS sets in every build. ``minute_seconds``
        is the length of a minute in timeouts, which tests shorten.
        """
        self._workspace, self._clients, self._on_line = workspace, clients, on_line
        self._sources = BuildSources(workspace / "sources")
        self._environment = BuildEnvironment(clients, aws_variables)
        self._minute, self._clock = minute_seconds, clock
        self._undocumented = undocumented
        self._lock = threading.Lock()
        self._builds: dict[str, Build] = {}
        self._tokens: dict[str, _Token] = {}
        self._next_ending: BuildEnding | None = None

    def start(self, request: Mapping[str, Any]) -> Build:
        """Start a build, or raise one of the service's errors. Repeating a token within 5 minutes returns the same
        build; with a different request it is rejected.
        """
        with self._lock:
            project = self._project(str(request.get("projectName") or ""))
            token = request.get("idempotencyToken")
            earlier = self._tokens.get(token) if token else None
            if earlier and self._clock() - earlier.used < TOKEN_SECONDS:
                if earlier.request != request:
                    raise InvalidInputException(
                        "The idempotency token was used with other parameters in the last 5 minutes"
                    )
                return self._builds[earlier.build_id]
            check_overrides(project, request)
            build = self._create(project, request)
            self._builds[build.facts.build_id] = build
            if token:
                self._tokens[token] = _Token(request, build.facts.build_id, self._clock())
        build.run.start()
        return build

    def update_project(self, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change the project's settings that ``changes`` has, and return the project. Running builds keep the old."""
        with self._lock:
            project = self._project(str(changes.get("name") or ""))
            changed = {**project, **changes}
            codebuild_backend().codebuild_projects[str(project["name"])].project_metadata = changed
            return changed

    def end_next_as(self, ending: BuildEnding | None) -> None:
        """Make the next build end this way."""
        self._next_ending = ending

    def get(self, build_id: str) -> Build | None:
        """The build with this id or ARN."""
        if ":" not in build_id:
            raise InvalidInputException("Invalid build ID provided")
        return self._builds.get(build_id.rsplit("build/", 1)[-1])

    def stop(self, build_id: str) -> Build:
        """Stop the build and wait for its end."""
        build = self.get(build_id)
        if build is None:
            raise ResourceNotFoundException(f"Build {build_id} does not exist")
        build.run.stop()
        build.run.finished.wait(_STOPPING_SECONDS)
        return build

    def all(self) -> list[Build]:
        """Every build, the oldest first."""
        return list(self._builds.values())

    def of_project(self, name: str) -> list[Build]:
        """The builds of one project, the oldest first."""
        return [build for build in self.all() if build.facts.project_name == name]

    def close(self) -> None:
        """Stop every build and wait for its end."""
        for build in self.all():
            build.run.stop()
        for build in self.all():
            build.run.finished.wait(_STOPPING_SECONDS)

    def _project(self, name: str) -> Mapping[str, Any]:
        projects: dict[str, CodeBuild] = codebuild_backend().codebuild_projects
        project = projects.get(name.rsplit("project/", 1)[-1])
        if project is None:
            raise ResourceNotFoundException(
                f"Project cannot be found: arn:aws:codebuild:{REGION}:{ACCOUNT}:project/{name}"
            )
        metadata: Mapping[str, Any] = project.project_metadata
        return metadata

    def _create(self, project: Mapping[str, Any], request: Mapping[str, Any]) -> Build:
        name, unique = str(project["name"]), str(uuid.uuid4())
        build_id = f"{name}:{unique}"
        facts = BuildFacts(
            build_id,
            name,
            len(self.of_project(name)) + 1,
            str(project["source"].get("location", "")),
            str(effective_environment(project, request).get("image", "")),
        )
        folder = self._workspace / unique
        folder.mkdir(parents=True)
        log_file = folder / "build.log"
        group = project.get("logsConfig", {}).get("cloudWatchLogs", {}).get("groupName")
        logs = LogStream(group or f"/aws/codebuild/{name}", unique, self._listener(build_id, log_file))
        variables = [
            *project.get("environment", {}).get("environmentVariables", ()),
            *request.get("environmentVariablesOverride", ()),
        ]
        minutes = request.get("timeoutInMinutesOverride") or project.get("timeoutInMinutes")
        plan = BuildPlan(
            build_id=build_id,
            workspace=folder,
            lay_out_source=lambda target: self._sources.lay_out(self._fetch(project["source"], request), target),
            buildspec_name=_BUILDSPEC if _is_inline(project["source"]) else _buildspec_name(project, request),
            environment=lambda spec, source: self._environment.of(facts, spec, variables, source, folder),
            seconds=(minutes or DEFAULT_TIMEOUT_MINUTES) * self._minute,
            on_line=logs.write,
            ending=self._next_ending,
            missing_report_fails=self._undocumented().missing_report_fails_build,
        )
        self._next_ending = None
        return Build(facts, project, request, BuildRun(plan), logs, log_file)

    def _listener(self, build_id: str, log_file: Path) -> Callable[[str], None]:
        def write(line: str) -> None:
            with log_file.open("a") as file:
                file.write(line + "\n")
            if self._on_line:
                self._on_line(build_id, line)

        return write

    def _fetch(self, source: Mapping[str, Any], request: Mapping[str, Any]) -> bytes:
        if _is_inline(source):
            return _zipped(_BUILDSPEC, str(request.get("buildspecOverride") or source["buildspec"]))
        if source.get("type") != "S3":
            raise SourceMissing(f"the embedded AWS builds sources of type S3 and NO_SOURCE, not {source.get('type')}")
        bucket, _, key = str(source["location"]).removeprefix("arn:aws:s3:::").partition("/")
        try:
            content: bytes = self._clients.get("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as problem:
            raise SourceMissing(f"s3://{bucket}/{key} cannot be read: {problem.response['Error']['Code']}") from problem
        return content


def _is_inline(source: Mapping[str, Any]) -> bool:
    """Whether the project has no source and holds the text of the buildspec instead."""
    return source.get("type") == "NO_SOURCE"


def _buildspec_name(project: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    return str(request.get("buildspecOverride") or project["source"].get("buildspec") or _BUILDSPEC)


def _zipped(name: str, text: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(name, text)
    return archive.getvalue()


def codebuild_backend() -> CodeBuildBackend:
    """moto's own CodeBuild, which holds the projects."""
    return codebuild_backends[ACCOUNT][REGION]
