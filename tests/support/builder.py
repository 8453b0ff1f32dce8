"""Whole builds on a machine without other users, as a laptop, and with the separate users of CodeBuild."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.hostile import PYTHON, SYSTEM_PATH
from tests.support.worker import ROOT, Finished, Worker

needs_linux = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="isolation needs Linux"),
    pytest.mark.skipif(not PYTHON, reason=f"a program of another user needs a python3 in {SYSTEM_PATH}"),
]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give agent and gate separate users")
PACKAGES = Path(pytest.__file__).parents[1]
UNITTEST = [PYTHON, "-m", "unittest", "discover", "-v", "-s", "tests", "-t", "."]
_TICK = """
import os, pathlib, subprocess, sys, time
sys.stdin.read()
for tasks in pathlib.Path(".kiro/specs").glob("*/tasks.md"):
    tasks.write_text(tasks.read_text().replace("[ ]", "[x]"))
"""


@dataclass
class Builder:
    """Builds with the users of a laptop, or with those of CodeBuild. The image sets ``variables``."""

    worker: Worker
    has_own_users: bool
    variables: Mapping[str, str] = field(default_factory=dict)

    def build(self, code: str, **configuration: object) -> Finished:
        """Run a build whose agent does every task with the Python program ``code``."""
        agent = {**self.worker.agent(_TICK + code, mode="all")}
        agent["command"] = [PYTHON, *agent["command"][1:]]
        self.worker.configure(agent, **{"test": UNITTEST, **configuration})
        return self.again()

    def again(self) -> Finished:
        """Run another build of the same execution."""
        if not self.has_own_users:
            return self.worker.run(**self.variables)
        path = f"{ROOT}{os.pathsep}{PACKAGES}"
        return self.worker.run(PATH=SYSTEM_PATH, PYTHONPATH=path, AGENT_USER="own", **self.variables)


def printed(finished: Finished, prefix: str) -> list[str]:
    """Return what the tests or setup printed."""
    return [line.removeprefix(prefix) for line in finished.log.splitlines() if line.startswith(prefix)]
