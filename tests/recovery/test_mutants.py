"""Faults planted in the product, each in a copy of the sources that is then deployed: the matrix must notice every one.

A mutant is a text that occurs once in a file, and its replacement. It is not enough that a cell fails: it must fail for
the given reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kiro_local.assembly import ROOT
from tests.recovery.conftest import DEPLOYED_TREE

pytestmark = [pytest.mark.e2e, pytest.mark.exhaustive]

_TREE = ("infra", "functions", "statemachine", "kiro_worker", "requirements", "buildspec.yml", "start.sh", "cdk.json")
_WHEELS = ("wheels", "build-wheels", "gate")
_FILES = ("matrix", "abandoned_runs", "breaker", "build_failures", "builds_bounded", "slots_recovery")
_PLAYED = tuple(f"tests/recovery/test_{name}.py" for name in _FILES)


@dataclass(frozen=True)
class Mutant:
    """``cell`` is for pytest's ``-k``; ``message`` is part of the failing cell's message."""

    file: str
    original: str
    replacement: str
    cell: str
    message: str


MUTANTS = {
    "release without the fence check": Mutant(
        "kiro_worker/lock/store.py",
        """values = {":owner": {"S": lease.owner}, ":fence": {"N": str(lease.fence)}}
        condition = "#owner = :owner AND fence = :fence"
""",
        """values = {":owner": {"S": lease.owner}}
        condition = "#owner = :owner"
""",
        "ReleaseLockAfterFailure-done-late",
        "a tick built while a redrive was under way",
    ),
    "clean-up without the stopDate check": Mutant(
        "kiro_worker/lock/release.py",
        "locks.release_owned(event.execution_arn, acquired_before=before, report_pending=True)",
        "locks.release_owned(event.execution_arn, report_pending=True)",
        "AcquireLock-aborted-event-late",
        "a late clean-up moved the card of a live run",
    ),
    "no takeover": Mutant(
        "kiro_worker/lock/table.py",
        "return running or build_may_act(holder)",
        "return True",
        "RunBuild-aborted-during-event-lost",
        "the lock is still held by",
    ),
    "no lock check before the push": Mutant(
        "kiro_worker/runner/pipeline.py",
        """                effects.hold_lock()
                commit = effects.push(prepared)
""",
        """                commit = effects.push(prepared)
