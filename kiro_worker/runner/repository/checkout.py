"""The pinned commit in a folder that the agent may do with as it likes, and a repository that it may not.

::

    <workspace>/trusted.git   bare; fetched and pushed by the worker, its configuration is ours
    <workspace>/checkout/     the files, and a .git of the agent's own that borrows the trusted objects

Nothing that the agent does to its ``.git`` (configuration, hooks, remotes, credential helpers, filters, fsmonitor) has
an effect on us, because the worker never runs git on it. See :mod:`kiro_worker.runner.repository.commit` for the way back.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.models import EXECUTION_TRAILER
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.git import AUTHOR_EMAIL, AUTHOR_NAME, NEVER_COMMITTED, Git, GitFailed
from kiro_worker.runner.repository.lfs import files_missing, require_git_lfs
from kiro_worker.runner.sandbox.untrusted_files import leads_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.models import GitCredentials
    from kiro_worker.runner.request import BuildRequest

_FILTERED: Final = "--filter=blob:none"
_SHALLOW: Final = "--depth=1"
FETCH_MODES: Final = (_FILTERED, _SHALLOW, "")
"""How to fetch. Without the old blobs a large history is a fraction of its size. A server that refuses, at the fetch or
not before the blobs of the commit are asked for, is asked for the last commit alone, and then for everything."""
NEAR_PAST: Final = 50
"""So many commits come along, without their files, for an agent that asks ``git log`` how things are done here. Of a
long history the commits and trees alone take as long as all files of the last commit. Where it is older commits that
are in question, the rest is fetched: see :func:`descends`."""
_LINK: Final = "120000"
_DEFAULT: Final = "refs/kiro-worker/default"
CHECKPOINTS: Final = "kiro-worker/checkpoint"
"""The branch of that name and ours behind it is where a build keeps what is done: see checkpoint.py."""
_CHECKPOINT: Final = "refs/kiro-worker/checkpoint/"


@dataclass(frozen=True)
class Checkout:
    """``git`` works on the trusted repository; ``head`` is where the branch stood when it was fetched, with ``way`` as
    an option of ``git fetch``; more is fetched in the same way. ``default`` is where the default branch stood in that
    moment, and ``checkpoint`` where the checkpoint did: empty when there was none, ``None`` when nobody looked.
    """

    folder: Path
    git: Git
    branch: str
    commit: str
    head: str
    way: str = ""
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
) -> Checkout:
    """Fetch the branch and lay out the pinned commit, and no other; with ``lfs`` its LFS files, too. Raises
    :class:`BuildStopped` (CheckoutFailed).
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
    way, fetched = _fetch(git, request)
    _require_links_inside(git, request)
    give_the_agent_a_repository(git, request)
    checkpoint = None if way == _SHALLOW else fetched.get(_CHECKPOINT + request.branch, "")
    head, default = fetched[_tracking(request.branch)], fetched.get(_DEFAULT, "")
    return Checkout(git.work_tree, git, request.branch, request.commit, head, way, default, checkpoint)


def fetch_default_branch(checkout: Checkout) -> str:
    """The commit that the repository's default branch is at: what the checkout has of it, or else what the server has.
    Raises :class:`BuildStopped` (CheckoutFailed).
    """
    if checkout.default:
        return checkout.default
    git = checkout.git
    way = [checkout.way] if checkout.way else []
    try:
        git.network("fetch", "--quiet", "--no-tags", *way, "origin", f"+HEAD:{_DEFAULT}")
    except GitFailed as failure:
        raise _no_default_branch(failure) from None
    return git.text("rev-parse", "--verify", _DEFAULT)


def descends(git: Git, commit: str, ancestor: str) -> bool:
    """Whether ``commit`` is or comes from ``ancestor``, by all of the history when what is here of it says no. Raises
    :class:`GitFailed`.
    """
    question = ("merge-base", "--is-ancestor", ancestor, commit)
    if commit == ancestor or git.succeeds(*question):
        return True
    if not (git.directory / "shallow").is_file():
        return False
    # By their hashes, so that none of our references moves.
    here = git.text("for-each-ref", "--format=%(objectname)").split()
    git.network(
        *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--unshallow", _FILTERED, "origin"),
        *dict.fromkeys(here),
    )
    return git.succeeds(*question)


