"""AcquireLock: one conditional write; a holder that has ended is taken over."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import boto3

from kiro_worker.config import load_configuration
from kiro_worker.lock import LockTable, lock_key
from kiro_worker.lock_item import Subject
from kiro_worker.lock_owner import build_stopper, owner_is_running
from kiro_worker.models import StepEvent, Work
from kiro_worker.observability import step
from kiro_worker.slots import acquire_with_slot

if TYPE_CHECKING:
    from mypy_boto3_codebuild import CodeBuildClient

ssm = boto3.client("ssm")
dynamodb = boto3.client("dynamodb")
stepfunctions = boto3.client("stepfunctions")


def codebuild() -> CodeBuildClient:
    """Made when it is needed: it is asked only about a build that may have been left behind."""
    return boto3.client("codebuild")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """The ``lease``; raises ``LockHeld`` or ``ScopedLockHeld``."""
    configuration = load_configuration(ssm, os.environ["CONFIG_PARAMETER_NAME"])
    work = Work.from_dict(event.document["work"])
    locks = LockTable(
        dynamodb,
        os.environ["LOCKS_TABLE_NAME"],
        int(os.environ["LOCK_LEASE_SECONDS"]),
        owner_is_running(stepfunctions, codebuild),
        stop_build=build_stopper(codebuild),
    )
    key = lock_key(configuration, work.repository, work.branch)
    subject = Subject(event.document["item"]["id"], work.repository, work.branch)
    return acquire_with_slot(locks, configuration, key, event.execution_arn, subject).to_dict()
