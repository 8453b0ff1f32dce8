"""Write the report of a build: ``result.json``, ``result.env``, the reports that CodeBuild reads, and the artifacts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.runner.report.artifacts import REPORTS, collect_artifacts, upload_artifacts
from kiro_worker.runner.report.result_json import result_document
from kiro_worker.runner.report.variables import exported_variables, shell_exports
from kiro_worker.runner.sandbox.printable import printable_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_s3 import S3Client

    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.report.artifacts import ArtifactLocation
    from kiro_worker.runner.request import BuildRequest


EMPTY_REPORTS: Final = Path(__file__).parent / "empty"
"""One valid file per report of buildspec.yml, which also copies them before it runs anything else."""
DECLARED: Final[Mapping[str, str]] = {"tests": "*.xml", "coverage": "cobertura.xml"}
"""The files of each report in buildspec.yml."""


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

    def result() -> str:
        document = printable_document(result_document(progress, request, location))
        return redact(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"

    progress.artifacts, problem = location.url, ""
    try:
        if location.bucket:
            files = {"result.json": result().encode(), **collect_artifacts(progress, logs)}
            upload_artifacts(s3(), location, files)
    except (BotoCoreError, ClientError, OSError) as error:
        problem = f"the artifacts could not be uploaded to {location.url}: {error}"
        progress.artifacts = ""
    _lay_out_reports(logs / REPORTS, folder / REPORTS)
    (folder / "result.json").write_text(result(), encoding="utf-8")
    (folder / "result.env").write_text(shell_exports(exported_variables(progress, redact)), encoding="utf-8")
    return problem


def _lay_out_reports(made: Path, target: Path) -> None:
    """Copy the gate's reports to where CodeBuild reads them, and an empty one for each report that it did not make.

    A report that buildspec.yml declares, and for which no file exists, can fail the build after the push.
    """
    shutil.rmtree(target, ignore_errors=True)
    if made.is_dir():
        shutil.copytree(made, target)
        # With several checks, each has its own folder, and CodeBuild reads one.
        for report in sorted(made.glob("*/tests/*.xml")):
            (target / "tests").mkdir(exist_ok=True)
            shutil.copyfile(report, target / "tests" / f"{report.parents[1].name}-{report.name}")
    for empty in EMPTY_REPORTS.glob("*/*.xml"):
        folder = target / empty.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.glob(DECLARED[empty.parent.name])):
            shutil.copyfile(empty, folder / empty.name)
