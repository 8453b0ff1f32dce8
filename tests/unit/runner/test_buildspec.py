from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from defusedxml import ElementTree

from kiro_local.aws.buildspec import parse
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.report.artifacts import ArtifactLocation
from kiro_worker.runner.report.variables import exported_variables
from kiro_worker.runner.report.write import DECLARED, EMPTY_REPORTS, write_report

ROOT = Path(__file__).parents[3]
COPIES_REPORTS = 'cp -R "$CODEBUILD_SRC_DIR/python/kiro_worker/runner/report/empty" "$CODEBUILD_SRC_DIR/reports"'


def buildspec() -> Any:
    return yaml.safe_load((ROOT / "buildspec.yml").read_text())


def test_buildspec_exports_what_runner_writes() -> None:
    assert set(buildspec()["env"]["exported-variables"]) == set(exported_variables(BuildProgress()))


def test_every_command_is_workers_own() -> None:
    for phase in buildspec()["phases"].values():
        for command in phase["commands"]:
            assert command.startswith(('sh "$CODEBUILD_SRC_DIR/start.sh"', "if [ -f ", COPIES_REPORTS))


def test_every_report_has_file_from_beginning(tmp_path: Path) -> None:
    """A build that ends before the runner starts has a file for each report, too."""
    [copies] = [command for command in buildspec()["phases"]["install"]["commands"] if command.startswith("cp ")]
    shutil.copytree(EMPTY_REPORTS, tmp_path / "python" / EMPTY_REPORTS.relative_to(ROOT))
    shell = shutil.which("sh") or ""
    subprocess.run([shell, "-c", copies], env={**os.environ, "CODEBUILD_SRC_DIR": str(tmp_path)}, check=True)
    require_reports(tmp_path)


@pytest.mark.parametrize("tests", ["", "001-junit.xml"])
@pytest.mark.parametrize("coverage", ["", "cobertura.xml"])
def test_every_report_has_file_at_end(tmp_path: Path, tests: str, coverage: str) -> None:
    logs, folder = tmp_path / "logs", tmp_path / "source"
    (logs / "reports" / "tests").mkdir(parents=True)
    (logs / "reports" / "coverage").mkdir()
    folder.mkdir()
    made = [f"{kind}/{name}" for kind, name in (("tests", tests), ("coverage", coverage)) if name]
    for path in made:
        (logs / "reports" / path).write_text("<made/>")
    location = ArtifactLocation("", "run", "b:1", "1")
    write_report(BuildProgress(), None, location, folder=folder, logs=logs, redact=str, s3=lambda: None)  # type: ignore[arg-type, return-value]  # never called
    require_reports(folder)
    assert all((folder / "reports" / path).read_text() == "<made/>" for path in made)
    assert len([path for path in (folder / "reports").rglob("*") if path.is_file()]) == 2


def require_reports(folder: Path) -> None:
    for report in parse((ROOT / "buildspec.yml").read_text()).reports:
        assert report.exists(folder), report.name
        for path in (folder / report.base_directory).glob(report.files[0]):
            root = ElementTree.parse(path).getroot()
            assert root is not None
            assert root.tag in ("testsuites", "coverage", "made")


def test_declared_reports_are_the_same() -> None:
    reports = buildspec()["reports"]
    assert {name: report["files"] for name, report in reports.items()} == {n: [f] for n, f in DECLARED.items()}
    assert {name: report["base-directory"] for name, report in reports.items()} == {n: f"reports/{n}" for n in DECLARED}


def test_last_phase_tolerates_missing_result(tmp_path: Path) -> None:
    (last,) = buildspec()["phases"]["post_build"]["commands"]
    shell = shutil.which("sh") or ""
    script = f'{last}\necho "[$OUTCOME]"'

    def outcome() -> str:
        environment = {"CODEBUILD_SRC_DIR": str(tmp_path)}
        return subprocess.run([shell, "-c", script], env=environment, capture_output=True, text=True, check=True).stdout

    assert outcome() == "[]\n"
    (tmp_path / "result.env").write_text("export OUTCOME=Succeeded\n")
    assert outcome() == "[Succeeded]\n"
