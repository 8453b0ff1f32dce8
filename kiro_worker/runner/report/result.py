"""What the build leaves behind, for the state machine and for people.

``result.json``, schema version 2. Everything is there in every result; what is not known is ``null``, ``""`` or empty::

    {"schemaVersion": 2,
     "outcome": "Succeeded",            one of kiro_worker.models.Outcome
     "reason": "",                      why, one sentence; empty for Succeeded
     "remedy": "",                      what mends it
     "details": "",                     the last lines of the child that failed
     "job": {"repository", "branch", "commit", "specPath", "pullRequest", "workItemId", "owner"},   or null
     "build": {"id", "attempt"},
     "fence": 1790000000000,            of the lock under which this build ended; 0 before it was held
     "commit": "…40 hex…",              what was pushed; empty when nothing was
     "tasks": {"done": 3, "open": 0},
     "tests": {"command": ["python3", …], "summary": "Ran 7 tests in 0.002s"},
     "gate": {"command", "summary",     what the last gate measured, or null before one ran
              "junit": {"tests": 7, "failures": 0, "errors": 0, "skipped": 0, "failedNames": []},   or null
              "coverage": {"format": "lcov", "lines": {"covered": 9, "total": 10}, "branches": {…},
                           "changedLines": {…} or null, "line": "lines 90 % (9/10)"},               or null
              "changedByTests": ["conftest.py"]},
     "filesChanged": ["inventory/discounts.py"],
     "agent": {"credits": 0.4, "seconds": 61},
     "checkpoint": {"branch": "kiro-worker/checkpoint/feature/x", "commit": "…40 hex…"},   empty when there is none
     "steering": {"source": "s3://acme-steering/kiro", "version": "2026-11-24"},   empty when none is configured
     "seconds": 74.2, "phases": [{"name": "check out", "start": 0.3, "seconds": 1.2}, …],
     "artifacts": "s3://…/runs/<run>/<attempt>/"}

Version 2 has the phases as a list with their starts, and is the first with "gate" and "checkpoint".

``result.env`` holds the exported variables as ``export NAME='value'`` lines for a shell to source: each value one line
without control characters, and at most 500 characters; TAIL, the last lines that matter as a JSON text, and PHASES,
``name:seconds;…``, at most 1500.

Artifacts are ``result.json``, ``agent.log``, ``tests.log``, ``changes.patch``, and ``reports/`` with ``gate.json``,
``tests/*`` (JUnit) and ``coverage/*``; the reports are also put where CodeBuild's report groups read them. They lie
under ``runs/<run>/<attempt>/``. The run is the execution's name, or the build's own identifier when it
was started by hand. The attempt is the project's build number, which CodeBuild counts up, so that attempts sort and
none overwrites another; outside CodeBuild it is 1.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.gate import GATE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.request import BuildRequest

SCHEMA_VERSION: Final = 2
LONGEST_VALUE: Final = 500
LONGEST_LIST: Final = 1500
REPORTS: Final = "reports"
LARGEST_PATCH: Final = 5 * 1024 * 1024
_UPLOADS: Final = 8
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True)
class Place:
    """Where a build's artifacts go."""

    bucket: str
    run: str
    build_id: str
    attempt: str

    @classmethod
    def of(cls, environment: Mapping[str, str], request: BuildRequest | None) -> Place:
        build_id = environment.get("CODEBUILD_BUILD_ID", "")
        run = request.run_name if request else _file_name(build_id.rpartition(":")[2] or "run")
        attempt = environment.get("CODEBUILD_BUILD_NUMBER", "")
        return cls(environment.get("ARTIFACTS_BUCKET_NAME", ""), run, build_id, attempt if attempt.isdecimal() else "1")

    @property
    def prefix(self) -> str:
        return f"runs/{self.run}/{self.attempt}/"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}" if self.bucket else ""


def report(
    progress: BuildProgress,
    request: BuildRequest | None,
    place: Place,
    *,
    folder: Path,
    logs: Path,
    redact: Callable[[str], str],
    s3: Callable[[], S3Client],
) -> str:
    """Write ``result.json`` and ``result.env`` into ``folder``; put the result, the logs in ``logs`` and the patch into
    the bucket. Returns why they could not be kept there, empty when they were: a run that pushed has succeeded all the
    same.
    """
    progress.artifacts = place.url
    trouble = ""
    gate = gate_of(logs)
    document = redact(json.dumps(result(progress, request, place, gate), indent=2, ensure_ascii=False)) + "\n"
    try:
        if place.bucket:
            _upload(s3(), place, {"result.json": document.encode(), **_files(progress, logs)})
    except (BotoCoreError, ClientError, OSError) as error:
        trouble = f"the artifacts could not be kept in {place.url}: {error}"
        progress.artifacts = ""
        document = redact(json.dumps(result(progress, request, place, gate), indent=2, ensure_ascii=False)) + "\n"
    shutil.rmtree(folder / REPORTS, ignore_errors=True)
    if (logs / REPORTS).is_dir():
        shutil.copytree(logs / REPORTS, folder / REPORTS)
    (folder / "result.json").write_text(document, encoding="utf-8")
    (folder / "result.env").write_text(shell_exports(exported_variables(progress, redact, gate)), encoding="utf-8")
    return trouble


