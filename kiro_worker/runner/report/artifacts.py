"""The artifacts of a build in S3, below ``runs/<run>/<attempt>/``.

They are ``result.json``, ``agent.log``, ``tests.log``, ``changes.patch``, and below ``reports/`` what the gate read:
``gate.json``, ``tests/*`` (JUnit) and ``coverage/*``.

The run is the execution's name, or the build's identifier if a person started it. The attempt is CodeBuild's build
number, which counts up, so attempts sort and never overwrite each other. Outside CodeBuild it is 1.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.request import BuildRequest

REPORTS: Final = "reports"
LARGEST_PATCH: Final = 5 * 1024 * 1024
_UPLOADS: Final = 8


@dataclass(frozen=True)
class ArtifactLocation:
    """Where a build's artifacts are uploaded. Without a bucket, nothing is uploaded."""

    bucket: str
    run: str
    build_id: str
    attempt: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], request: BuildRequest | None) -> ArtifactLocation:
        """Return the location for this build. ``request`` is ``None`` if the build ended before it had one."""
        build_id = environment.get("CODEBUILD_BUILD_ID", "")
        run = request.run_name if request else _file_name(build_id.rpartition(":")[2] or "run")
        attempt = environment.get("CODEBUILD_BUILD_NUMBER", "")
        return cls(environment.get("ARTIFACTS_BUCKET_NAME", ""), run, build_id, attempt if attempt.isdecimal() else "1")

    @property
    def prefix(self) -> str:
        """Return the key prefix of every artifact."""
        return f"runs/{self.run}/{self.attempt}/"

    @property
    def url(self) -> str:
        """Return the location as an ``s3://`` URL, or an empty string without a bucket."""
        return f"s3://{self.bucket}/{self.prefix}" if self.bucket else ""


def collect_artifacts(progress: BuildProgress, logs: Path) -> dict[str, bytes]:
    """Return the contents of the logs, the gate's reports and the patch, by file name."""
    files = {path.name: path.read_bytes() for path in sorted(logs.glob("*.log"))}
    for path in sorted((logs / REPORTS).rglob("*")):
        if path.is_file():
            files[str(path.relative_to(logs))] = path.read_bytes()
    if progress.patch and len(progress.patch) <= LARGEST_PATCH:
        files["changes.patch"] = progress.patch
    return files


def upload_artifacts(s3: S3Client, location: ArtifactLocation, files: Mapping[str, bytes]) -> None:
    """Upload ``files``. Raises botocore's errors."""

    def put(name: str) -> None:
        # Never a type that a browser would render, because the repository controls the content of the reports.
        content_type = "application/json" if name.endswith(".json") else "text/plain; charset=utf-8"
        s3.put_object(Bucket=location.bucket, Key=location.prefix + name, Body=files[name], ContentType=content_type)

    # Uploads spend their time waiting for the network.
    with ThreadPoolExecutor(_UPLOADS) as pool:
        for _done in pool.map(put, files):
            pass


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)
