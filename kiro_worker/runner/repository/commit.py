"""Turn what the agent left in its folder into a commit in the trusted repository.

If anything is wrong in the agent's ``.git``, the files themselves are still committed on top of the commit at which the
turn began, so that a broken repository loses the agent's commit messages and nothing else.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.commit_rules.subject import fits_template, subject_line
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.adopt import adopt_head
from kiro_worker.runner.repository.agent_message import agent_message
from kiro_worker.runner.repository.commit_style import SIGN_OFF, CommitStyle
from kiro_worker.runner.repository.entries import REGULAR_FILE, decode_path, encode_path, find_entry
from kiro_worker.runner.repository.git import NEVER_COMMITTED, GitFailed
from kiro_worker.runner.repository.git_causes import TRANSIENT
from kiro_worker.runner.repository.lfs import touched_pointers
from kiro_worker.runner.sandbox.printable import listed, printable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.commit_style import CommitMessage

_PLAIN_PATCH: Final = ("--binary", "--no-ext-diff", "--no-textconv", "--no-color")


@dataclass(frozen=True)
class Change:
    """The change from the pinned commit to ``commit``; ``history`` contains every patch and message in between."""

    commit: str
    files: tuple[str, ...]
    patch: bytes = field(repr=False)
    history: bytes = field(repr=False)


def commit_turn(
    checkout: Checkout,
    base: str,
    agent_tree: str,
    tree: str,
    message: CommitMessage,
    log: Callable[[str], None],
    *,
    adopt_commits: bool = True,
    excluded: tuple[str, ...] = (),
    style: CommitStyle | None = None,
) -> str:
    """Commit ``tree`` on top of ``base``, or on top of the agent's own commits if it made any and they may be kept.

    ``agent_tree`` is the tree as the agent left it; ``tree`` can differ in the task boxes that the worker ticked.
    The agent's commits are dropped without ``adopt_commits``, and if any of them touches an ``excluded`` file or an
    LFS file. Those that are kept are written anew in ``style``, because the agent can forge authors and messages.
    """
    git = checkout.git
    head = adopt_head(checkout, base, log) if adopt_commits else base
    if head != base and _touches(checkout, base, head, excluded):
        log("the agent's own commits are not kept, only its files: the commits contain central steering files")
        head = base
    if head != base and git.lfs and touched_pointers(git, f"{base}..{head}", agent_tree):
        # The agent may have committed pointers without their objects, or contents in place of pointers.
        log("the agent's own commits are not kept, only its files: the commits change LFS files")
        head = base
    if head != base:
        head = _written_anew(checkout, base, head, message.title, style or CommitStyle(), log)
    if head != base and agent_tree == git.text("rev-parse", f"{head}^{{tree}}"):
        # The agent committed everything itself: amend its last commit, so that no empty commit goes on top.
        parents = git.text("rev-parse", f"{head}^@").split()
        if amended := rewrite_commit(checkout, head, parents, tree, message.trailers, log):
            return amended
    return write_commit(checkout, tree, [head], str(message))


def rebased(checkout: Checkout, base: str, tip: str, onto: str, log: Callable[[str], None]) -> dict[str, str]:
    """Rebase the commits ``base..tip`` onto ``onto``. Return what becomes of each of them, and of ``base``.

    A commit that changes nothing there becomes the one before it. Empty if they do not apply cleanly. Raises
    :class:`GitFailed` if the server gives no usable answer, because that says nothing about the commits.
    Authors and messages are kept. This needs no work tree. git 2.39 has no ``merge-tree --merge-base``, so each commit
    is merged with a synthetic one that has the original commit's parent as its parent and the new parent's tree.
    """
    git, moved = checkout.git, {base: onto}
    for line in git.text("rev-list", "--reverse", "--topo-order", "--parents", f"{base}..{tip}").splitlines():
        commit, *parents = line.split()
        if len(parents) != 1:
            log(f"{commit[:12]} is a merge commit, which cannot be rebased")
            return {}
        onto_tree = git.text("rev-parse", f"{onto}^{{tree}}")
        side = write_commit(checkout, onto_tree, parents, "side\n")
        try:
            # May fetch contents that the partial clone left on the server.
            tree = git.network("merge-tree", "--write-tree", side, commit).splitlines()[0]
        except GitFailed as failure:
            if failure.answer.cause in TRANSIENT:
                raise
            log(f"{commit[:12]} does not apply cleanly to {onto[:12]}")
            return {}
        if tree != onto_tree:
            onto = rewrite_commit(checkout, commit, [onto], tree, (), log)
            if not onto:
                return {}
        moved[commit] = onto
    return moved


def with_file(checkout: Checkout, path: str, content: bytes) -> str:
    """Return the tree of the index with ``content`` at ``path``. Updates the index and the checkout as well."""
    git = checkout.git
    blob = git.run("hash-object", "-w", "--stdin", stdin=content).decode().strip()
    git.run("update-index", "--add", "--replace", "--cacheinfo", f"{REGULAR_FILE},{blob},{path}", in_work_tree=True)
    git.run("checkout-index", "--force", "--quiet", "--", path, in_work_tree=True)
    return git.text("write-tree")


def file_in(checkout: Checkout, tree: str, path: str) -> str | None:
    """Return the text of a regular file in a commit or tree, or None."""
    entry = find_entry(checkout.git, tree, path)
    if entry is None or not entry.is_regular_file:
        return None
    return checkout.git.run("cat-file", "blob", entry.oid).decode(errors="surrogateescape")


def changes_between(checkout: Checkout, commit: str) -> Change:
    """Return what ``commit`` changes compared with the pinned commit."""
    git = checkout.git
    diff = git.run("diff-tree", "-r", "-z", "--no-renames", "--raw", "-p", *_PLAIN_PATCH, checkout.commit, commit)
    # For each file ":<modes, objects, status>" and its path; an empty field ends the list, and the patch follows.
    raw, _, patch = diff.partition(b"\0\0")
    return Change(
        commit,
        tuple(printable_name(decode_path(path)) for path in raw.split(b"\0")[1::2]),
        patch,
        git.run("log", "--format=%an%n%ae%n%B", "-p", *_PLAIN_PATCH, f"{checkout.commit}..{commit}"),
    )


def patch_between(checkout: Checkout, tree: str) -> bytes:
    """Return the patch from the pinned commit to a commit or tree."""
    return checkout.git.run("diff-tree", "-p", *_PLAIN_PATCH, checkout.commit, tree)


def tree_of_files(
    checkout: Checkout, log: Callable[[str], None], is_setups: Callable[[str], bool] | None = None
) -> str:
    """Return the tree of the files in the checkout, as the agent left them.

    Files for which ``is_setups`` is true are as setup created them, and are left out. Raises :class:`BuildStopped`
    (AgentFailed) if the files cannot be committed.
    """
    remedy = "read agent.log in the artifacts to see what the agent did, then redrive the execution"
    if not checkout.folder.is_dir():
        raise BuildStopped(Outcome.AGENT_FAILED, f"the agent removed its working folder, {checkout.folder}", remedy)
    # `git add` would run git in a nested repository, with that one's configuration, and commit a dangling gitlink.
    for nested in _nested_repositories(checkout.folder):
        log(f"{nested.relative_to(checkout.folder)} is a nested repository: its files are committed as plain files")
        if nested.is_dir() and not nested.is_symlink():
            shutil.rmtree(nested)
        else:
            nested.unlink()
    try:
        checkout.git.run("add", "--all", in_work_tree=True)
        if is_setups:
            _add_changed_files_of_setup(checkout, log, is_setups)
        return checkout.git.text("write-tree")
    except GitFailed as failure:
        # Not a fault of the branch: the checkout proved that its own files can be committed.
        reason = f"git cannot commit the files that the agent left: {failure.answer.quote}"
        raise BuildStopped(Outcome.AGENT_FAILED, reason, remedy, failure.error) from None


def _add_changed_files_of_setup(
    checkout: Checkout, log: Callable[[str], None], is_setups: Callable[[str], bool]
) -> None:
    """Add the files that the agent changed or created among those of setup, which ``info/exclude`` names.

    The branch's ``.gitignore`` still applies. Links are left out, because those of setup may lead anywhere.
    """
    git = checkout.git
    excluded = [f"--exclude={pattern}" for pattern in NEVER_COMMITTED.split()]
    names = git.run(*("ls-files", "--others", "-z", "--exclude-per-directory=.gitignore", *excluded), in_work_tree=True)
    changed = [path for path in decode_path(names).split("\0") if path and not is_setups(path)]
    files = [path for path in changed if not (checkout.folder / path).is_symlink()]
    for link in sorted({*changed} - {*files}):
        log(f"not committed, because setup created it: the symbolic link {printable_name(link)}")
    if files:
        log(f"committed, because the agent changed what setup created: {listed(files, printable_name)}")
        paths = b"".join(encode_path(path) + b"\0" for path in files)
        options = ("--force", "--pathspec-from-file=-", "--pathspec-file-nul")
        git.run("--literal-pathspecs", "add", *options, stdin=paths, in_work_tree=True)


def _nested_repositories(folder: Path) -> list[Path]:
    """Return every ``.git``, a folder or a file, below ``folder`` but not directly in it."""
    nested = []
    for parent, folders, files in os.walk(folder):
        repositories = [name for name in (*folders, *files) if name.lower() == ".git"]
        if Path(parent) != folder:
            nested += [Path(parent, name) for name in repositories]
        folders[:] = [name for name in folders if name not in repositories]
    return nested


def _touches(checkout: Checkout, base: str, head: str, paths: tuple[str, ...]) -> bool:
    """Return whether any commit in ``base..head``, merges included, changes one of ``paths``."""
    if not paths:
        return False
    specs = (f":(top,literal){path}" for path in paths)
    options = ("-m", "--full-history", "--max-count=1", "--format=%H")
    return bool(checkout.git.text("log", *options, f"{base}..{head}", "--", *specs))


def _written_anew(
    checkout: Checkout, base: str, head: str, title: str, style: CommitStyle, log: Callable[[str], None]
) -> str:
    """Return the last of the agent's commits ``base..head``, each with our author and a message that nobody obeys.

    Signatures and other headers are dropped. Returns ``base``, which drops the commits, if git cannot read them.
    ``title`` is the subject of a commit that has none.
    """
    git, anew = checkout.git, {base: base}
    try:
        for line in git.text("rev-list", "--reverse", "--topo-order", "--parents", f"{base}..{head}").splitlines():
            commit, *parents = line.split()
            text = git.run("show", "--no-patch", "--format=%B", commit).decode(errors="replace")
            message = str(agent_message(text, style, title))
            anew[commit] = write_commit(
                checkout,
                f"{commit}^{{tree}}",
                [anew.get(parent, parent) for parent in parents],
                message,
                style.identity,
            )
    except GitFailed as failure:
        log(f"the agent's own commits are not kept, only its files: {failure}")
        return base
    return anew[head]


def rewrite_commit(
    checkout: Checkout,
    commit: str,
    parents: list[str],
    tree: str,
    trailers: tuple[str, ...],
    log: Callable[[str], None],
    style: CommitStyle | None = None,
) -> str:
    """Write a copy of ``commit`` with other parents, another tree and more trailers, but the same author and message.

    With ``style``, author, subject and sign-off are those of the style. Returns the copy; empty if git cannot write it.
    """
    git = checkout.git
    try:
        raw = git.text("show", "--no-patch", "--format=%an%x00%ae%x00%aI%x00%B", commit)
        name, email, date, message = raw.split("\0", 3)
        author = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email, "GIT_AUTHOR_DATE": date}
        if style:
            author |= style.identity
            trailers += style.sign_offs
            subject, *rest = message.split("\n")
            if not fits_template(subject, style.subject):
                subject = subject_line(subject, style.subject)
            message = "\n".join([subject, *(line for line in rest if not line.startswith(f"{SIGN_OFF}:"))])
        text = f"{message.rstrip()}\n".encode()
        if trailers:
            options = [word for trailer in trailers for word in ("--trailer", trailer)]
            text = git.run("interpret-trailers", "--no-divider", "--if-exists=addIfDifferent", *options, stdin=text)
        return write_commit(checkout, tree, parents, text.decode(errors="replace"), author)
    except (GitFailed, ValueError) as failure:
        log(f"the commit {commit[:12]} cannot be rewritten: {failure}")
        return ""


def write_commit(
    checkout: Checkout, tree: str, parents: list[str], message: str, author: Mapping[str, str] | None = None
) -> str:
    """Write a commit and return it. ``author``, git's environment variables, replaces the worker's own name."""
    options = [word for parent in parents for word in ("-p", parent)]
    return checkout.git.run("commit-tree", tree, *options, stdin=message.encode(), environment=author).decode().strip()
