from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.report.variables import exported_variables

ROOT = Path(__file__).parents[3]


def buildspec() -> Any:
    return yaml.safe_load((ROOT / "buildspec.yml").read_text())


def test_buildspec_exports_what_runner_writes() -> None:
    assert set(buildspec()["env"]["exported-variables"]) == set(exported_variables(BuildProgress()))


def test_every_command_is_workers_own() -> None:
    for phase in buildspec()["phases"].values():
        for command in phase["commands"]:
            assert command.startswith(("export PYTHONPATH=", "python3 -m kiro_worker.runner", "if [ -f "))


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
