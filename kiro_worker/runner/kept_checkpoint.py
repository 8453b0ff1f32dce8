"""The build's use of the checkpoint: finished work is pushed to it at once, and it is removed when it is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.errors import KiroWorkerError
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.preparation import note_kept
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import GitFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiro_worker.records.checkpoints import KeptWork
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkpoint import Checkpoint


@dataclass(frozen=True)
class KeptCheckpoint:
    """``hold_lock`` is called before every push, and ``note_summary`` after one that keeps work."""

    say: Callable[[str], None]
    progress: BuildProgress
    hold_lock: Callable[[], None]
    note_summary: Callable[[], None]

    def keep(self, checkpoint: Checkpoint, work: KeptWork) -> None:
        """Push ``work`` to the checkpoint. ``progress`` records why that failed, which stops nothing."""
        if work.commit != checkpoint.commit:
            self.hold_lock()
            checkpoint.save(work)
            self.note_summary()
        note_kept(checkpoint, self.progress)
        if failure := checkpoint.failure:
            stop = stop_because(failure, Outcome.PUSH_REJECTED, "the checkpoint could not be pushed", "")
            self.progress.checkpoint_problem = stop.reason

    def remove(self, checkpoint: Checkpoint) -> None:
        """Remove the checkpoint, unless the push to the branch already removed it."""
        if not checkpoint.commit:
            try:
                checkpoint.find()
            except (GitFailed, BotoCoreError, ClientError) as failure:
                self.say(f"could not check whether a checkpoint remains: {failure}")
                return
        self.drop(checkpoint)

    def remove_if_empty(self, checkpoint: Checkpoint) -> None:
        """Remove the checkpoint if it holds no work, under the lock like every push.

        If another run holds the lock, that run may have found the checkpoint, and replaces or removes it itself. Why
        the build ends is more important than an error here.
        """
        if not checkpoint.commit or checkpoint.has_work:
            return
        try:
            self.hold_lock()
            checkpoint.drop()
        except (KiroWorkerError, BotoCoreError, ClientError) as error:
            self.say(f"{checkpoint.ref}, which holds no work, was not removed: {error}")

    def drop(self, checkpoint: Checkpoint) -> None:
        """Remove the checkpoint, which this build knows."""
        checkpoint.drop()
        note_kept(checkpoint, self.progress)