def gate_of(logs: Path) -> dict[str, Any] | None:
    """What the last gate measured, as it left it beside its reports."""
    try:
        document = json.loads((logs / REPORTS / GATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def result(
    progress: BuildProgress, request: BuildRequest | None, place: Place, gate: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The document of ``result.json``, before redaction."""
    return {
        "schemaVersion": SCHEMA_VERSION,
        "outcome": progress.outcome.value,
        "reason": progress.reason,
        "remedy": progress.remedy,
        "details": progress.details,
        "job": request
        and {
            "repository": request.repository,
            "branch": request.branch,
            "commit": request.commit,
            "specPath": request.spec_path,
            "pullRequest": request.pull_request,
            "workItemId": request.work_item_id,
            "owner": request.owner,
        },
        "build": {"id": place.build_id, "attempt": place.attempt},
        "fence": progress.fence,
        "commit": progress.commit,
        "tasks": {"done": progress.tasks_done, "open": progress.tasks_open},
        "tests": {"command": list(progress.test_command), "summary": progress.tests},
        "gate": gate,
        "filesChanged": list(progress.files_changed),
        "agent": {"credits": progress.agent_credits, "seconds": progress.agent_seconds},
        "checkpoint": {"branch": progress.checkpoint_branch, "commit": progress.checkpoint_commit},
        "steering": {"source": progress.steering_source, "version": progress.steering_version},
        "seconds": round(progress.seconds, 3),
        "phases": [phase._asdict() for phase in progress.phases],
        "artifacts": progress.artifacts,
    }


def exported_variables(
    progress: BuildProgress, redact: Callable[[str], str] = str, gate: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """What Step Functions sees of a build. Redacted before it is cut, or half a secret could stay."""
    measured = gate or {}
    coverage = progress.coverage_line or str((measured.get("coverage") or {}).get("line", ""))
    phases = ";".join(f"{_phase_name(phase.name)}:{phase.seconds:.1f}" for phase in progress.phases)
    values = {
        "OUTCOME": progress.outcome.value,
        "OUTCOME_REASON": _reason(progress, redact),
        "RESULT_COMMIT": progress.commit,
        "RESULT_FENCE": str(progress.fence or ""),
        "TASKS_DONE": "" if progress.tasks_done is None else str(progress.tasks_done),
        "TASKS_OPEN": "" if progress.tasks_open is None else str(progress.tasks_open),
        "TESTS_SUMMARY": redact(progress.tests or str(measured.get("summary", ""))),
        "COVERAGE": redact(coverage),
        "FILES_CHANGED": str(len(progress.files_changed)) if progress.files_changed else "",
        "CREDITS": "" if progress.agent_credits is None else f"{progress.agent_credits:g} {progress.agent_unit}",
        "MINUTES": f"{progress.seconds / 60:.1f}" if progress.seconds else "",
        "CHECKPOINT": progress.checkpoint_branch,
        "ARTIFACTS": progress.artifacts,
    }
    return {
        **{name: one_line(value)[:LONGEST_VALUE] for name, value in values.items()},
        "PHASES": phases[:LONGEST_LIST].rpartition(";")[0] if len(phases) > LONGEST_LIST else phases,
        "TAIL": _tail(redact(progress.details)),
    }


def shell_exports(values: Mapping[str, str]) -> str:
    """Lines for a POSIX shell to source; a value is data there, whatever it contains."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def one_line(text: str) -> str:
    """``text`` without line ends and other control characters."""
    return _CONTROLS.sub(" ", text).strip()


def _reason(progress: BuildProgress, redact: Callable[[str], str]) -> str:
    """Reason and remedy; where both do not fit, the reason gives way."""
    reason = one_line(redact(progress.reason))
    remedy = one_line(redact(progress.remedy))
    if progress.outcome is Outcome.SUCCEEDED or not remedy:
        return reason
    remedy = f". How to fix: {remedy[: LONGEST_VALUE // 2]}"
    return reason[: LONGEST_VALUE - len(remedy)] + remedy


def _tail(text: str) -> str:
    """The end of ``text``, whole lines where one fits, as a JSON text of at most ``LONGEST_LIST`` characters."""
    lines = [one_line(line) for line in text.splitlines() if line.strip()]
    kept: list[str] = []
    for line in reversed(lines):
        if len(json.dumps("\n".join([line, *kept]))) > LONGEST_LIST:
            break
        kept.insert(0, line)
    if lines and not kept:
        kept = [lines[-1][-(LONGEST_LIST // 12) + 2 :]]
    return json.dumps("\n".join(kept)) if kept else ""


def _phase_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9 ._-]", " ", name).strip()[:40] or "phase"


def _files(progress: BuildProgress, logs: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in sorted(logs.glob("*.log"))}
    for path in sorted((logs / REPORTS).rglob("*")):
        if path.is_file():
            files[str(path.relative_to(logs))] = path.read_bytes()
    if progress.patch and len(progress.patch) <= LARGEST_PATCH:
        files["changes.patch"] = progress.patch
    return files


def _upload(s3: S3Client, place: Place, files: Mapping[str, bytes]) -> None:
    def put(name: str) -> None:
        # Never a type that a browser would render: the reports are text of the repository's making.
        kind = "application/json" if name.endswith(".json") else "text/plain; charset=utf-8"
        s3.put_object(Bucket=place.bucket, Key=place.prefix + name, Body=files[name], ContentType=kind)

    # They wait for the network, not for us.
    with ThreadPoolExecutor(_UPLOADS) as pool:
        for _done in pool.map(put, files):
            pass


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)
