"""Write the report of a build: ``result.json``, ``result.env``, the reports that CodeBuild reads, and the artifacts."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.runner.report.artifacts import REPORTS, collect_artifacts, upload_artifacts
from kiro_worker.runner.report.result_json import read_gate_result, result_document
from kiro_worker.runner.report.variables import exported_variables, shell_exports
from kiro_worker.runner.sandbox.printable import printable_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.report.artifacts import ArtifactLocation
    from kiro_worker.runner.request import BuildRequest


def write_report(
    progress: BuildProgress,
    request: BuildRequest | None,
    location: ArtifactLocation,
    *,
    folder: Path,
    logs: Path,
    redact: Callable[[str], str],
    s3: Callable[[], S3Client],
) -> str:
    """Write the report into ``folder`` and upload the artifacts. Return why they could not be uploaded, else ``""``.

    A failed upload does not change the outcome, because a build that has pushed has succeeded.
    """
    gate = read_gate_result(logs)

    def result() -> str:
        document = printable_document(result_document(progress, request, location, gate))
        return redact(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"

    progress.artifacts, problem = location.url, ""
    try:
        if location.bucket:
            files = {"result.json": result().encode(), **collect_artifacts(progress, logs)}
            upload_artifacts(s3(), location, files)
    except (BotoCoreError, ClientError, OSError) as error:
        problem = f"the artifacts could not be uploaded to {location.url}: {error}"
        progress.artifacts = ""
    # CodeBuild reads the reports from here: see buildspec.yml.
    shutil.rmtree(folder / REPORTS, ignore_errors=True)
    if (logs / REPORTS).is_dir():
        shutil.copytree(logs / REPORTS, folder / REPORTS)
    (folder / "result.json").write_text(result(), encoding="utf-8")
    (folder / "result.env").write_text(shell_exports(exported_variables(progress, redact, gate)), encoding="utf-8")
    return problem
