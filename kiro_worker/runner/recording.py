"""What a build records about its tasks and its gate."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.records.runs import note_summary, read_summary
from kiro_worker.runner.gate.baseline import names_of
from kiro_worker.runner.gate.branch_changes import changed_between, changed_by_branch, rewritten_between
from kiro_worker.runner.gate.branch_tests import BranchTests
from kiro_worker.runner.gate.gate import Work, judge
from kiro_worker.runner.gate.reports import COVERAGE
from kiro_worker.runner.gate.run import Place
from kiro_worker.runner.gate.take_baseline import take_baseline
from kiro_worker.runner.gate.verdicts import (
    gate_document,
    joined_coverage,
    named,
    notes_of,
    stop_of,
    summaries_of,
)
from kiro_worker.runner.report.artifacts import REPORTS
from kiro_worker.runner.report.summary import run_summary
from kiro_worker.runner.repository.entries import list_tree
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.sandbox.printable import listed, printable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from kiro_worker.config.settings import Check
    from kiro_worker.runner.edges import BuildEdges
    from kiro_worker.runner.effects import Prepared
    from kiro_worker.runner.gate.baseline import Baseline
    from kiro_worker.runner.gate.gate import Verdict
    from kiro_worker.runner.gate.workspace import GateWorkspace
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.sandbox.folders import Folders


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


def take_recorded_baseline(
    edges: BuildEdges, workspace: GateWorkspace, prepared: Prepared, progress: BuildProgress
) -> tuple[Baseline, ...]:
    """Run the tests of each check on the pinned commit, record what they show, and return it.

    Raises :class:`BuildStopped` (TestsAlreadyFailing) if the agent must not start.
    """
    settings, checkout = prepared.settings, prepared.checkout
    progress.baseline = {"mode": settings.baseline, "commit": checkout.commit, "checks": []}
    changed = changed_by_branch(checkout)
    files = {entry.path for entry in list_tree(checkout.git, checkout.commit)}
    found: list[Baseline] = []
    with (
        workspace.opened(checkout, prepared.submodules, checkout.commit) as folders,
        edges.log.sink("baseline", edges.logs / "baseline.log") as sink,
    ):
        tests = BranchTests(files, changed, str(folders.checkout))
        anew = partial(workspace.renewed, checkout, prepared.submodules, checkout.commit)
        for check in settings.checks:
            place = _place(edges, workspace, folders, check, sink, anew)
            _head(settings.checks, check, sink)
            taken = take_baseline(check, place, settings.baseline, tests, changed)
            progress.baseline["checks"].append(taken.baseline.to_dict(check.name))
            if taken.stop:
                progress.tests, progress.failed_tests = taken.baseline.summary, taken.failed
                raise named(taken.stop, check.name if len(settings.checks) > 1 else "")
            if failing := taken.baseline.failing:
                edges.log.say(f"{len(failing)} tests fail before the agent starts: {listed(names_of(failing), str)}")
            found.append(taken.baseline)
    return tuple(found)


def run_recorded_gate(
    edges: BuildEdges,
    workspace: GateWorkspace,
    prepared: Prepared,
    commit: str,
    progress: BuildProgress,
    baselines: Sequence[Baseline] = (),
) -> None:
    """Run the gate on ``commit``, in new folders, and record its result: every check, and then the verdict on all.

    ``baselines`` are those of the checks, none without a baseline. Raises :class:`BuildStopped`.
    """
    # What an earlier gate measured is no verdict on this commit.
    progress.tests, progress.test_command, progress.coverage_line = "", (), ""
    progress.gate, progress.failed_tests, progress.gate_notes = None, (), ()
    shutil.rmtree(edges.logs / REPORTS, ignore_errors=True)
    checks, checkout = prepared.settings.checks, prepared.checkout
    changes = _changes(checkout, commit) if baselines else None
    verdicts: list[Verdict] = []
    with (
        workspace.opened(checkout, prepared.submodules, commit) as folders,
        edges.log.sink("tests", edges.logs / "tests.log") as sink,
    ):
        tests = BranchTests(changes.files, changes.counted, str(folders.checkout)) if changes else None
        anew = partial(workspace.renewed, checkout, prepared.submodules, commit)
        for number, check in enumerate(checks):
            work = Work(
                progress.patch,
                tuple(changes.changed) if changes else (),
                tests,
                baselines[number] if baselines else None,
                [other.directory for other in checks if other is not check],
                workspace.ecosystems.get(check.directory, ""),
            )
            _head(checks, check, sink)
            keep = edges.logs / REPORTS / (_report_folder(number, check) if len(checks) > 1 else "")
            verdicts.append(judge(check, _place(edges, workspace, folders, check, sink, anew), work, keep))
    _record(edges, checks, verdicts, progress)
    if stop := stop_of(checks, verdicts):
        raise stop


def _record(edges: BuildEdges, checks: Sequence[Check], verdicts: Sequence[Verdict], progress: BuildProgress) -> None:
    results = [verdict.result for verdict in verdicts]
    several = len(checks) > 1
    progress.tests, progress.coverage_line = summaries_of(results)
    progress.test_command = () if several else results[0].command
    progress.gate = gate_document(results)
    progress.gate_notes = notes_of(results)
    progress.failed_tests = tuple(
        replace(test, name=f"{result.check}: {test.name}" if several else test.name)
        for result in results
        for test in result.failed
    )
    stopped = [verdict for verdict in verdicts if verdict.stop]
    progress.gate_failed_anew = not stopped or any(verdict.is_new for verdict in stopped)
    if several and (document := joined_coverage(checks, results)):
        (edges.logs / REPORTS / COVERAGE).mkdir(parents=True, exist_ok=True)
        text = edges.redaction(document.decode(errors="replace"))
        (edges.logs / REPORTS / COVERAGE / "cobertura.xml").write_text(text, "utf-8")


@dataclass(frozen=True)
class _Changes:
    """What the branch and the work change. The tests in ``counted`` must pass; ``files`` are those of both commits."""

    changed: frozenset[str]
    counted: frozenset[str]
    files: frozenset[str]


def _changes(checkout: Checkout, commit: str) -> _Changes:
    git, branch = checkout.git, changed_by_branch(checkout)
    trees = (list_tree(git, each) for each in (checkout.commit, commit))
    files = frozenset(entry.path for tree in trees for entry in tree)
    # A test that the work only stands beside keeps its excuse; one that it may have rewritten does not.
    counted = branch | rewritten_between(git, checkout.commit, commit)
    return _Changes(branch | changed_between(git, checkout.commit, commit), counted, files)


def _place(
    edges: BuildEdges,
    workspace: GateWorkspace,
    folders: Folders,
    check: Check,
    sink: Callable[[str], None],
    anew: Callable[[], AbstractContextManager[None]],
) -> Place:
    return Place(
        folders.checkout / check.directory,
        folders.home,
        edges.environment,
        sink,
        edges.redaction,
        workspace.gate,
        folders.temporary,
        anew,
    )


def _head(checks: Sequence[Check], check: Check, sink: Callable[[str], None]) -> None:
    if len(checks) > 1:
        sink(f"── {printable_name(check.name)}")


def _report_folder(number: int, check: Check) -> str:
    return f"{number + 1:02}-{re.sub(r'[^A-Za-z0-9._-]', '-', check.name)[:60]}"


def commits_between(checkout: Checkout, commit: str) -> frozenset[str]:
    """Return the commits after the branch's commit, up to ``commit``; none if git fails."""
    try:
        return frozenset(checkout.git.text("rev-list", f"{checkout.commit}..{commit}").split())
    except GitFailed:
        return frozenset()