def fetch_contents(checkout: Checkout, commits: str) -> None:
    """Of the range ``commits`` also the files, in one request: a filter had left them on the server. Raises
    :class:`GitFailed`.
    """
    git = checkout.git
    objects = git.text("rev-list", "--objects", "--missing=print", commits).splitlines()
    if missing := [line[1:] for line in objects if line.startswith("?")]:
        git.network(
            *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", checkout.way, "origin", "--stdin"),
            stdin="".join(f"{name}\n" for name in missing).encode(),
        )


def links_leading_out(git: Git, commit: str) -> tuple[str, ...]:
    """The symbolic links of ``commit``, which is laid out, that end outside of the tree or in ``.git``."""
    entries = git.run("ls-tree", "-r", "-z", commit).decode(errors="surrogateescape").split("\0")
    links = (entry.partition("\t")[2] for entry in entries if entry.startswith(_LINK))
    return tuple(link for link in links if leads_out(git.work_tree, git.work_tree / link))


def published_earlier(checkout: Checkout, execution: str) -> str:
    """The commit of this very execution that the branch already carries, above the pinned one or as that one; empty
    when there is none.

    Then an earlier attempt pushed, and only its answer was lost, or the attempt itself before it could tell. A redrive
    validates the branch afresh, and what it pins is what that attempt pushed.
    """
    form = f"--format=%H %(trailers:key={EXECUTION_TRAILER},valueonly,separator=%x2C)"
    git = checkout.git
    above = git.text("log", form, f"{checkout.commit}..{checkout.head}")
    for line in (*above.splitlines(), git.text("log", "--max-count=1", form, checkout.commit)):
        commit, _, executions = line.partition(" ")
        if execution in executions.split(","):
            # Read once where the remote may be asked, so that the contents are here for whoever looks at them next.
            checkout.git.network("diff-tree", "-p", "--no-ext-diff", "--no-textconv", checkout.commit, commit)
            checkout.git.network(
                "log", "-p", "--no-ext-diff", "--no-textconv", "--format=", f"{checkout.commit}..{commit}"
            )
            return commit
    return ""


def require_unmoved_branch(checkout: Checkout) -> None:
    """A branch that moved since it was validated would reject the push: say so before the agent costs anything."""
    if checkout.head != checkout.commit:
        raise BuildStopped(
            Outcome.PUSH_REJECTED,
            f"{checkout.branch} moved from {checkout.commit[:12]} to {checkout.head[:12]} since the card was validated,"
            " so the agent was not started",
            "redrive the execution, or move the card back: the new head is then validated and built",
        )


def _fetch(git: Git, request: BuildRequest) -> tuple[str, dict[str, str]]:
    """Fetch the branch and lay out the commit in the first of the ways that the server goes along with: that way, and
    what was fetched, a commit a reference.
    """
    for way in FETCH_MODES:
        try:
            return way, _fetch_and_populate(git, request, way)
        except GitFailed as failure:
            if git.lfs and failure.command == "read-tree" and "git-lfs" in failure.error:
                raise files_missing(request, failure) from None
            failed = failure
    if "remote ref HEAD" in failed.error:
        raise _no_default_branch(failed)
    raise BuildStopped(
        Outcome.CHECKOUT_FAILED,
        f"the branch {request.branch} of {request.repository} cannot be fetched: git {failed.command} failed",
        "check that the branch exists and that the git credentials may read it",
        failed.error,
    )


