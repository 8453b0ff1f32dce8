"""From what the agent left in its folder to a commit in the trusted repository.

The agent's ``.git`` is never opened as a repository: of it, one name is read (where its HEAD points) and its object
files are borrowed as data, checked by ``index-pack --strict``. Whatever is wrong there, the files themselves are still
committed on the pinned commit, so that a broken repository loses the agent's commit messages and nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.build.checkout import EXECUTION_TRAILER
from kiro_worker.build.git import GitFailed
from kiro_worker.build.outcome import Stopped
from kiro_worker.models import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kiro_worker.build.checkout import Checkout
    from kiro_worker.build.job import BuildJob

_HASH: Final = re.compile(r"[0-9a-f]{40}")
_BRANCH_HEAD: Final = re.compile(r"ref: (refs/heads/[A-Za-z0-9._/+#-]+)")


@dataclass(frozen=True)
class Change:
    """``commit`` in the trusted repository; ``files`` that differ from the pinned commit, and ``patch`` that says how;
    ``history`` is everything on the way there, messages too.
    """

    commit: str
    files: tuple[str, ...]
    patch: bytes = field(repr=False)
    history: bytes = field(repr=False)


def commit_work(checkout: Checkout, job: BuildJob, title: str, log: Callable[[str], None]) -> Change | None:
    """Commit what the agent changed, on top of its own commits where it made some; ``None`` when it changed nothing."""
    git = checkout.git
    tree = _tree_of_files(checkout, log)
    if tree == git.text("rev-parse", f"{checkout.commit}^{{tree}}"):
        return None
    head = _adopted_head(checkout, log)
    trailer = f"{EXECUTION_TRAILER}: {job.owner}"
    commit = ""
    if head != checkout.commit and tree == git.text("rev-parse", f"{head}^{{tree}}"):
        commit = _with_trailer(checkout, head, trailer, log)
    if not commit:
        message = f"{title}\n\nImplemented from the spec in {job.spec_path}.\n\n{trailer}\n"
        commit = _commit(checkout, tree, [head], message)
    return changes_between(checkout, commit)


def changes_between(checkout: Checkout, commit: str) -> Change:
    """What ``commit`` changes since the pinned commit."""
    git = checkout.git
    files = git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", checkout.commit, commit)
    plainly = ("--binary", "--no-ext-diff", "--no-textconv", "--no-color")
    return Change(
        commit,
        tuple(name.decode(errors="replace") for name in files.split(b"\0") if name),
        git.run("diff-tree", "-p", *plainly, checkout.commit, commit),
        git.run("log", "--format=%an%n%ae%n%B", "-p", *plainly, f"{checkout.commit}..{commit}"),
    )


def _tree_of_files(checkout: Checkout, log: Callable[[str], None]) -> str:
    if not checkout.folder.is_dir():
        raise Stopped(Outcome.AGENT_FAILED, "the agent removed the folder it was to work in")
    # `git add` would run git in a repository below, with that one's configuration, and commit a pointer to nowhere.
    for nested in _nested_repositories(checkout.folder):
        log(f"{nested.relative_to(checkout.folder)} is a repository of its own: its files are committed as plain files")
        if nested.is_dir() and not nested.is_symlink():
            shutil.rmtree(nested)
        else:
            nested.unlink()
    try:
        checkout.git.run("add", "--all", in_work_tree=True)
        return checkout.git.text("write-tree")
    except GitFailed as failure:
        raise Stopped(Outcome.AGENT_FAILED, "what the agent left cannot be committed", details=failure.error) from None


def _nested_repositories(folder: Path) -> list[Path]:
    found = []
    for parent, folders, files in os.walk(folder):
        here = [name for name in (*folders, *files) if name.lower() == ".git"]
        if Path(parent) != folder:
            found += [Path(parent, name) for name in here]
        folders[:] = [name for name in folders if name not in here]
    return found


def _adopted_head(checkout: Checkout, log: Callable[[str], None]) -> str:
    """The agent's last commit, its objects taken over, if it descends from the pinned one; else the pinned one."""
    head = _head_of(checkout.folder / ".git")
    if head in ("", checkout.commit):
        return checkout.commit
    git = checkout.git
    borrowed = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(checkout.folder / ".git" / "objects"), "GIT_NO_LAZY_FETCH": "1"}
    try:
        pack = git.run(
            *("pack-objects", "--revs", "--stdout", "--quiet"),
            stdin=f"{head}\n^{checkout.commit}\n".encode(),
            environment=borrowed,
        )
        git.run("index-pack", "--stdin", "--strict", stdin=pack)
        git.run("merge-base", "--is-ancestor", checkout.commit, head)
    except GitFailed as failure:
        log(f"the agent's own commits are not kept, only its files: {failure}")
        return checkout.commit
    return head


def _head_of(repository: Path) -> str:
    """The commit that HEAD names, read as text; empty when it is not what git writes there."""
    head = _small_file(repository / "HEAD")
    if match := _BRANCH_HEAD.fullmatch(head):
        name = match[1]
        head = _small_file(repository / name) if ".." not in name else ""
        if not head:
            lines = _small_file(repository / "packed-refs").splitlines()
            head = next((line[:40] for line in lines if line[40:] == f" {name}"), "")
    return head if _HASH.fullmatch(head) else ""


def _small_file(path: Path) -> str:
    try:
        # Not through a symbolic link, and not from a pipe, on which a reader waits for ever.
        if path.is_symlink() or not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(1 << 20).decode(errors="replace").strip()
    except OSError:
        return ""


def _with_trailer(checkout: Checkout, commit: str, trailer: str, log: Callable[[str], None]) -> str:
    """The same commit with our trailer, for an agent that committed everything itself gets no empty commit on top;
    empty when git cannot write such a commit again.
    """
    git = checkout.git
    try:
        raw = git.text("show", "--no-patch", "--format=%P%x00%an%x00%ae%x00%aI%x00%T%x00%B", commit)
        parents, name, email, date, tree, message = raw.split("\0", 5)
        signed = git.run(
            *("interpret-trailers", "--no-divider", "--trailer", trailer), stdin=f"{message.rstrip()}\n".encode()
        )
        author = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email, "GIT_AUTHOR_DATE": date}
        return _commit(checkout, tree, parents.split(), signed.decode(errors="replace"), author)
    except (GitFailed, ValueError) as failure:
        log(f"the agent's last commit cannot be signed, ours follows it: {failure}")
        return ""


def _commit(
    checkout: Checkout, tree: str, parents: list[str], message: str, author: Mapping[str, str] | None = None
) -> str:
    words = [word for parent in parents for word in ("-p", parent)]
    return checkout.git.run("commit-tree", tree, *words, stdin=message.encode(), environment=author).decode().strip()
