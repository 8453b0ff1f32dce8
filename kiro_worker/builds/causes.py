"""Why a build failed that reported no outcome: one table of what CodeBuild reports, each row with its fix and owner.

AWS documents no closed list of CodeBuild's texts, so each row looks for a few words, and the last rows quote a text
that no other row knows: AWS CodeBuild User Guide, "Troubleshooting CodeBuild" and "Build phase transitions".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.builds.failure import BuildFailure, Explanation
from kiro_worker.outcomes import FaultOwner
from kiro_worker.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.builds.description import BuildDescription

LONGEST_QUOTE: Final = 600
_REDRIVE: Final = "redrive the execution"
_DEPLOY: Final = f"make deploy, then {_REDRIVE}"
_READ_LOG: Final = f"aws logs tail /aws/codebuild/{{project}} --since 1d, then {_REDRIVE}"


@dataclass(frozen=True)
class _Known:
    """A row of the table. A build matches if it failed in one of ``phases`` (empty: in any), its status or its phase's
    is one of ``statuses`` (empty: any), and ``pattern`` occurs in the phase's message.

    ``reason`` and ``remedy`` are templates for the keys of :func:`_facts`.
    """

    reason: str
    remedy: str
    owner: FaultOwner
    phases: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    pattern: str = ""
    name: BuildFailure = BuildFailure.FAILED
    keeps_work: bool = False
    of_machine: bool = False


_BEFORE_COMMANDS: Final = frozenset({"SUBMITTED", "QUEUED", "PROVISIONING"})
_BEFORE_WORKER: Final = _BEFORE_COMMANDS | {"DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD"}
"""The phases before the worker runs. Later, or in an unknown phase, setup, the agent or the tests may have used up the
machine. Its size and its time are chosen per repository, so such a build must not stop the board."""
_DISK_FULL: Final = r"No space left on device|disk quota exceeded"
_OUT_OF_MEMORY: Final = r"signal: ?killed|\bkilled\b|exit status 137\b|out of memory|OutOfMemory|cannot allocate memory"

_TABLE: Final = (
    _Known(
        "CodeBuild failed (build status FAULT) in {phase}{quote}",
        _REDRIVE,
        FaultOwner.SERVICE,
        statuses=frozenset({"FAULT"}),
        name=BuildFailure.FAULTED,
        keeps_work=True,
    ),
    _Known(
        "a person or a program stopped the build in {phase}",
        f"{_REDRIVE}, which continues with the open tasks",
        FaultOwner.SERVICE,
        statuses=frozenset({"STOPPED"}),
        keeps_work=True,
    ),
    _Known(
        "the build waited {queue_minutes} minutes in CodeBuild's queue and never started",
        f"{_REDRIVE}. If this happens often, request a higher quota of concurrently running builds in Service Quotas",
        FaultOwner.SERVICE,
        phases=frozenset({"QUEUED"}),
        statuses=frozenset({"TIMED_OUT"}),
        name=BuildFailure.TIMED_OUT,
    ),
    _Known(
        "the build exceeded its timeout of {minutes} minutes in {phase}",
        f"{_REDRIVE}. If this happens often, raise the timeout of the build project {{project}}",
        FaultOwner.INSTALLATION,
        phases=_BEFORE_WORKER,
        statuses=frozenset({"TIMED_OUT"}),
        name=BuildFailure.TIMED_OUT,
        of_machine=True,
    ),
    _Known(
        "the build exceeded its timeout of {minutes} minutes in {phase}",
        f"{_REDRIVE}, which continues with the open tasks. If the work needs longer, split the tasks, make setup and"
        " tests faster, raise build.timeoutMinutes in .kiro-worker.yml, or ask the operators of this installation to"
        " raise the timeout of the build project {project}",
        FaultOwner.REPOSITORY,
        statuses=frozenset({"TIMED_OUT"}),
        name=BuildFailure.TIMED_OUT,
        keeps_work=True,
    ),
    _Known(
        "CodeBuild cannot pull the build image {image}{quote}",
        "check that the image exists for the architecture of the build project {project}, and that the project's role"
        f" may pull it, then {_REDRIVE}",
        FaultOwner.INSTALLATION,
        phases=_BEFORE_WORKER,
        pattern=r"UNABLE_TO_PULL_IMAGE|CannotPullContainer|pull.{0,40}image|manifest.{0,20}(?:unknown|not found)",
        of_machine=True,
    ),
    _Known(
        "CodeBuild cannot read the worker's own source {source}{quote}",
        f"give the role of the build project {{project}} s3:GetObject on it, which the CDK app does: {_DEPLOY}",
        FaultOwner.INSTALLATION,
        phases=frozenset({"DOWNLOAD_SOURCE"}),
        pattern=r"Access ?_?Denied|Forbidden|\b403\b|not authorized",
    ),
    _Known(
        "CodeBuild cannot use the worker's own source {source}{quote}",
        f"upload it again: {_DEPLOY}",
        FaultOwner.INSTALLATION,
        phases=frozenset({"DOWNLOAD_SOURCE"}),
    ),
    _Known(
        "the disk of the build is full in {phase} (compute type {compute_type}){quote}",
        f"choose a larger compute type for the build project {{project}}, then {_REDRIVE}",
        FaultOwner.INSTALLATION,
        phases=_BEFORE_WORKER,
        pattern=_DISK_FULL,
        of_machine=True,
    ),
    _Known(
        "the disk of the build is full in {phase} (compute type {compute_type}){quote}",
        "have setup, tests and the agent's work write less, choose a larger build.computeType in .kiro-worker.yml, or"
        " ask the operators of this installation to choose a larger compute type for the build project {project}, then"
        f" {_REDRIVE}",
        FaultOwner.REPOSITORY,
        pattern=_DISK_FULL,
        keeps_work=True,
    ),
    _Known(
        "the build ran out of memory, or its process was killed, in {phase} (compute type {compute_type}){quote}",
        f"choose a compute type with more memory for the build project {{project}}, then {_REDRIVE}",
        FaultOwner.INSTALLATION,
        phases=_BEFORE_WORKER,
        pattern=_OUT_OF_MEMORY,
        of_machine=True,
    ),
    _Known(
        "the build ran out of memory, or its process was killed, in {phase} (compute type {compute_type}){quote}",
        "have setup, tests and the agent's work use less memory, choose a larger build.computeType in .kiro-worker.yml,"
        " or ask the operators of this installation to choose a compute type with more memory for the build project"
        f" {{project}}, then {_REDRIVE}",
        FaultOwner.REPOSITORY,
        pattern=_OUT_OF_MEMORY,
        keeps_work=True,
    ),
    _Known(
        "the role of the build project {project} lacks a permission that CodeBuild needs in {phase}{quote}",
        _DEPLOY,
        FaultOwner.INSTALLATION,
        phases=_BEFORE_COMMANDS,
        pattern=r"Access ?_?Denied|not authorized|does not allow|assume",
    ),
    _Known(
        "CodeBuild failed in {phase}{quote}",
        _REDRIVE,
        FaultOwner.SERVICE,
        pattern=r"INTERNAL_(?:SERVICE_)?ERROR|internal (?:service |server )?error|service unavailable",
    ),
    _Known(
        "CodeBuild could not start the build in {phase}{quote}",
        f"fix what the message names in the build project {{project}}, then {_REDRIVE}",
        FaultOwner.INSTALLATION,
        phases=_BEFORE_COMMANDS,
        of_machine=True,
    ),
    _Known(
        "the commands that prepare the build failed in {phase}{quote}",
        _READ_LOG,
        FaultOwner.INSTALLATION,
        phases=frozenset({"INSTALL", "PRE_BUILD"}),
    ),
    _Known(
        "the worker ended without an outcome in {phase}{quote}",
        _READ_LOG,
        FaultOwner.SERVICE,
        phases=frozenset({"BUILD", "POST_BUILD"}),
        keeps_work=True,
    ),
    _Known("the build ended as {status} in {phase}{quote}", _READ_LOG, FaultOwner.SERVICE),
)


def explain(build: BuildDescription) -> Explanation:
    """Why ``build``, which reported no outcome, failed."""
    phase = build.failed_phase
    message = phase.message if phase else ""
    for known in _TABLE:
        if (
            (not known.phases or (phase is not None and phase.name in known.phases))
            and (not known.statuses or known.statuses & {build.status, phase.status if phase else ""})
            and re.search(known.pattern, message, re.IGNORECASE)
        ):
            facts = _facts(build)
            reason, remedy = known.reason.format_map(facts), known.remedy.format_map(facts)
            return Explanation(known.name, reason, remedy, known.owner, known.keeps_work, known.of_machine)
    raise AssertionError("the last row matches every build")


def _facts(build: BuildDescription) -> Mapping[str, str]:
    """What the table's templates can name. Everything is redacted, because a message may quote a command."""
    phase = build.failed_phase
    waited = phase.seconds // 60 if phase and phase.seconds >= 60 else build.queue_timeout_minutes
    facts = {
        "phase": f"the phase {phase.name}" if phase else "an unknown phase",
        "status": build.status or "an unknown status",
        "image": build.image or "of an unknown name",
        "compute_type": build.compute_type or "unknown",
        "project": build.project or build.id.partition(":")[0],
        "source": build.source or "in S3",
        "minutes": str(build.timeout_minutes or "an unknown number of"),
        "queue_minutes": str(waited or "an unknown number of"),
    }
    return {
        **{name: redact(value)[:LONGEST_QUOTE] for name, value in facts.items()},
        "quote": _quote(phase.message if phase else ""),
    }


