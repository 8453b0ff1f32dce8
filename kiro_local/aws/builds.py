"""CodeBuild with real builds: StartBuild runs the project's buildspec as local processes, and the API tells
what became of them.
"""

from __future__ import annotations

import io
import json
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
from moto.codebuild.responses import CodeBuildResponse
from moto.core.responses import ActionResult

from kiro_local.aws.build_environment import BuildEnvironment, BuildFacts
from kiro_local.aws.build_run import BuildEnding, BuildPlan, BuildRun, SourceMissing
from kiro_local.aws.build_source import BuildSources
from kiro_local.aws.logs import LogStream
from kiro_local.aws.replacements import Replacements
from kiro_local.aws.session import ACCOUNT, REGION, Clients

TOKEN_SECONDS = 300.0
_BUILDSPEC = "buildspec.yml"
_DEFAULT_TIMEOUT_MINUTES = 60
_DEFAULT_QUEUED_MINUTES = 480
_STOPPING_SECONDS = 15.0


@dataclass
class Build:
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
        surroundings: Mapping[str, str],
        on_line: Callable[[str, str], None] | None = None,
        minute_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``minute_seconds``: how long the minutes of timeouts are, for tests."""
        self._workspace, self._clients, self._on_line = workspace, clients, on_line
        self._sources = BuildSources(workspace / "sources")
        self._environment = BuildEnvironment(clients, surroundings)
        self._minute, self._clock = minute_seconds, clock
        self._lock = threading.Lock()
        self._builds: dict[str, Build] = {}
        self._tokens: dict[str, _Token] = {}
        self._next_ending: BuildEnding | None = None

    def start(self, request: Mapping[str, Any]) -> Build:
        """Raises the service's errors. The same token within 5 minutes gives the same build, or is refused
        for another request.
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
            build = self._create(project, request)
            self._builds[build.facts.build_id] = build
            if token:
                self._tokens[token] = _Token(request, build.facts.build_id, self._clock())
        build.run.start()
        return build

    def end_next_as(self, ending: BuildEnding | None) -> None:
        """The next build that is started runs nothing and ends like that."""
        self._next_ending = ending

    def get(self, build_id: str) -> Build | None:
        """By id or ARN."""
        if ":" not in build_id:
            raise InvalidInputException("Invalid build ID provided")
        return self._builds.get(build_id.rsplit("build/", 1)[-1])

    def stop(self, build_id: str) -> Build:
        build = self.get(build_id)
        if build is None:
            raise ResourceNotFoundException(f"Build {build_id} does not exist")
        build.run.stop()
        build.run.finished.wait(_STOPPING_SECONDS)
        return build

    def of_project(self, name: str) -> list[Build]:
        return [build for build in self._builds.values() if build.facts.project_name == name]

    def close(self) -> None:
        for build in list(self._builds.values()):
            build.run.stop()
        for build in list(self._builds.values()):
            build.run.finished.wait(_STOPPING_SECONDS)

    def _project(self, name: str) -> Mapping[str, Any]:
        projects: dict[str, CodeBuild] = _backend().codebuild_projects
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
        facts = BuildFacts(build_id, name, len(self.of_project(name)) + 1, str(project["source"].get("location", "")))
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
            lay_out_source=lambda target: self._sources.lay_out(self._fetch(project["source"]), target),
            buildspec_name=_BUILDSPEC if _is_inline(project["source"]) else _buildspec_name(project, request),
            environment=lambda spec, source: self._environment.of(facts, spec, variables, source, folder),
            seconds=(minutes or _DEFAULT_TIMEOUT_MINUTES) * self._minute,
            on_line=logs.write,
            ending=self._next_ending,
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

    def _fetch(self, source: Mapping[str, Any]) -> bytes:
        if _is_inline(source):
            return _zipped(_BUILDSPEC, str(source["buildspec"]))
        if source.get("type") != "S3":
            raise SourceMissing(f"only sources in S3, or none, can be built here, not {source.get('type')}")
        bucket, _, key = str(source["location"]).removeprefix("arn:aws:s3:::").partition("/")
        try:
            content: bytes = self._clients.get("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as problem:
            raise SourceMissing(f"s3://{bucket}/{key}: {problem.response['Error']['Code']}") from problem
        return content


def _is_inline(source: Mapping[str, Any]) -> bool:
    """Without a source the project carries the buildspec's text."""
    return source.get("type") == "NO_SOURCE"


def _buildspec_name(project: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    return str(request.get("buildspecOverride") or project["source"].get("buildspec") or _BUILDSPEC)


def _zipped(name: str, text: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(name, text)
    return archive.getvalue()


def install(replacements: Replacements, builds: Builds) -> None:
    """Replaces ``start_build``, ``batch_get_builds``, ``stop_build``, ``list_builds`` and
    ``list_builds_for_project`` of ``CodeBuildResponse``: moto's builds succeed at once and run nothing.
    """

    def start_build(self: CodeBuildResponse) -> ActionResult:
        return ActionResult({"build": describe(builds.start(json.loads(self.body)))})

    def batch_get_builds(self: CodeBuildResponse) -> ActionResult:
        ids = json.loads(self.body)["ids"]
        found = [(build_id, builds.get(build_id)) for build_id in ids]
        return ActionResult(
            {
                "builds": [describe(build) for _, build in found if build],
                "buildsNotFound": [build_id for build_id, build in found if not build],
            }
        )

    def stop_build(self: CodeBuildResponse) -> ActionResult:
        return ActionResult({"build": describe(builds.stop(json.loads(self.body)["id"]))})

    def list_builds_for_project(self: CodeBuildResponse) -> ActionResult:
        request = json.loads(self.body)
        name = request["projectName"]
        if name not in _backend().codebuild_projects:
            raise ResourceNotFoundException(
                f"The provided project arn:aws:codebuild:{REGION}:{ACCOUNT}:project/{name} does not exist"
            )
        return ActionResult({"ids": _ids(builds.of_project(name), request)})

    def list_builds(self: CodeBuildResponse) -> ActionResult:
        return ActionResult({"ids": _ids(list(builds._builds.values()), json.loads(self.body or "{}"))})

    for action in (start_build, batch_get_builds, stop_build, list_builds_for_project, list_builds):
        replacements.set(CodeBuildResponse, action.__name__, action)


def _ids(found: list[Build], request: Mapping[str, Any]) -> list[str]:
    ids = [build.facts.build_id for build in found]
    return ids if request.get("sortOrder") == "ASCENDING" else ids[::-1]


def describe(build: Build) -> dict[str, Any]:
    """As BatchGetBuilds gives it."""
    facts, run, project = build.facts, build.run, build.project
    with run.lock:
        phases = [
            {
                "phaseType": phase.name,
                "startTime": phase.started,
                **(
                    {
                        "phaseStatus": phase.status,
                        "endTime": phase.ended,
                        "durationInSeconds": int((phase.ended - phase.started).total_seconds()),
                    }
                    if phase.ended
                    else {}
                ),
                **({"contexts": [phase.context]} if phase.context else {}),
            }
            for phase in run.phases
        ]
        described: dict[str, Any] = {
            "id": facts.build_id,
            "arn": facts.arn,
            "buildNumber": facts.number,
            "projectName": facts.project_name,
            "startTime": run.started,
            "currentPhase": run.phases[-1].name if run.phases else "SUBMITTED",
            "buildStatus": run.status,
            "buildComplete": run.finished.is_set(),
            "phases": phases,
            "exportedEnvironmentVariables": [{"name": n, "value": v} for n, v in run.exported.items()],
            **({"endTime": run.ended} if run.ended else {}),
        }
    return {**described, **_settings(build, project)}


def _settings(build: Build, project: Mapping[str, Any]) -> dict[str, Any]:
    environment = dict(project.get("environment", {}))
    overrides = {variable["name"] for variable in build.request.get("environmentVariablesOverride", ())}
    environment["environmentVariables"] = [
        *(v for v in environment.get("environmentVariables", ()) if v["name"] not in overrides),
        *build.request.get("environmentVariablesOverride", ()),
    ]
    group, stream = build.logs.group, build.logs.stream
    return {
        "source": project["source"],
        "artifacts": {"location": ""},
        "cache": {"type": "NO_CACHE"},
        "environment": environment,
        "serviceRole": project.get("serviceRole"),
        "logs": {
            "groupName": group,
            "streamName": stream,
            "deepLink": build.log_file.as_uri(),
            "cloudWatchLogsArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:{stream}",
            "cloudWatchLogs": {"status": "ENABLED", "groupName": group},
        },
        "timeoutInMinutes": build.request.get("timeoutInMinutesOverride")
        or project.get("timeoutInMinutes")
        or _DEFAULT_TIMEOUT_MINUTES,
        "queuedTimeoutInMinutes": project.get("queuedTimeoutInMinutes") or _DEFAULT_QUEUED_MINUTES,
        "initiator": "embedded",
        "encryptionKey": project.get("encryptionKey"),
    }


def _backend() -> CodeBuildBackend:
    return codebuild_backends[ACCOUNT][REGION]
