"""What the build leaves behind, for the state machine and for people.

``result.json``, schema version 1. Everything is there in every result; what is not known is ``null``, ``""`` or empty::

    {"schemaVersion": 1,
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
     "filesChanged": ["inventory/discounts.py"],
     "agent": {"credits": 0.4, "seconds": 61},
     "seconds": 74.2, "phases": {"check out": 1.2, …},
     "artifacts": "s3://…/runs/<run>/<attempt>/"}

``result.env`` holds the exported variables as ``export NAME='value'`` lines for a shell to source: each value one line
without control characters, and at most 500 characters.

Artifacts lie under ``runs/<run>/<attempt>/``. The run is the execution's name, or the build's own identifier when it
was started by hand. The attempt is the project's build number, which CodeBuild counts up, so that attempts sort and
none overwrites another; outside CodeBuild it is 1.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.models import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from kiro_worker.build.job import BuildJob
    from kiro_worker.build.outcome import Record

SCHEMA_VERSION: Final = 1
LONGEST_VALUE: Final = 500
LARGEST_PATCH: Final = 5 * 1024 * 1024
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True)
class Place:
    """Where a build's artifacts go."""

    bucket: str
    run: str
    build_id: str
    attempt: str

    @classmethod
    def of(cls, environment: Mapping[str, str], job: BuildJob | None) -> Place:
        build_id = environment.get("CODEBUILD_BUILD_ID", "")
        run = job.run_name if job else _file_name(build_id.rpartition(":")[2] or "run")
        attempt = environment.get("CODEBUILD_BUILD_NUMBER", "")
        return cls(environment.get("ARTIFACTS_BUCKET_NAME", ""), run, build_id, attempt if attempt.isdecimal() else "1")

    @property
    def prefix(self) -> str:
        return f"runs/{self.run}/{self.attempt}/"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}" if self.bucket else ""


def report(
    record: Record,
    job: BuildJob | None,
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
    record.artifacts = place.url
    trouble = ""
    document = redact(json.dumps(result(record, job, place), indent=2, ensure_ascii=False)) + "\n"
    try:
        if place.bucket:
            _upload(s3(), place, {"result.json": document.encode(), **_files(record, logs)})
    except (BotoCoreError, ClientError, OSError) as error:
        trouble = f"the artifacts could not be kept in {place.url}: {error}"
        record.artifacts = ""
        document = redact(json.dumps(result(record, job, place), indent=2, ensure_ascii=False)) + "\n"
    (folder / "result.json").write_text(document, encoding="utf-8")
    (folder / "result.env").write_text(shell_exports(exported_variables(record, redact)), encoding="utf-8")
    return trouble


def result(record: Record, job: BuildJob | None, place: Place) -> dict[str, Any]:
    """The document of ``result.json``, before redaction."""
    return {
        "schemaVersion": SCHEMA_VERSION,
        "outcome": record.outcome.value,
        "reason": record.reason,
        "remedy": record.remedy,
        "details": record.details,
        "job": job
        and {
            "repository": job.repository,
            "branch": job.branch,
            "commit": job.commit,
            "specPath": job.spec_path,
            "pullRequest": job.pull_request,
            "workItemId": job.work_item_id,
            "owner": job.owner,
        },
        "build": {"id": place.build_id, "attempt": place.attempt},
        "fence": record.fence,
        "commit": record.commit,
        "tasks": {"done": record.tasks_done, "open": record.tasks_open},
        "tests": {"command": list(record.test_command), "summary": record.tests},
        "filesChanged": list(record.files_changed),
        "agent": {"credits": record.agent_credits, "seconds": record.agent_seconds},
        "seconds": round(record.seconds, 3),
        "phases": record.phases,
        "artifacts": record.artifacts,
    }


def exported_variables(record: Record, redact: Callable[[str], str] = str) -> dict[str, str]:
    """What Step Functions sees of a build. Redacted before it is cut, or half a secret could stay."""
    values = {
        "OUTCOME": record.outcome.value,
        "OUTCOME_REASON": _reason(record, redact),
        "RESULT_COMMIT": record.commit,
        "RESULT_FENCE": str(record.fence or ""),
        "TASKS_DONE": "" if record.tasks_done is None else str(record.tasks_done),
        "TASKS_OPEN": "" if record.tasks_open is None else str(record.tasks_open),
        "TESTS_SUMMARY": redact(record.tests),
        "FILES_CHANGED": str(len(record.files_changed)) if record.files_changed else "",
        "ARTIFACTS": record.artifacts,
    }
    return {name: one_line(value)[:LONGEST_VALUE] for name, value in values.items()}


def shell_exports(values: Mapping[str, str]) -> str:
    """Lines for a POSIX shell to source; a value is data there, whatever it contains."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def one_line(text: str) -> str:
    """``text`` without line ends and other control characters."""
    return _CONTROLS.sub(" ", text).strip()


def _reason(record: Record, redact: Callable[[str], str]) -> str:
    """Reason and remedy whole as far as possible, and as much of the details' end as then fits."""
    if record.outcome is Outcome.SUCCEEDED:
        return one_line(redact(record.reason))
    reason = one_line(redact(record.reason))
    remedy = one_line(redact(f" To mend it: {record.remedy}")) if record.remedy else ""
    room = LONGEST_VALUE - len(reason) - len(remedy) - 8
    details = one_line(redact(record.details))
    shown = f" Last said: {details[-(room - 8) :]}" if details and room > 40 else ""
    return f"{reason}{'.' if remedy or shown else ''}{shown}{' ' if remedy else ''}{remedy}"


def _files(record: Record, logs: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in sorted(logs.glob("*.log"))}
    if record.patch and len(record.patch) <= LARGEST_PATCH:
        files["changes.patch"] = record.patch
    return files


def _upload(s3: S3Client, place: Place, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        kind = "application/json" if name.endswith(".json") else "text/plain; charset=utf-8"
        s3.put_object(Bucket=place.bucket, Key=place.prefix + name, Body=content, ContentType=kind)


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)
