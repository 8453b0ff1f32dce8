"""AcquireLock: one conditional write; a holder that has ended is taken over."""

from __future__ import annotations

import os
from typing import Any

import boto3

from kiro_worker.config.parameter import load_configuration
from kiro_worker.lock.connect import connected_locks
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import lock_key
from kiro_worker.lock.slots import acquire_with_slot
from kiro_worker.models import StepEvent, Work
from kiro_worker.observability import step

ssm = boto3.client("ssm")
dynamodb = boto3.client("dynamodb")
stepfunctions = boto3.client("stepfunctions")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """The ``lease``; raises ``LockHeld`` or ``ScopedLockHeld``."""
    configuration = load_configuration(ssm, os.environ["CONFIG_PARAMETER_NAME"])
    work = Work.from_dict(event.document["work"])
    locks = connected_locks(dynamodb, stepfunctions, os.environ, int(os.environ["LOCK_LEASE_SECONDS"]))
    key = lock_key(configuration, work.repository, work.branch)
    subject = Subject(event.document["item"]["id"], work.repository, work.branch)
    return acquire_with_slot(locks, configuration, key, event.execution_arn, subject).to_dict()
