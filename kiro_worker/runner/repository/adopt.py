"""Copy the agent's own commits to the trusted repository, after every check that they have to pass.

The agent's ``.git`` is never opened as a repository. Only one name in it is read (the commit that HEAD points to), and
its object files are borrowed as data. What HEAD adds is first copied to a folder beside the trusted objects, where
``index-pack --strict`` checks it; as with a push to a server, it moves to the trusted objects only if it is accepted.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.repository.git import Git, GitFailed
from kiro_worker.runner.sandbox.untrusted_files import remove_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiro_worker.runner.repository.checkout import Checkout

MAX_COMMITS: Final = 1000
"""How many commits of one turn are kept."""
MAX_PACK_BYTES: Final = 1 << 30
"""How large they may be, compressed."""
_OID: Final = re.compile(r"[0-9a-f]{40}")
_BRANCH_HEAD: Final = re.compile(r"ref: (refs/heads/[A-Za-z0-9._/+#-]+)")
_NO_CACHES: Final = ("-c", "core.commitGraph=false", "-c", "core.multiPackIndex=false")
"""The agent's files beside its objects, which only repeat what the objects say, are not read."""


def adopt_head(checkout: Checkout, base: str, log: Callable[[str], None]) -> str:
    """Copy the agent's commits to the trusted repository, and return the last one if they may be kept.

    Otherwise returns ``base``: HEAD does not descend from it, the objects are malformed, or there are too many.
    """
    head = _head_of(checkout.folder / ".git")
    if head in ("", base):
        return base
    git = checkout.git
    try:
        # Git would follow it, as root. All that it may name is in the trusted repository.
        remove_file(checkout.folder / ".git" / "objects", "info/alternates")
    except OSError as error:
        log(f"the agent's own commits are not kept, only its files: {error.strerror}")
        return base
    with tempfile.TemporaryDirectory(prefix="incoming-", dir=git.directory) as folder:
        try:
            problem = _receive(git, checkout.folder / ".git" / "objects", Path(folder), f"{base}..{head}")
        except GitFailed as failure:
            problem = str(failure)
        if problem:
            log(f"the agent's own commits are not kept, only its files: {problem}")
            return base
        # The index comes last, because git looks for the other files once it sees one.
        for file in sorted(Path(folder, "pack").iterdir(), key=lambda path: path.suffix == ".idx"):
            file.rename(git.directory / "objects" / "pack" / file.name)
    return head


def _receive(git: Git, agents_objects: Path, folder: Path, commits: str) -> str:
    """Copy ``commits`` to ``folder``, and return why they cannot be kept; empty if they can. Raises `GitFailed`."""
    base, head = commits.split("..")
    trusted = git.directory / "objects"
    (folder / "pack").mkdir()
    received = {"GIT_OBJECT_DIRECTORY": str(folder), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(trusted)}
    borrowed = {**received, "GIT_ALTERNATE_OBJECT_DIRECTORIES": f"{trusted}{os.pathsep}{agents_objects}"}
    name = git.run(
        *(*_NO_CACHES, "pack-objects", "--revs", "--quiet", "--window=0", str(folder / "pack" / "pack")),
        stdin=f"{head}\n^{base}\n".encode(),
        environment=borrowed,
    )
    pack = folder / "pack" / f"pack-{name.decode().strip()}.pack"
    if pack.stat().st_size > MAX_PACK_BYTES:
        return f"they are larger than {MAX_PACK_BYTES >> 20} MB"
    # These indexes have the hashes that the agent's files claim. The next ones have those of the contents.
    for index in (folder / "pack").glob("*.[!p]*"):
        index.unlink()
    git.run("index-pack", "--strict", str(pack), environment=received)
    git.run("merge-base", "--is-ancestor", base, head, environment=received)
    count = int(git.run("rev-list", "--count", f"--max-count={MAX_COMMITS + 1}", commits, environment=received))
    return f"there are more than {MAX_COMMITS} commits" if count > MAX_COMMITS else ""


def _head_of(repository: Path) -> str:
    """Return the commit that HEAD names, read as text; empty if the files are not what git writes."""
    head = _read_small_file(repository / "HEAD")
    if match := _BRANCH_HEAD.fullmatch(head):
        reference = match[1]
        head = _read_small_file(repository / reference) if ".." not in reference else ""
        if not head:
            lines = _read_small_file(repository / "packed-refs").splitlines()
            head = next((line[:40] for line in lines if line[40:] == f" {reference}"), "")
    return head if _OID.fullmatch(head) else ""


def _read_small_file(path: Path) -> str:
    """Return the text of a regular file, at most 1 MB of it; empty if there is none."""
    try:
        # Never follow a symbolic link, and never open a pipe, on which a reader blocks forever.
        if path.is_symlink() or not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(1 << 20).decode(errors="replace").strip()
    except OSError:
        return ""
