"""The lock of a build: held from the start, and checked before everything that costs or writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.lock.item import Subject
from kiro_worker.lock.slots import acquire_with_slot, keep_slot

if TYPE_CHECKING:
    from kiro_worker.runner.edges import BuildEdges
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.request import BuildRequest


class HeldLock:
    """The lock of the build of ``request``. ``progress`` records its fence and slot."""

    def __init__(self, request: BuildRequest, edges: BuildEdges, progress: BuildProgress) -> None:
        self._request = request
        self._edges = edges
        self._progress = progress
        self._lease = request.lease

    def hold(self) -> None:
        """Make sure that this run holds the lock. A build that a person started acquires it on the first call.

        Raises :class:`LockError`.
        """
        request, locks, configuration = self._request, self._edges.locks, self._edges.configuration
        build_id = self._edges.environment.get("CODEBUILD_BUILD_ID", "")
        subject = Subject(request.work_item_id, request.repository, request.branch, build_id=build_id)
        if request.started_by_hand and not self._lease.fence:
            key, owner = self._lease.lock_key, self._lease.owner
            self._lease = acquire_with_slot(locks, configuration, key, owner, subject)
        else:
            self._lease = locks.ensure(self._lease, subject)
            # Recorded before the slot check: a build that a person started must release the lock even if that fails.
            self._progress.fence = self._lease.fence
            self._lease = keep_slot(locks, configuration, self._lease, subject)
        self._progress.fence, self._progress.slot = self._lease.fence, self._lease.slot
