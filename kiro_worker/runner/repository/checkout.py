"""The pinned commit in a folder that the agent may change freely, and a repository that it cannot change.

::

    <workspace>/trusted.git   bare; the worker fetches into it and pushes from it, with its own configuration
    <workspace>/lent.git      the objects of the pinned commit, which other users may read
    <workspace>/checkout/     the files, and a separate .git for the agent that borrows the lent objects

Nothing that the agent does to its ``.git`` (configuration, hooks, remotes, credential helpers, filters, fsmonitor)
affects the worker, because the worker never runs git on it. :mod:`kiro_worker.runner.repository.commit` turns the files
into a commit.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.records.checkpoints import checkpoint_ref
from kiro_worker.runner.repository.agent_repository import create_agent_repository
from kiro_worker.runner.repository.attributes import keep_bytes
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import NEVER_COMMITTED, Git, GitFailed
from kiro_worker.runner.repository.git_causes import FINAL, Cause
from kiro_worker.runner.repository.layout import cannot_lay_out, is_local, require_sound_layout
from kiro_worker.runner.repository.lent_objects import lend_objects
from kiro_worker.runner.repository.lent_references import keep_references
from kiro_worker.runner.repository.lfs import lfs_files_missing, require_git_lfs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.models import GitCredentials
    from kiro_worker.runner.request import BuildRequest

BLOBLESS: Final = "--filter=blob:none"
SHALLOW: Final = "--depth=1"
FULL: Final = ""
FETCH_MODES: Final = (BLOBLESS, SHALLOW, FULL)
"""Options of ``git fetch``, in the order in which they are tried. Without old blobs, a large history shrinks to a
fraction of its size. If the server refuses that, during the fetch or when the commit's blobs are requested, the worker
fetches the last commit alone, and if that is not enough, everything."""
HISTORY_DEPTH: Final = 50
"""How many commits are fetched, without their blobs, so that the agent can read recent history with ``git log``. The
commits and trees of a long history take as long to fetch as all files of the last commit. Where older commits matter,
:func:`descends` fetches the rest."""
_DEFAULT: Final = "refs/kiro-worker/default"
_NOT_ADVERTISED: Final = re.compile("unadvertised object|not our ref")
"""https://github.com/git/git/blob/v2.39.5/fetch-pack.c and upload-pack.c"""


@dataclass(frozen=True)
class Checkout:
    """A checkout of ``commit``. ``git`` works on the trusted repository.

    ``head`` is the branch's head when it was fetched, with the option ``fetch_mode``, which later fetches also use.
    ``default`` is the request's commit of the default branch, or the head of that branch if it has none; empty if it is
    not fetched yet. ``checkpoint`` is what the server's ref for the branch's
    checkpoint held, no matter who pushed it: empty if there is none, and None if it was not fetched.
    """

    folder: Path
    git: Git
    branch: str
    commit: str
    head: str
    fetch_mode: str = FULL
    default: str = ""
    checkpoint: str | None = None


def check_out(
    request: BuildRequest,
    workspace: Path,
    git_url: str,
    credentials: GitCredentials | None,
    parent: Mapping[str, str],
    *,
    lfs: bool = False,
    with_references: bool = False,
) -> Checkout:
    """Fetch the branch and check out the pinned commit and no other; with ``lfs``, its LFS files as well.

    ``with_references`` gives the agent and the tests tags and the base, which costs more requests.
    Raises :class:`BuildStopped` (CheckoutFailed).
    """
    if lfs:
        require_git_lfs(parent)
    git = Git(
        workspace / "trusted.git",
        work_tree=workspace / "checkout",
        home=workspace / "git-home",
        url=f"{git_url}/{request.repository}.git",
        credentials=credentials,
        parent=parent,
        lfs=lfs,
    )
    fetch_mode, fetched = _fetch(git, request)
    require_sound_layout(git, request)
    head, default = fetched[_tracking(request.branch)], fetched.get(_DEFAULT, "")
    if with_references and fetch_mode != SHALLOW:
        keep_references(git, request.commit, default, _options(fetch_mode))
    lend_objects(git, request.commit)
    create_agent_repository(git, request)
    checkpoint = None if fetch_mode == SHALLOW else fetched.get(checkpoint_ref(request.branch), "")
    return Checkout(git.work_tree, git, request.branch, request.commit, head, fetch_mode, default, checkpoint)