def _fetch_and_populate(git: Git, request: BuildRequest, filtered: str) -> dict[str, str]:
    for folder in (git.directory, git.work_tree):
        shutil.rmtree(folder, ignore_errors=True)
    git.work_tree.mkdir(parents=True)
    _make_bare(git)
    # All that this build asks of the server, in one request: each costs a few round trips.
    wanted = [f"+refs/heads/{request.branch}:{_tracking(request.branch)}", f"+HEAD:{_DEFAULT}"]
    if filtered != _SHALLOW:
        # A pattern, for a branch that is named and is not there is an error, and mostly there is none.
        wanted.append(f"+refs/heads/{CHECKPOINTS}*/{request.branch}:{_CHECKPOINT[:-1]}*/{request.branch}")
    way = [filtered] if filtered else []
    if filtered == _FILTERED:
        way.append(f"--depth={NEAR_PAST}")
    git.network("fetch", "--quiet", "--no-tags", *way, "origin", *wanted)
    lines = git.text("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    fetched = dict(line.split() for line in lines)
    head = fetched[_tracking(request.branch)]
    if filtered == _SHALLOW and head != request.commit:
        raise GitFailed("fetch", "the validated commit is not the last one of its branch")
    _require_on_branch(git, request, head)
    git.network("read-tree", "--reset", "-u", request.commit, in_work_tree=True)
    return fetched


def _make_bare(git: Git) -> None:
    """What ``git init --bare`` makes, with the one remote."""
    for folder in ("objects/info", "objects/pack", "refs/heads", "info"):
        (git.directory / folder).mkdir(parents=True)
    (git.directory / "HEAD").write_text("ref: refs/heads/none\n")
    (git.directory / "info" / "exclude").write_text(NEVER_COMMITTED)
    url = git.url.replace("\\", "\\\\").replace('"', '\\"')
    (git.directory / "config").write_text(
        f'[core]\n\trepositoryformatversion = 0\n\tbare = true\n[remote "origin"]\n\turl = "{url}"\n'
    )


def _no_default_branch(failure: GitFailed) -> BuildStopped:
    return BuildStopped(
        Outcome.CHECKOUT_FAILED,
        "the default branch cannot be fetched, so nothing can be compared with it",
        "redrive the execution",
        failure.error,
    )


def _require_on_branch(git: Git, request: BuildRequest, head: str) -> None:
    if not descends(git, head, request.commit):
        raise BuildStopped(
            Outcome.CHECKOUT_FAILED,
            f"the validated commit {request.commit} is not on {request.branch} any more: the branch was rewritten",
            "redrive the execution, or move the card back: the new head is then validated and built",
        )


def _require_links_inside(git: Git, request: BuildRequest) -> None:
    if links := links_leading_out(git, request.commit):
        raise BuildStopped(
            Outcome.CHECKOUT_FAILED,
            f"symbolic links of {request.branch} leave the repository: {', '.join(map(ascii, links[:10]))}",
            "replace them by links to files of the repository, or by the files themselves",
        )


def give_the_agent_a_repository(git: Git, request: BuildRequest, unseen: tuple[str, ...] = ()) -> None:
    """A ``.git`` with which ``git status``, ``diff``, ``log`` and ``commit`` work for the agent, made without running
    anything that reads it. ``unseen`` are files in the checkout that are not for it to commit.
    """
    own = git.work_tree / ".git"
    for folder in ("objects/info", "objects/pack", "refs/heads", "info"):
        (own / folder).mkdir(parents=True)
    reference = own / "refs" / "heads" / request.branch
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(f"{request.commit}\n")
    (own / "HEAD").write_text(f"ref: refs/heads/{request.branch}\n")
    (own / "objects" / "info" / "alternates").write_text(f"{git.directory / 'objects'}\n")
    (own / "info" / "exclude").write_text(NEVER_COMMITTED + "".join(f"/{path}\n" for path in unseen))
    (own / "config").write_text(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tsymlinks = true\n[gc]\n\tauto = 0\n"
        f"[user]\n\tname = {AUTHOR_NAME}\n\temail = {AUTHOR_EMAIL}\n"
        f'[remote "origin"]\n\turl = {git.url}\n'
        # So that `git status` compares pointers, too. What only the server has stays a pointer for it.
        + ('[filter "lfs"]\n\tprocess = git-lfs filter-process --skip\n\trequired = false\n' if git.lfs else "")
    )
    shutil.copy(git.directory / "index", own / "index")
    if (git.directory / "shallow").is_file():
        shutil.copy(git.directory / "shallow", own / "shallow")


def _tracking(branch: str) -> str:
    return f"refs/remotes/origin/{branch}"
