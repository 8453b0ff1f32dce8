"""The steps of the pipeline that only read: checkout, submodules, central steering files, and a commit's changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.runner.agent.task_list import load_task_list, note_tasks, tasks_done_before
from kiro_worker.runner.repository.checkout import check_out, fetch_default_branch
from kiro_worker.runner.repository.commit import changes_between
from kiro_worker.runner.repository.submodules import Source, load_submodules
from kiro_worker.runner.trust.steering import git_reader, load_steering, s3_reader

if TYPE_CHECKING:
    from kiro_worker.runner.edges import Edges
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.submodules import Submodules
    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.runner.trust.guard import Guard
    from kiro_worker.runner.trust.steering import Steering


def check_out_request(request: BuildRequest, edges: Edges) -> Checkout:
    """Return the checkout of the pinned commit. The redaction learns the git credentials before git uses them."""
    credentials = edges.load_git_credentials()
    edges.redaction.know(credentials.password, f"{credentials.username}:{credentials.password}")
    return check_out(
        request,
        edges.workspace,
        edges.configuration.git_url,
        credentials,
        edges.environment,
        lfs=edges.configuration.lfs,
    )


def fetch_submodules(request: BuildRequest, edges: Edges, checkout: Checkout, guard: Guard) -> Submodules:
    """Return the submodules of the checked-out commit. The guard must have checked ``.gitmodules`` already."""
    source = Source(
        # One folder per commit, because after a rebase the submodules are fetched again.
        edges.workspace / checkout.commit,
        edges.configuration.git_url,
        request.repository,
        edges.load_git_credentials(),
        edges.environment,
    )
    return load_submodules(checkout, fetch_default_branch(checkout), source, guard.require_trusted_submodule)


def read_central_steering(source: str, edges: Edges) -> Steering:
    """Return the steering files that ``source``, an S3 prefix or a path in a repository, holds."""
    if source.startswith("s3://"):
        return load_steering(source, s3_reader(source, edges.s3()))
    git_url, credentials = edges.configuration.git_url, edges.load_git_credentials()
    return load_steering(source, git_reader(source, edges.workspace, git_url, credentials, edges.environment))


def note_work(request: BuildRequest, checkout: Checkout, commit: str, progress: BuildProgress) -> None:
    """Record what ``commit`` changes since the pinned commit, and how many tasks it leaves open."""
    change = changes_between(checkout, commit)
    progress.files_changed, progress.patch = change.files, change.patch
    progress.done_before = tasks_done_before(request, checkout, commit)
    note_tasks(load_task_list(checkout, request.spec_path, commit), progress)
