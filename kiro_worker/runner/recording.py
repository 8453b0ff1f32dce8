"""What a build records about its tasks and its gate."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.records.runs import note_summary, read_summary
from kiro_worker.runner.gate.gate import run_gate
from kiro_worker.runner.report.artifacts import REPORTS
from kiro_worker.runner.report.summary import run_summary
from kiro_worker.runner.repository.git import GitFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.runner.edges import BuildEdges
    from kiro_worker.runner.effects import Prepared
    from kiro_worker.runner.gate.workspace import GateWorkspace
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkout import Checkout


def record_summary(edges: BuildEdges, execution: str, progress: BuildProgress) -> None:
    """Record the tasks and the agent's turns for reviewers. A failure does no harm: only the comment needs them."""
    try:
        note_summary(edges.records, execution, run_summary(progress, edges.redaction))
    except (BotoCoreError, ClientError) as error:
        edges.log.say(f"the comment will not show each task, because its record cannot be written: {error}")


def recall_summary(edges: BuildEdges, execution: str, progress: BuildProgress, moved: Mapping[str, str]) -> None:
    """Take over what an earlier build of this run recorded about the work that continues.

    ``moved`` maps its commits to their counterparts: resuming a checkpoint can rebase it, and gives it a new date.
    """
    summary = read_summary(edges.records, execution)
    progress.turns = list(summary.turns)
    for task in summary.tasks:
        commit = moved.get(task.commit, task.commit)
        progress.commits[task.identity] = moved.get(commit, commit)


def run_recorded_gate(
    edges: BuildEdges, workspace: GateWorkspace, prepared: Prepared, commit: str, progress: BuildProgress
) -> None:
    """Run the gate on ``commit``, in new folders, and record its result."""
    # What an earlier gate measured is no verdict on this commit.
    progress.tests, progress.test_command, progress.coverage_line = "", (), ""
    shutil.rmtree(edges.logs / REPORTS, ignore_errors=True)
    with (
        workspace.opened(prepared.checkout, prepared.submodules, commit) as folders,
        edges.log.sink("tests", edges.logs / "tests.log") as sink,
    ):
        check = prepared.settings.checks[0]
        result = run_gate(
            check,
            folders.checkout / check.directory,
            folders.home,
            parent=edges.environment,
            sink=sink,
            redact=edges.redaction,
            patch=progress.patch,
            keep=edges.logs / REPORTS,
            sandbox=workspace.gate,
            temporary=folders.temporary,
        )
    progress.tests, progress.test_command = result.summary, result.command
    progress.coverage_line = result.coverage_line


def commits_between(checkout: Checkout, commit: str) -> frozenset[str]:
    """Return the commits after the branch's commit, up to ``commit``; none if git fails."""
    try:
        return frozenset(checkout.git.text("rev-list", f"{checkout.commit}..{commit}").split())
    except GitFailed:
        return frozenset()
