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

from kiro_worker.errors import BuildStopped
from kiro_worker.models import EXECUTION_TRAILER
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.lfs import touched_pointers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.request import BuildRequest

_HASH: Final = re.compile(r"[0-9a-f]{40}")
_PLAINLY: Final = ("--binary", "--no-ext-diff", "--no-textconv", "--no-color")
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


@dataclass(frozen=True)
class CommitMessage:
    """How a commit of ours is called; ``trailers`` say whose it is and what it finished."""

    title: str
    body: str
    trailers: tuple[str, ...]


def execution_trailer(request: BuildRequest) -> str:
    """Whose commit it is: :func:`~kiro_worker.runner.repository.checkout.published_earlier` looks for it."""
    return f"{EXECUTION_TRAILER}: {request.owner}"


def commit_turn(
    checkout: Checkout,
    base: str,
    found: str,
    tree: str,
    label: CommitMessage,
    log: Callable[[str], None],
    *,
    with_its_commits: bool = True,
    unseen: tuple[str, ...] = (),
) -> str:
    """Commit ``tree`` on top of ``base`` and, unless it is not to be, of the agent's own commits where it made some.
    ``found`` is the tree as the agent left it, which ``tree`` may differ from by the boxes that we ticked. Commits that
    say anything of ``unseen`` files, or of files of LFS, are not kept.
    """
    git = checkout.git
    head = _adopted_head(checkout, base, log) if with_its_commits else base
    if head != base and _touched(checkout, base, head, unseen):
        log("the agent's own commits are not kept, only its files: they hold central steering files")
        head = base
    if head != base and git.lfs and touched_pointers(git, f"{base}..{head}", found):
        # Whether it has the objects for these pointers, or the files themselves in their place, is its own affair.
        log("the agent's own commits are not kept, only its files: they change files of LFS")
        head = base
    if head != base and found == git.text("rev-parse", f"{head}^{{tree}}"):
        with_execution_trailer = _rewrite_commit(
            checkout, head, git.text("rev-parse", f"{head}^@").split(), tree, label.trailers, log
        )
        if with_execution_trailer:
            return with_execution_trailer
    lines = [label.title, "", label.body, "", *label.trailers, ""]
    return _commit(checkout, tree, [head], "\n".join(lines))


def with_execution_trailer(checkout: Checkout, request: BuildRequest, commit: str, log: Callable[[str], None]) -> str:
    """``commit`` with this execution's trailer: itself if it has it, else written again."""
    trailer = execution_trailer(request)
    if trailer in checkout.git.text("show", "--no-patch", "--format=%(trailers:unfold)", commit).splitlines():
        return commit
    parents = checkout.git.text("rev-parse", f"{commit}^@").split()
    tree = checkout.git.text("rev-parse", f"{commit}^{{tree}}")
    return _rewrite_commit(checkout, commit, parents, tree, (trailer,), log) or commit


def rebased(checkout: Checkout, base: str, tip: str, onto: str, log: Callable[[str], None]) -> str:
    """The commits ``base..tip`` on top of ``onto``, each with its author and message; empty when they do not apply
    cleanly.

    In the repository alone, without a work tree. git 2.39 has no ``merge-tree --merge-base``, so that a commit is
    rebased as the merge with one whose parent is the rebased commit's parent, and whose tree is what it goes onto.
    """
    git = checkout.git
    for line in git.text("rev-list", "--reverse", "--topo-order", "--parents", f"{base}..{tip}").splitlines():
        commit, *parents = line.split()
        if len(parents) != 1:
            log(f"{commit[:12]} is a merge, which is not rebased")
            return ""
        onto_tree = git.text("rev-parse", f"{onto}^{{tree}}")
        side = _commit(checkout, onto_tree, parents, "side\n")
        try:
            # May ask the remote for contents that a partial clone left there.
            tree = git.network("merge-tree", "--write-tree", side, commit).splitlines()[0]
        except GitFailed:
            log(f"{commit[:12]} does not apply cleanly to {onto[:12]}")
            return ""
        if tree != onto_tree:
            onto = _rewrite_commit(checkout, commit, [onto], tree, (), log)
            if not onto:
                return ""
    return onto


def with_file(checkout: Checkout, path: str, content: bytes) -> str:
    """The tree of what is in the index, with this file in it; the file is put into the checkout, too."""
    git = checkout.git
    blob = git.run("hash-object", "-w", "--stdin", stdin=content).decode().strip()
    git.run("update-index", "--add", "--replace", "--cacheinfo", f"100644,{blob},{path}", in_work_tree=True)
    git.run("checkout-index", "--force", "--quiet", "--", path, in_work_tree=True)
    return git.text("write-tree")