""",
        "test_build_without_lock_pushes_nothing",
        "assert 'def add' not in",
    ),
    "any commit on the branch counts as the run's own push": Mutant(
        "kiro_worker/runner/repository/own_push.py",
        'commit = next(iter(above.intersection(recorded)), "")',
        'commit = next(iter(above), "")',
        "test_only_recorded_push_is_recognized and another",
        "('SUCCEEDED', 'Succeeded')",
    ),
    "validation without the record": Mutant(
        "kiro_worker/github/readiness.py",
        "return run is not None and run.is_about(repository.name, branch)",
        "return True",
        "test_only_recorded_push_is_recognized and nothing",
        "('FAILED', 'NoChanges')",
    ),
    "any checkpoint counts as the worker's own": Mutant(
        "kiro_worker/runner/repository/checkpoint.py",
        "return self._written.get(commit) or (self._record.work_at(commit) if self._record else None)",
        "return KeptWork(commit, self._checkout.commit, commit)",
        "test_foreign_checkpoint_is_not_built_on",
        "evil.py",
    ),
    "FailRun ignores the recorded count": Mutant(
        "functions/fail_run/handler.py",
        "<= failure.redrive_count:",
        "<= 0:",
        "test_failed_redrive_builds_once",
        "('FAILED', 'TestsFailed')",
    ),
    "a failed build is retried": Mutant(
        "statemachine/work_item.asl.json",
        '"CodeBuild.AccountLimitExceededException",',
        '"CodeBuild.AccountLimitExceededException", "States.TaskFailed",',
        "RunBuild-TestsFailed",
        "a build that ran was retried",
    ),
    "a retried start is another build": Mutant(
        "statemachine/work_item.asl.json",
        "$states.context.Execution.RedriveCount & '/' & $states.input.lease.fence",
        "$states.context.Execution.RedriveCount & '/' & $states.context.State.RetryCount & '/' & "
        "$states.input.lease.fence",
        "RunBuild-start-lost and not always",
        "a start that was retried made 2 builds",
    ),
    "a card without its report is forgotten": Mutant(
        "kiro_worker/recovery.py",
        "for holder in abandoned:",
        "for holder in ():",
        "MarkFailed-service-error-always",
        "the card is in progress, and no run works on it",
    ),
    "the clean-up leaves a build running": Mutant(
        "kiro_worker/lock/table.py",
        "(self._is_running(owner) or self._stop_build_and_check(build))",
        "self._is_running(owner)",
        "test_clean_up_stops_orphaned_build",
        "the lock was freed under a working build",
    ),
    "the record alone decides": Mutant(
        "kiro_worker/github/pushed.py",
        "found = answer.on_branch & run.commits",
        "found = run.commits",
        "test_push_without_record_or_ref_is_failure and True-False",
        '("FAILED", "BuildFailed", "Blocked")',
    ),
    "a fault is repeated each time": Mutant(
        "kiro_worker/records/cards.py",
        'f"repeated#{commit}", attempt)',
        'f"repeated#{commit}#{attempt}", attempt)',
        "test_codebuild_fault_is_repeated_once_per_commit",
        "BuildFaulted",
    ),
    "the clean-up ignores the record": Mutant(
        "kiro_worker/github/failed_cards.py",
        "return document.held is not None or (in_build and (document.build is None or document.repeat))",
        "return in_build and document.build is None",
        "test_pushed_work_of_ended_run_goes_to_review and clean-up and aborted",
        "'In Review'",
    ),
    "the next tick ignores the record": Mutant(
        "kiro_worker/recovery.py",
        "run = pushes_of(records, execution, subject.work_item_id)",
        "run = None",
        "test_pushed_work_of_ended_run_goes_to_review and next-tick and aborted",
        "'In Review'",
    ),
    "the breaker opens after the card has moved": Mutant(
        "kiro_worker/github/failed_cards.py",
        "        open_breaker(records, failure.name, failure.reason, item_id, retry_after)\n",
        "        pass\n",
        "test_breaker_opens_before_card_moves",
        "another tick could have taken the next card",
    ),
    "every run after the first probe is a probe": Mutant(
        "kiro_worker/records/breaker.py",
        "    if breaker.probe == execution:\n",
        "    if breaker.probe:\n",
        "test_one_of_many_ticks_is_probe",
        "AssertionError",
    ),
    "no run is a probe": Mutant(
        "kiro_worker/records/breaker.py",
        "    if now < breaker.retry_after:\n",
        "    if now < breaker.retry_after or True:\n",
        "test_broken_installation_is_probed_and_blames_no_card",
        "AssertionError",
    ),
    "a success leaves the breaker open": Mutant(
        "kiro_worker/github/cards.py",
        "        close_breaker(records, event.execution_arn, event.document.lease.fence / 1000)\n",
        "        pass\n",
        "test_breaker_swallows_no_redrive",
        "assert not True",
    ),
    "a failure of the card leaves the breaker open": Mutant(
        "kiro_worker/github/failed_cards.py",
        "        close_breaker(records, event.execution_arn, document.lease.fence / 1000)\n",
        "        pass\n",
        "breaker and test_failure_of_card_closes_breaker",
        "assert not True",
    ),
    "an old build closes the breaker": Mutant(
        "kiro_worker/records/breaker.py",
        "(breaker.probe != execution and proven_at <= breaker.since)",
        "False",
        "test_build_from_before_failure_closes_nothing",
        "assert False",
    ),
    "the breaker stops a redrive": Mutant(
        "kiro_worker/work_queue.py",
        "    breaker = read_breaker(edges.records) if pinned is None else Breaker()\n    if pinned is None:\n",
        "    breaker = read_breaker(edges.records)\n    if True:\n",
        "test_breaker_swallows_no_redrive",
        "InstallationUnavailable",
    ),
    "a failure of a service is tried again each time": Mutant(
        "kiro_worker/github/failed_cards.py",
        "    return claim_repeat(records,",
        "    return True or claim_repeat(records,",
        "test_card_is_built_at_most_twice and WorkerFailed",
        "builds by run",
    ),
    "a failure of the installation blames the card": Mutant(
        "kiro_worker/github/failed_cards.py",
        "        if not (build and build.agent_has_worked):\n            return True\n",
        "        return False\n",
        "test_broken_installation_is_probed_and_blames_no_card",
        "For Implementation",
    ),
    "a card that breaks its check comes first again": Mutant(
        "kiro_worker/work_queue.py",
        "        note_rejection(records, passed.item, passed.reason, document.item.status_updated_at)\n",
        "        pass\n",
        "test_card_that_cannot_be_checked_is_passed_over",
        "NothingToDo",
    ),
    "a slot is not released": Mutant(
        "functions/release_lock/handler.py",
        "    release_slot(locks, event)\n",
        "",
        "slots_recovery and MarkInReview-answer-lost",
        "a run that succeeded leaves a lock or slot taken",
    ),
    "an abandoned slot is not found": Mutant(
        "kiro_worker/lock/table.py",
        "if (holder.owner or holder.report_pending) and not self",
        "if (holder.owner or holder.report_pending) and '#slot' not in holder.lock_key and not self",
        "slots_recovery and RunBuild-aborted-during-event-lost-tick",
        "the lock is still held by",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_noticed(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    plant(mutant, tmp_path)
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *_PLAYED, "-k", mutant.cell],
        cwd=ROOT,
        env={**os.environ, DEPLOYED_TREE: str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1, f"no test noticed it: {finished.stdout[-2000:]}{finished.stderr[-2000:]}"
    assert mutant.message in finished.stdout


def plant(mutant: Mutant, tree: Path) -> None:
    """Write the sources to deploy, with the mutant in them, to ``tree``. The wheels are the ones packed before."""
    for name in _TREE:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "local", "cli", "doctor")
            shutil.copytree(source, tree / name, ignore=ignore)
        else:
            shutil.copy(source, tree / name)
    (tree / "build" / "host").mkdir(parents=True)
    for wheels in _WHEELS:
        for packed in (ROOT / "build" / "host").glob(f"{wheels}*"):
            (tree / "build" / "host" / packed.name).symlink_to(packed)
    file = tree / mutant.file
    text = file.read_text("utf-8")
    assert text.count(mutant.original) == 1, (
        f"{mutant.file} has it {text.count(mutant.original)} times: {mutant.original}"
    )
    file.write_text(text.replace(mutant.original, mutant.replacement), "utf-8")
