"""The CodeBuild actions on builds, backed by builds that really run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.codebuild.exceptions import ResourceNotFoundException
from moto.codebuild.responses import CodeBuildResponse
from moto.core.responses import ActionResult

from kiro_local.aws.build_overrides import effective_environment
from kiro_local.aws.builds import DEFAULT_TIMEOUT_MINUTES, Build, Builds, codebuild_backend
from kiro_local.aws.replacements import Replacements
from kiro_local.aws.session import ACCOUNT, REGION

_DEFAULT_QUEUED_MINUTES = 480


def install(replacements: Replacements, builds: Builds) -> None:
    """Replaces ``start_build``, ``batch_get_builds``, ``stop_build``, ``list_builds`` and
    ``list_builds_for_project`` of ``CodeBuildResponse``: moto's builds succeed at once and run nothing. Adds
    ``update_project``, which moto lacks.
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
        if name not in codebuild_backend().codebuild_projects:
            raise ResourceNotFoundException(
                f"The provided project arn:aws:codebuild:{REGION}:{ACCOUNT}:project/{name} does not exist"
            )
        return ActionResult({"ids": _ids(builds.of_project(name), request)})

    def list_builds(self: CodeBuildResponse) -> ActionResult:
        return ActionResult({"ids": _ids(builds.all(), json.loads(self.body or "{}"))})

    def update_project(self: CodeBuildResponse) -> ActionResult:
        return ActionResult({"project": builds.update_project(json.loads(self.body))})

    for action in (start_build, update_project, batch_get_builds, stop_build, list_builds_for_project, list_builds):
        replacements.set(CodeBuildResponse, action.__name__, action)


def _ids(found: list[Build], request: Mapping[str, Any]) -> list[str]:
    ids = [build.facts.build_id for build in found]
    return ids if request.get("sortOrder") == "ASCENDING" else ids[::-1]


def describe(build: Build) -> dict[str, Any]:
    """The build as BatchGetBuilds returns it."""
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
                        "durationInSeconds": phase.duration,
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
    group, stream = build.logs.group, build.logs.stream
    return {
        "source": project["source"],
        "artifacts": {"location": ""},
        "cache": {"type": "NO_CACHE"},
        "environment": effective_environment(project, build.request),
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
        or DEFAULT_TIMEOUT_MINUTES,
        "queuedTimeoutInMinutes": project.get("queuedTimeoutInMinutes") or _DEFAULT_QUEUED_MINUTES,
        "initiator": "embedded",
        "encryptionKey": project.get("encryptionKey"),
    }