def file_in(checkout: Checkout, tree: str, path: str) -> str | None:
    """A regular file's text in a commit or tree; ``None`` when there is none."""
    entry = checkout.git.text("ls-tree", tree, "--", path).split()
    if len(entry) < 3 or entry[0] not in ("100644", "100755"):
        return None
    return checkout.git.run("cat-file", "blob", entry[2]).decode(errors="surrogateescape")


def changes_between(checkout: Checkout, commit: str) -> Change:
    """What ``commit`` changes since the pinned commit."""
    git = checkout.git
    told = git.run("diff-tree", "-r", "-z", "--no-renames", "--raw", "-p", *_PLAINLY, checkout.commit, commit)
    # ":<modes, objects and what was done>" and the name, a pair a file; an empty one ends them, and the patch follows.
    raw, _, patch = told.partition(b"\0\0")
    return Change(
        commit,
        tuple(name.decode(errors="replace") for name in raw.split(b"\0")[1::2]),
        patch,
        git.run("log", "--format=%an%n%ae%n%B", "-p", *_PLAINLY, f"{checkout.commit}..{commit}"),
    )


def patch_between(checkout: Checkout, tree: str) -> bytes:
    """How a commit or tree differs from the pinned commit."""
    return checkout.git.run("diff-tree", "-p", *_PLAINLY, checkout.commit, tree)


def tree_of_files(checkout: Checkout, log: Callable[[str], None]) -> str:
    """The tree of what the agent left in its folder. Raises :class:`BuildStopped` (AgentFailed) when there is none."""
    if not checkout.folder.is_dir():
        raise BuildStopped(Outcome.AGENT_FAILED, "the agent removed the folder it was to work in")
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
        raise BuildStopped(
            Outcome.AGENT_FAILED, "what the agent left cannot be committed", details=failure.error
        ) from None


def _nested_repositories(folder: Path) -> list[Path]:
    found = []
    for parent, folders, files in os.walk(folder):
        here = [name for name in (*folders, *files) if name.lower() == ".git"]
        if Path(parent) != folder:
            found += [Path(parent, name) for name in here]
        folders[:] = [name for name in folders if name not in here]
    return found


def _adopted_head(checkout: Checkout, base: str, log: Callable[[str], None]) -> str:
    """The agent's last commit, its objects taken over, if it descends from ``base``; else ``base``."""
    head = _head_of(checkout.folder / ".git")
    if head in ("", base):
        return base
    git = checkout.git
    borrowed = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(checkout.folder / ".git" / "objects"), "GIT_NO_LAZY_FETCH": "1"}
    try:
        pack = git.run(
            *("pack-objects", "--revs", "--stdout", "--quiet"),
            stdin=f"{head}\n^{base}\n".encode(),
            environment=borrowed,
        )
        git.run("index-pack", "--stdin", "--strict", stdin=pack)
        git.run("merge-base", "--is-ancestor", base, head)
    except GitFailed as failure:
        log(f"the agent's own commits are not kept, only its files: {failure}")
        return base
    return head


def _touched(checkout: Checkout, base: str, head: str, paths: tuple[str, ...]) -> bool:
    """Whether any commit above ``base``, merges included, changes one of the files."""
    if not paths:
        return False
    specs = (f":(top,literal){path}" for path in paths)
    every = ("-m", "--full-history", "--max-count=1", "--format=%H")
    return bool(checkout.git.text("log", *every, f"{base}..{head}", "--", *specs))


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


def _rewrite_commit(
    checkout: Checkout,
    commit: str,
    parents: list[str],
    tree: str,
    trailers: tuple[str, ...],
    log: Callable[[str], None],
) -> str:
    """The same commit, by its author and with its message, with other parents, another tree and more trailers; empty
    when git cannot write such a commit. So an agent that committed everything itself gets no empty commit on top.
    """
    git = checkout.git
    try:
        raw = git.text("show", "--no-patch", "--format=%an%x00%ae%x00%aI%x00%B", commit)
        name, email, date, message = raw.split("\0", 3)
        text = f"{message.rstrip()}\n".encode()
        if trailers:
            words = [word for trailer in trailers for word in ("--trailer", trailer)]
            text = git.run("interpret-trailers", "--no-divider", *words, stdin=text)
        author = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email, "GIT_AUTHOR_DATE": date}
        return _commit(checkout, tree, parents, text.decode(errors="replace"), author)
    except (GitFailed, ValueError) as failure:
        log(f"the commit {commit[:12]} cannot be written again: {failure}")
        return ""


def _commit(
    checkout: Checkout, tree: str, parents: list[str], message: str, author: Mapping[str, str] | None = None
) -> str:
    words = [word for parent in parents for word in ("-p", parent)]
    return checkout.git.run("commit-tree", tree, *words, stdin=message.encode(), environment=author).decode().strip()
