"""Which commit finished each task."""

from __future__ import annotations

from kiro_worker.runner.progress import BuildProgress


def test_commit_finishes_tasks_that_no_earlier_one_finished() -> None:
    progress = BuildProgress(done_tasks={"1-a": "1 Parse"})
    progress.note_commit("one")
    progress.done_tasks["2-b"] = "2 Price"
    progress.note_commit("two")
    assert progress.commits == {"1-a": "one", "2-b": "two"}


def test_forgotten_commit_is_not_known_again() -> None:
    progress = BuildProgress(done_tasks={"1-a": "1 Parse", "2-b": "2 Price"}, commits={"1-a": "gone", "2-b": "two"})
    progress.keep_commits({"two"})
    progress.note_commit("three")
    assert progress.commits == {"1-a": "", "2-b": "two"}


def test_commits_move_with_rebased_work() -> None:
    done = {"1-a": "1 Parse", "2-b": "2 Price", "3-c": "3 Checkpoint"}
    progress = BuildProgress(done_tasks=done, commits={"1-a": "", "2-b": "two", "3-c": "of the checks"})
    progress.move_commits({"base": "head", "two": "two rebased"})
    progress.note_commit("of the checks, made again")
    assert progress.commits == {"1-a": "", "2-b": "two rebased", "3-c": "of the checks, made again"}
