"""Finds the build of a run in CodeBuild, and stops it if it still runs."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.availability import unavailable
from kiro_worker.builds.description import BuildDescription

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_codebuild import CodeBuildClient

# The Cause of a build that Step Functions cut off is not JSON, but it begins with the build's ID.
_BUILD_ID: Final = re.compile(
    r'"(?:Id|Arn)"\s*:\s*"(?:arn:[\w-]+:codebuild:[\w-]*:\d*:build/)?([\w-]{2,255}:[\w-]{1,64})"'
)
UNANSWERED: Final = frozenset({"States.Timeout", "CodeBuild.SdkClientException", "CodeBuild.AWSCodeBuildException"})
"""The errors of RunBuild after which a build may have started."""
# CodeBuild answered, and started nothing: an earlier attempt's build must not be taken for this one's.
_REFUSED: Final = re.compile(r"CodeBuild\.\w+Exception|States\.(?!TaskFailed$)\w+")
_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 1.0
_SEARCHED_BUILDS: Final = 25


@dataclass(frozen=True)
class RunBuildFailure:
    """The failure of the state RunBuild, and what identifies the build of this attempt.

    ``known_build`` is the build that the lock names; empty if none had reached it. ``repeated_build`` is the build that
    this attempt repeats, which has the same execution and fence; empty for a first attempt.
    """

    error: str
    cause: str
    execution: str
    fence: int
    known_build: str = ""
    repeated_build: str = ""

    @property
    def gave_up(self) -> bool:
        """Whether RunBuild does not know what became of a build: it timed out, or the answer to its start was lost."""
        return self.error in UNANSWERED


@dataclass(frozen=True)
class BuildReader:
    """Reads builds of the project ``project``. ``sleep`` waits for a number of seconds, ``clock`` counts them.

    The methods raise botocore's errors.
    """

    codebuild: CodeBuildClient
    project: str
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def ended_build(self, failure: RunBuildFailure) -> BuildDescription | None:
        """The build that RunBuild waited for, after its end; ``None`` if CodeBuild knows none.

        A build that still runs is stopped. If it does not end within half a minute, it is returned as it is.
        """
        described = BuildDescription.from_cause(failure.cause)
        if described is not None:
            return described if described.variables else self._completed(described)
        build = self._find(failure)
        return self._stopped(build) if build is not None and build.is_running else build

    def _stopped(self, build: BuildDescription) -> BuildDescription:
        self.codebuild.stop_build(id=build.id)
        deadline = self.clock() + _STOP_SECONDS
        while self.clock() < deadline:
            build = self._read(build.id) or build
            if not build.is_running:
                break
            self.sleep(_POLL_SECONDS)
        return build

    def _completed(self, described: BuildDescription) -> BuildDescription:
        """The same build with what the Cause lacks; AWS does not document that it holds the exported variables.

        The Cause is enough if CodeBuild refuses to describe the build, but not if it may do so later.
        """
        try:
            return self._read(described.id) or described
        except (BotoCoreError, ClientError) as error:
            if unavailable(error):
                raise
            return described

    def _find(self, failure: RunBuildFailure) -> BuildDescription | None:
        if found := _BUILD_ID.search(failure.cause):
            return self._read(found[1])
        if not failure.gave_up and _REFUSED.fullmatch(failure.error):
            return None
        # The lock names the repeated build until the repetition reaches it.
        known = failure.known_build if failure.known_build != failure.repeated_build else ""
        if known and (build := self._read(known)):
            return build
        return self._search(failure)

    def _search(self, failure: RunBuildFailure) -> BuildDescription | None:
        """The newest build that this attempt of the run started: the answer to its start was lost."""
        listed = self.codebuild.list_builds_for_project(projectName=self.project, sortOrder="DESCENDING")
        ids = list(takewhile(lambda build_id: build_id != failure.repeated_build, listed["ids"][:_SEARCHED_BUILDS]))
        if not ids:
            return None
        found = {
            build.id: build
            for build in map(BuildDescription.from_api, self.codebuild.batch_get_builds(ids=ids)["builds"])
            if build.started_with(EXECUTION_ARN=failure.execution, LOCK_FENCE=str(failure.fence))
        }
        return next((found[build_id] for build_id in ids if build_id in found), None)

    def _read(self, build_id: str) -> BuildDescription | None:
        builds = self.codebuild.batch_get_builds(ids=[build_id])["builds"]
        return BuildDescription.from_api(builds[0]) if builds else None
