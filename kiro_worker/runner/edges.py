"""The runner's edges, passed in as arguments: configuration, credentials, clients and folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.labels import Labeling
    from kiro_worker.lock.table import LockTable
    from kiro_worker.models import GitCredentials
    from kiro_worker.records.table import RecordsTable
    from kiro_worker.runner.report.log import Log, Redaction
    from kiro_worker.runner.request import BuildRequest


@dataclass(frozen=True)
class Edges:
    """What the pipeline reads from.

    Credentials and clients are callables, so that nothing is loaded before it is needed. ``environment`` is the
    parent's environment, of which child processes get a scrubbed copy; ``workspace`` is an empty folder for this run.
    ``records`` is ``None`` in a dry run without AWS.
    """

    configuration: Configuration
    load_git_credentials: Callable[[], GitCredentials]
    read_labeling: Callable[[BuildRequest, str], Labeling]
    s3: Callable[[], S3Client]
    environment: Mapping[str, str]
    workspace: Path
    redaction: Redaction
    records: RecordsTable | None


@dataclass(frozen=True)
class BuildEdges(Edges):
    """What a build also needs, because it writes: the records, the lock, the keys, and the folder ``logs``.

    ``load_test_secret`` gets the name of a secret for setup.
    """

    records: RecordsTable
    locks: LockTable
    load_agent_key: Callable[[], str]
    load_test_secret: Callable[[str], str]
    logs: Path
    log: Log
