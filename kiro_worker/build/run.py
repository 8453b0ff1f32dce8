"""The story of a build: hold the lock, check out the pinned commit, let the agent work, commit, test, hold the lock
still, push.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiro_worker.build.agent import configured_agent, nothing_changed, run_agent
from kiro_worker.build.checkout import Checkout, check_out, published_earlier, require_unmoved_branch
from kiro_worker.build.commit import Change, changes_between, commit_work
from kiro_worker.build.gate import run_tests
from kiro_worker.build.outcome import Stopped
from kiro_worker.build.prompt import prompt
from kiro_worker.build.publish import publish
from kiro_worker.lock import LockTable, Subject
from kiro_worker.models import Lease, Outcome
from kiro_worker.spec import TASKS_FILE, open_tasks, parse_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kiro_worker.build.job import BuildJob
    from kiro_worker.build.log import Log, Redaction
    from kiro_worker.build.outcome import Record
    from kiro_worker.config import Configuration
    from kiro_worker.models import GitCredentials


@dataclass(frozen=True)
class Edges:
    """What the story needs from outside. Secrets are read when they are needed, and not before."""

    configuration: Configuration
    locks: LockTable
    load_git_credentials: Callable[[], GitCredentials]
    load_agent_key: Callable[[], str]
    environment: Mapping[str, str]
    workspace: Path
    logs: Path
    log: Log
    redaction: Redaction


def run(job: BuildJob, edges: Edges, record: Record) -> None:
    """Build ``job`` and fill in ``record`` on the way. Returns when the branch carries the work; raises
    :class:`Stopped`, and every error of :mod:`kiro_worker.errors`, otherwise.
    """
    phase = edges.log.phase
    with phase("hold the lock", record.phases):
        lease = hold_lock(job.lease, job, edges, record)
    with phase("check out", record.phases):
        checkout = check_out_work(job, edges)
    if commit := published_earlier(checkout, job.owner):
        note_work(changes_between(checkout, commit), checkout, job, record)
        succeed(record, commit, "an earlier attempt of this execution had pushed already; nothing was run again")
        return
    require_unmoved_branch(checkout)
    lease = hold_lock(lease, job, edges, record)
    with phase("agent", record.phases):
        change = implement(job, checkout, edges, record)
    with phase("tests", record.phases):
        test(checkout, edges, record)
    with phase("push", record.phases):
        hold_lock(lease, job, edges, record)
        publish(checkout, change.commit)
    succeed(record, change.commit, "")


def hold_lock(lease: Lease, job: BuildJob, edges: Edges, record: Record) -> Lease:
    """Make sure that this run holds the lock. A build started by hand, which nobody gave one, takes it."""
    subject = Subject(
        job.work_item_id, job.repository, job.branch, build_id=edges.environment.get("CODEBUILD_BUILD_ID", "")
    )
    if job.started_by_hand and not lease.fence:
        held = edges.locks.acquire(lease.lock_key, lease.owner, subject)
    else:
        held = edges.locks.ensure(lease, subject)
    record.fence = held.fence
    return held


def check_out_work(job: BuildJob, edges: Edges) -> Checkout:
    """The checkout, with the git credentials known to the redaction first."""
    credentials = edges.load_git_credentials()
    edges.redaction.know(credentials.password, f"{credentials.username}:{credentials.password}")
    checkout = check_out(job, edges.workspace, edges.configuration.git_url, credentials, edges.environment)
    edges.log.say(f"{job.repository} {job.branch} at {job.commit}")
    return checkout


def implement(job: BuildJob, checkout: Checkout, edges: Edges, record: Record) -> Change:
    """Let the agent work and commit what it did."""
    tasks_before = tasks_text(checkout, job, job.commit)
    tasks = open_tasks(tasks_before)
    note_tasks(tasks_before, record)
    agent = configured_agent(edges.configuration.agent, job, edges.load_agent_key)
    edges.redaction.know(*agent.own_variables.values())
    edges.log.say(f"{agent.name} gets {len(tasks)} open tasks")
    with edges.log.sink("agent", edges.logs / "agent.log") as sink:
        done = run_agent(
            agent,
            prompt(job, checkout.folder, tasks),
            checkout.folder,
            edges.workspace / "agent-home",
            parent=edges.environment,
            sink=sink,
            redact=edges.redaction,
        )
    record.agent_credits, record.agent_seconds = done.credits, done.seconds or round(done.finished.seconds, 1)
    change = commit_work(checkout, job, f"Implement {job.spec_path.rpartition('/')[2]}", edges.log.say)
    if change is None:
        raise nothing_changed(agent, done)
    require_no_secret(change, edges.redaction)
    note_work(change, checkout, job, record)
    edges.log.say(f"{len(change.files)} files changed, {record.tasks_done} tasks done, {record.tasks_open} open")
    return change


def test(checkout: Checkout, edges: Edges, record: Record) -> None:
    """The gate: the project's own tests, on the files as they were committed."""
    with edges.log.sink("tests", edges.logs / "tests.log") as sink:
        tests = run_tests(
            edges.configuration,
            checkout.folder,
            edges.workspace / "tests-home",
            parent=edges.environment,
            sink=sink,
            redact=edges.redaction,
        )
    record.tests, record.test_command = tests.summary, tests.command


def require_no_secret(change: Change, redaction: Redaction) -> None:
    """An agent that knows its own key can write it into a file: that must never reach the branch."""
    if redaction.is_in(change.history):
        raise Stopped(
            Outcome.GUARD_TRIPPED,
            "the change contains one of the worker's own secrets, so nothing of it was kept or pushed",
            "find out why in agent.log, and replace the secret",
        )


def note_work(change: Change, checkout: Checkout, job: BuildJob, record: Record) -> None:
    """What is known once there is a commit."""
    record.files_changed, record.patch = change.files, change.patch
    note_tasks(tasks_text(checkout, job, change.commit), record)


def note_tasks(text: str, record: Record) -> None:
    """How many tasks are done and open."""
    record.tasks_done = sum(task.state == "done" for task in parse_tasks(text))
    record.tasks_open = len(open_tasks(text))


def tasks_text(checkout: Checkout, job: BuildJob, commit: str) -> str:
    """``tasks.md`` as committed; empty when there is none."""
    name = f"{commit}:{job.spec_path}/{TASKS_FILE}"
    if not checkout.git.succeeds("cat-file", "-e", name):
        return ""
    return checkout.git.run("cat-file", "blob", name).decode(errors="replace")


def succeed(record: Record, commit: str, reason: str) -> None:
    """The branch carries ``commit``."""
    record.outcome, record.reason, record.commit = Outcome.SUCCEEDED, reason, commit
