"""AcquireLock: take the card's lock with one conditional write, or take it over from a run that has ended."""

from __future__ import annotations

import os
from typing import Any

import boto3

from kiro_worker.config.parameter import load_configuration
from kiro_worker.environment import AcquireLockEnvironment
from kiro_worker.errors import LockHeld, PinnedLockHeld, ScopedLockHeld
from kiro_worker.lock.connect import connected_locks
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import lock_key
from kiro_worker.lock.slots import acquire_with_slot
from kiro_worker.observability import step
from kiro_worker.state import StepEvent, require

ssm = boto3.client("ssm")
dynamodb = boto3.client("dynamodb")
stepfunctions = boto3.client("stepfunctions")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """Return the lease. Raises ``LockHeld``, ``ScopedLockHeld`` or ``PinnedLockHeld``."""
    environment = AcquireLockEnvironment.parse(os.environ)
    configuration = load_configuration(ssm, environment.config_parameter_name)
    locks = connected_locks(
        dynamodb, stepfunctions, environment.locks_table_name, lease_seconds=environment.lock_lease_seconds
    )
    item, work = require(event.document.item, "item"), require(event.document.work, "work")
    key = lock_key(configuration, work.repository, work.branch)
    subject = Subject(item.id, work.repository, work.branch)
    try:
        return acquire_with_slot(locks, configuration, key, event.execution_arn, subject).to_dict()
    except (LockHeld, ScopedLockHeld) as error:
        # A person wants this card built, and this run has no other card to try.
        if not event.document.pinned and not event.redrive_count:
            raise
        holder = locks.read(key)
        # A free lock still names the card that it was last held for.
        if (holder.owner or holder.report_pending) and holder.subject.work_item_id == item.id:
            raise LockHeld(error.reason, error.remedy) from None
        raise PinnedLockHeld(error.reason, error.remedy) from None
