"""Runs the probes of github.com on a repository of yours. They push a ref outside ``refs/heads`` and delete it again.

    KIRO_WORKER_PROBE_REPOSITORY=owner/name GITHUB_TOKEN=… .venv/bin/python -m pytest -s tests/aws/test_github.py

The same probe runs against the stand-in GitHub in tests/integration/kiro_local/github/test_stand_in_git_http.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.aws.github_probes import custom_refs
from tests.aws.probes import show

REPOSITORY = os.environ.get("KIRO_WORKER_PROBE_REPOSITORY", "")

pytestmark = pytest.mark.skipif(
    not REPOSITORY,
    reason="needs a repository on github.com: KIRO_WORKER_PROBE_REPOSITORY (see docs/reference/unproven.md)",
)


def test_custom_refs(tmp_path: Path) -> None:
    answers = custom_refs(tmp_path / "git", f"https://github.com/{REPOSITORY}.git", os.environ["GITHUB_TOKEN"])
    show("custom_refs", answers)
    assert all(answers.values()), answers
