"""The steps of the pipeline that only read: checkout, settings, submodules, steering files, and a commit's changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.config.repository_file import LARGEST_REPOSITORY_FILE, misnamed, parse_repository_file
from kiro_worker.config.resolve import resolve
from kiro_worker.config.settings import MISNAMED_FILE, REPOSITORY_FILE
from kiro_worker.errors import WorkItemInvalid
from kiro_worker.records.runs import read_run
from kiro_worker.runner.agent.task_list import load_task_list, note_tasks, tasks_done_in
from kiro_worker.runner.repository.checkout import check_out, fetch_default_branch
from kiro_worker.runner.repository.commit import changes_between
from kiro_worker.runner.repository.entries import find_entry
from kiro_worker.runner.repository.own_push import pushed_before_pinned, pushed_since_pinned
from kiro_worker.runner.repository.submodules import Source, load_submodules
from kiro_worker.runner.trust.steering import git_reader, load_steering, s3_reader

if TYPE_CHECKING:
    from kiro_worker.config.settings import Settings
    from kiro_worker.records.checkpoints import KeptWork
    from kiro_worker.runner.edges import Edges
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.checkpoint import Checkpoint
    from kiro_worker.runner.repository.submodules import Submodules
    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.runner.trust.guard import Guard
    from kiro_worker.runner.trust.steering import Steering

_AGAIN: Final = "move the card back"


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
        with_references=True,
    )


def read_settings(request: BuildRequest, edges: Edges, checkout: Checkout, *, has_pushed: bool = False) -> Settings:
    """Return the effective settings of the repository, whose own file is read from the default branch.

    A wrong file does not keep the run from reporting what it ``has_pushed``. Raises :class:`WorkItemInvalid`,
    :class:`ConfigurationInvalid` or :class:`BuildStopped` (CheckoutFailed).
    """
    try:
        return _read_settings(request, edges, checkout)
    except WorkItemInvalid:
        if not has_pushed:
            raise
        return resolve(edges.configuration, request.repository)


def _read_settings(request: BuildRequest, edges: Edges, checkout: Checkout) -> Settings:
    git, default = checkout.git, fetch_default_branch(checkout)
    entry = find_entry(git, default, REPOSITORY_FILE)
    where = f"on the default branch ({default[:12]})"
    source = f"{REPOSITORY_FILE} {where}"
    file = None
    if entry:
        if not entry.is_regular_file:
            raise WorkItemInvalid(f"{source} is not a file", f"commit the file itself, then {_AGAIN}")
        # The partial clone has the contents of the branch only.
        git.fetch_objects([entry.oid])
        if (size := int(git.text("cat-file", "-s", entry.oid))) > LARGEST_REPOSITORY_FILE:
            raise WorkItemInvalid(
                f"{source} is {size} bytes, but the limit is {LARGEST_REPOSITORY_FILE}", f"shorten it, then {_AGAIN}"
            )
        file = parse_repository_file(git.run("cat-file", "blob", entry.oid).decode(errors="replace"), source)
    elif find_entry(git, default, MISNAMED_FILE):
        raise misnamed(f"{MISNAMED_FILE} {where}")
    return resolve(edges.configuration, request.repository, file)


def find_earlier_push(request: BuildRequest, edges: Edges, checkout: Checkout) -> str:
    """Return the commit that an earlier attempt of this execution pushed to the branch; empty if there is none.

    If another push followed before this attempt validated the branch, and left a task open, that task is new work, and
    the earlier push does not count.
    """
    run = read_run(edges.records, request.owner) if edges.records else None
    if run is None or not run.is_about(request.repository, request.branch):
        return ""
    if commit := pushed_since_pinned(checkout, run.commits):
        return commit
    is_done = not load_task_list(checkout, request.spec_path, checkout.commit).open
    return pushed_before_pinned(checkout, run.commits) if is_done else ""


def note_done_before(
    request: BuildRequest, checkout: Checkout, checkpoint: Checkpoint, start: KeptWork, progress: BuildProgress
) -> None:
    """Record which tasks were done before this run, whose work continues from ``start``.

    On the first attempt, they are those that are done in ``start``. A later attempt knows them from the record that the
    first one wrote. What a person has ticked on the branch since then is not the run's own work, either.
    """
    earlier = checkpoint.recorded_done_before if checkpoint.commit else None
    done = tasks_done_in(checkout, request.spec_path, start.commit if earlier is None else checkout.commit)
    checkpoint.done_before = progress.done_before = done | (earlier or frozenset())
    if not start.is_empty:
        note_tasks(load_task_list(checkout, request.spec_path, start.commit), progress)


def note_earlier_push(
    request: BuildRequest, checkout: Checkout, checkpoint: Checkpoint, commit: str, progress: BuildProgress
) -> None:
    """Record what an earlier attempt pushed with ``commit``. Nothing is new if the pinned commit descends from it.

    Which tasks were done before is known from the attempt's checkpoint, or else, if the pinned commit has none of its
    work, from that.
    """
    is_newer = checkout.git.succeeds("merge-base", "--is-ancestor", checkout.commit, commit)
    progress.done_before = checkpoint.recorded_done_before
    if progress.done_before is None and is_newer and commit != checkout.commit:
        progress.done_before = tasks_done_in(checkout, request.spec_path, checkout.commit)
    note_work(request, checkout, commit if is_newer else checkout.commit, progress)


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
    return load_submodules(checkout, guard.trusted_gitlinks(checkout), source, guard.require_trusted_submodule)


def read_central_steering(source: str, edges: Edges) -> Steering:
    """Return the steering files that ``source``, an S3 prefix or a path in a repository, holds."""
    if source.startswith("s3://"):
        return load_steering(source, s3_reader(source, edges.s3()))
    git_url, credentials = edges.configuration.git_url, edges.load_git_credentials()
    return load_steering(source, git_reader(source, edges.workspace, git_url, credentials, edges.environment))


def note_rebased_work(request: BuildRequest, checkout: Checkout, commit: str, progress: BuildProgress) -> None:
    """Record what ``commit`` changes on top of the other push. What that push ticked was done before this run."""
    ticked = tasks_done_in(checkout, request.spec_path, checkout.commit)
    progress.done_before = ticked | (progress.done_before or frozenset())
    note_work(request, checkout, commit, progress)


def note_work(request: BuildRequest, checkout: Checkout, commit: str, progress: BuildProgress) -> None:
    """Record what ``commit`` changes since the pinned commit, and how many tasks it leaves open."""
    change = changes_between(checkout, commit)
    progress.files_changed, progress.patch = change.files, change.patch
    note_tasks(load_task_list(checkout, request.spec_path, commit), progress)


def note_kept(checkpoint: Checkpoint, progress: BuildProgress) -> None:
    """Record where the work is kept, and that nothing is wrong with it."""
    has_work = checkpoint.has_work
    progress.checkpoint_ref = checkpoint.ref if has_work else ""
    progress.checkpoint_commit = checkpoint.commit if has_work else ""
    progress.checkpoint_ignored, progress.checkpoint_problem = checkpoint.ignored, ""