def fetch_default_branch(checkout: Checkout) -> str:
    """Return the default branch's commit: the checkout's if it has one, or else the head of that branch on the server.

    Raises :class:`BuildStopped` (CheckoutFailed).
    """
    if checkout.default:
        return checkout.default
    git = checkout.git
    try:
        git.network("fetch", "--quiet", "--no-tags", *_options(checkout.fetch_mode), "origin", f"+HEAD:{_DEFAULT}")
    except GitFailed as failure:
        raise _no_default_branch(failure) from None
    return git.text("rev-parse", "--verify", _DEFAULT)


def descends(git: Git, commit: str, ancestor: str) -> bool:
    """Return whether ``commit`` is ``ancestor`` or descends from it. Fetches the rest of the history if it has to.

    Raises :class:`GitFailed`.
    """
    is_ancestor = ("merge-base", "--is-ancestor", ancestor, commit)
    if commit == ancestor or git.succeeds(*is_ancestor):
        return True
    if not (git.directory / "shallow").is_file():
        return False
    # Fetched by object ID, so that no reference moves.
    fetched = ("refs/remotes", _DEFAULT, "refs/kiro-worker/checkpoints")
    oids = git.text("for-each-ref", "--format=%(objectname)", *fetched).split()
    git.network(
        *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--unshallow", BLOBLESS, "origin"),
        *dict.fromkeys(oids),
    )
    return git.succeeds(*is_ancestor)


def fetch_contents(checkout: Checkout, commits: str) -> None:
    """Fetch the objects of the range or tree ``commits`` that a filter left on the server, in one request.

    Raises :class:`GitFailed`.
    """
    git = checkout.git
    objects = git.text("rev-list", "--objects", "--missing=print", commits).splitlines()
    if missing := [line[1:] for line in objects if line.startswith("?")]:
        git.fetch_objects(missing, *_options(checkout.fetch_mode))


def require_unmoved_branch(checkout: Checkout) -> None:
    """Raise :class:`BuildStopped` (PushRejected) if the branch moved since it was validated.

    Its push would be rejected, so the build stops before the agent costs anything.
    """
    if checkout.head != checkout.commit:
        raise BuildStopped(
            Outcome.PUSH_REJECTED,
            f"{checkout.branch} moved from {checkout.commit[:12]} to {checkout.head[:12]} since the card was validated,"
            " so the agent was not started",
            "redrive the execution, or move the card back, to validate and build the branch's new head",
        )


def _fetch(git: Git, request: BuildRequest) -> tuple[str, dict[str, str]]:
    """Fetch the branch and check out the commit with the first fetch mode that works.

    Returns that mode, and the fetched commits by reference.
    """
    for fetch_mode in FETCH_MODES:
        try:
            return fetch_mode, _fetch_and_populate(git, request, fetch_mode)
        except GitFailed as failure:
            if git.lfs and failure.command == "read-tree" and "git-lfs" in failure.error:
                raise lfs_files_missing(request, failure) from None
            if failure.command == "read-tree" and is_local(failure):
                raise cannot_lay_out(request, failure) from None
            last_failure = failure
            if failure.answer.cause in FINAL:
                break
    if "remote ref HEAD" in last_failure.error:
        raise _no_default_branch(last_failure)
    is_missing = last_failure.answer.cause is Cause.REFERENCE_MISSING
    raise stop_because(
        last_failure,
        Outcome.CHECKOUT_FAILED,
        f"the branch {request.branch} of {request.repository} cannot be fetched",
        "check that the branch exists and that the git credentials can read it",
        FaultOwner.CARD if is_missing else None,
    )