def _quote(message: str) -> str:
    text = redact(" ".join(message.split()))
    return f": {text[:LONGEST_QUOTE]}" if text else ""


# --------------------------------------------------------------------------------- a build that never existed
_START: Final[tuple[tuple[str, str, str, FaultOwner], ...]] = (
    (
        r"AccountLimitExceeded.*more than 0 builds",
        "CodeBuild starts no build in this account, whose quota of concurrent builds is 0, as in new accounts",
        f"request a quota of running builds of at least 1 in Service Quotas (AWS CodeBuild), then {_REDRIVE}",
        FaultOwner.INSTALLATION,
    ),
    (
        r"AccountLimitExceeded",
        "too many builds run or wait in this account already",
        f"{_REDRIVE} once others have ended, or request a higher quota in Service Quotas (AWS CodeBuild)",
        FaultOwner.INSTALLATION,
    ),
    (
        r"AccessDenied|not authorized|States\.Permissions",
        "the state machine may not start the build",
        _DEPLOY,
        FaultOwner.INSTALLATION,
    ),
    (r"ResourceNotFound", "the build project does not exist", _DEPLOY, FaultOwner.INSTALLATION),
    (
        r"SdkClientException|AWSCodeBuildException",
        "CodeBuild did not answer when the build was started, so any build that started after all was stopped",
        _REDRIVE,
        FaultOwner.SERVICE,
    ),
    (r"", "CodeBuild did not start a build", _REDRIVE, FaultOwner.SERVICE),
)


def explain_without_build(error: str, cause: str) -> Explanation:
    """Why RunBuild failed with ``error`` and ``cause``, if no build is known."""
    if error == "States.Timeout":
        return Explanation(
            BuildFailure.TIMED_OUT,
            "the build did not end before the timeout of the state RunBuild, and was stopped",
            f"{_REDRIVE}, which continues with the open tasks",
            FaultOwner.SERVICE,
            keeps_work=True,
        )
    quoted = f"{error} {cause}".removeprefix("States.TaskFailed").strip()
    for pattern, reason, remedy, owner in _START:
        if re.search(pattern, quoted, re.IGNORECASE | re.DOTALL):
            return Explanation(BuildFailure.NOT_STARTED, reason + _quote(cause), remedy, owner)
    raise AssertionError("the last pattern matches every error")


def explain_truncated(cause: str) -> Explanation:
    """Why a build failed of which only the beginning of its description is known."""
    return Explanation(
        BuildFailure.FAILED,
        f"the build failed, and what CodeBuild says about it is cut off{_quote(cause)}",
        f"read the build log, then {_REDRIVE}",
        FaultOwner.SERVICE,
        keeps_work=True,
    )
