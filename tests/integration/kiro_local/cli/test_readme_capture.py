"""Checks that the terminal capture in README.md matches the output of the demo."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tools.generator import Section

pytestmark = pytest.mark.e2e

CAPTURE = Section("README.md", "capture", "make tables")
# The states and the end of the first run; of the build, only the changed files and the test results.
STATE = re.compile(r"\s+\d+\.\d s  \w+")
OF_THE_BUILD = ("files changed", "Ran ", "── Succeeded")


def excerpt(output: str) -> str:
    """The lines of the demo's first run that README.md shows."""
    tick = output.partition("Tick 1 of the schedule")[2].partition("\n\n")[0]
    lines = [
        line.rstrip()
        for line in tick.splitlines()
        if STATE.match(line) or line.startswith("  SUCCEEDED") or any(text in line for text in OF_THE_BUILD)
    ]
    return "\n".join(["$ make demo", *lines])


def without_values(text: str) -> str:
    """``text`` without the values that differ between runs: times, fences, commits."""
    return re.sub(r"\d+\.\d+ ?s\b|\b\d{13}\b|\b[0-9a-f]{12}\b", "…", re.sub(r"^ +", "", text, flags=re.MULTILINE))


def test_readme_shows_what_the_demo_prints() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "kiro_worker.cli", "demo"], capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.returncode == 0, finished.stderr
    observed = excerpt(finished.stdout)
    if os.environ.get("KIRO_WORKER_WRITE_TABLES") == "1":
        page = CAPTURE.filled_with(f"```console\n{observed}\n```\n")
        page.path.write_text(page.text, "utf-8")
    documented = CAPTURE.read().strip().removeprefix("```console\n").removesuffix("\n```")
    assert without_values(documented) == without_values(observed), "How to fix: make tables"