def _fetch_and_populate(git: Git, request: BuildRequest, fetch_mode: str) -> dict[str, str]:
    for folder in (git.directory, git.work_tree):
        shutil.rmtree(folder, ignore_errors=True)
    git.work_tree.mkdir(parents=True)
    _create_trusted_repository(git)
    # Fetch all that this build needs in one request, because each request takes several round trips.
    refspecs = [f"+refs/heads/{request.branch}:{_tracking(request.branch)}"]
    if fetch_mode != SHALLOW:
        # A pattern, because a refspec that names a missing ref fails, and usually there is no checkpoint.
        pattern = checkpoint_ref(request.branch).replace("refs/kiro-worker", "refs/kiro-worke*r", 1)
        refspecs.append(f"+{pattern}:{pattern}")
    options = _options(fetch_mode)
    if fetch_mode == BLOBLESS:
        options.append(f"--depth={HISTORY_DEPTH}")
    _fetch_with_default(git, request, options, refspecs)
    lines = git.text("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    fetched = dict(line.split() for line in lines)
    head = fetched[_tracking(request.branch)]
    if fetch_mode == SHALLOW and head != request.commit:
        raise GitFailed("fetch", "the validated commit is not the last one of its branch")
    _require_on_branch(git, request, head)
    git.network("read-tree", "--reset", "-u", request.commit, in_work_tree=True)
    return fetched


def _fetch_with_default(git: Git, request: BuildRequest, options: list[str], refspecs: list[str]) -> None:
    """Fetch the refs, and the recorded commit of the default branch, or the head of that branch if none is recorded.

    A server may refuse a commit that no ref points to. Then the default branch is fetched, and must contain the commit.
    """
    fetch, commit = ("fetch", "--quiet", "--no-tags", *options, "origin", *refspecs), request.default_commit
    if commit:
        try:
            git.network(*fetch, f"+{commit}:{_DEFAULT}")
        except GitFailed as failure:
            if not _NOT_ADVERTISED.search(failure.error):
                raise
        else:
            return
    git.network(*fetch, f"+HEAD:{_DEFAULT}")
    if commit:
        head = git.text("rev-parse", "--verify", _DEFAULT)
        if SHALLOW in options and head != commit:
            raise GitFailed("fetch", "the validated commit of the default branch is not its last one")
        if not descends(git, head, commit):
            raise BuildStopped(
                Outcome.CHECKOUT_FAILED,
                f"the commit {commit} is no longer on the default branch: that branch was rewritten",
                "redrive the execution, or move the card back, to validate the branch again",
            )
        git.run("update-ref", _DEFAULT, commit)


def _options(fetch_mode: str) -> list[str]:
    return [fetch_mode] if fetch_mode else []


def _create_trusted_repository(git: Git) -> None:
    """Create the files that ``git init --bare`` would create, with one remote."""
    for folder in ("objects/info", "objects/pack", "refs/heads", "info"):
        (git.directory / folder).mkdir(parents=True)
    (git.directory / "HEAD").write_text("ref: refs/heads/none\n")
    (git.directory / "info" / "exclude").write_text(NEVER_COMMITTED)
    keep_bytes(git.directory)
    url = git.url.replace("\\", "\\\\").replace('"', '\\"')
    (git.directory / "config").write_text(
        f'[core]\n\trepositoryformatversion = 0\n\tbare = true\n[remote "origin"]\n\turl = "{url}"\n'
    )


def _no_default_branch(failure: GitFailed) -> BuildStopped:
    attempted = "the default branch cannot be fetched, so the branch cannot be compared with it"
    return stop_because(failure, Outcome.CHECKOUT_FAILED, attempted, "redrive the execution")


def _require_on_branch(git: Git, request: BuildRequest, head: str) -> None:
    if not descends(git, head, request.commit):
        raise BuildStopped(
            Outcome.CHECKOUT_FAILED,
            f"the validated commit {request.commit} is no longer on {request.branch}: the branch was rewritten",
            "redrive the execution, or move the card back, to validate and build the branch's new head",
        )


def _tracking(branch: str) -> str:
    return f"refs/remotes/origin/{branch}"
