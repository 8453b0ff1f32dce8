"""Git LFS, where the configuration asks for it: the files themselves for the agent and the tests, pointers in commits.

``git-lfs`` is run by our own git alone, as the filter of commands on the work tree, with an address and settings that
the branch's ``.lfsconfig`` cannot replace (:mod:`kiro_worker.runner.repository.git`). What the agent changed becomes an object of
the trusted repository when it is added. Objects go to the server before the first reference to them does, by their
names and from a command that has no work tree; a reference whose objects are not there is not pushed.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.git import GitFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.git import Git
    from kiro_worker.runner.request import BuildRequest

_LARGEST_POINTER: Final = 1024
_POINTER: Final = re.compile(rb"\s*version https?://[^\n]*\n(?:[^\n]*\n)*?oid sha256:([0-9a-f]{64})\s")
"""At least what git-lfs takes for one, old versions and loose ends included."""
_FILE: Final = b"100"
_AT_ONCE: Final = 500
_READ: Final = 8 * 1024 * 1024
_OVERLAP: Final = 64 * 1024


@dataclass(frozen=True)
class Pointer:
    """A file of a commit that stands for the object ``oid``, a SHA-256 in hexadecimal digits."""

    path: str
    oid: str


def require_git_lfs(parent: Mapping[str, str]) -> None:
    """Raises :class:`BuildStopped` (CheckoutFailed) where the program is not to be had."""
    if shutil.which("git-lfs", path=parent.get("PATH")) is None:
        raise BuildStopped(
            Outcome.CHECKOUT_FAILED,
            'the configuration says "lfs": true, and git-lfs is not in the build\'s image',
            "use an image that has it, as CodeBuild's Amazon Linux images do, or install it there (apt-get install"
            ' git-lfs); or configure "lfs": false',
        )


def files_missing(request: BuildRequest, failure: GitFailed) -> BuildStopped:
    """The commit is here, and its LFS files cannot be had."""
    return BuildStopped(
        Outcome.CHECKOUT_FAILED,
        f"the LFS files of {request.branch} of {request.repository} at {request.commit[:12]} cannot be fetched",
        "push them (git lfs push --all), and check that the git credentials may read them and that the account's LFS"
        ' quota is not used up; or configure "lfs": false',
        failure.error,
    )


def new_pointers(git: Git, *commits: str) -> tuple[Pointer, ...]:
    """Of every commit that ``git log`` takes ``commits`` for: the files that it adds or changes and that are pointers.
    By their contents and not by attributes, as servers tell them.
    """
    told = git.run("log", "-m", "-z", "--raw", "--no-abbrev", "--no-renames", "--format=", *commits)
    paths: dict[bytes, bytes] = {}
    words = iter(told.split(b"\0"))
    for facts in words:
        # ":<modes, objects and what was done>" and the name; between commits there is an empty one.
        if facts.strip():
            _, mode, _, blob, _ = facts.split()
            path = next(words)
            if mode.startswith(_FILE):
                paths.setdefault(blob, path)
    return _pointers(git, paths)


def touched_pointers(git: Git, commits: str, tree: str) -> tuple[Pointer, ...]:
    """What ``commits`` add or change, even to the same, and is a pointer in ``tree``."""
    touched = set(git.run("log", "-m", "-z", "--name-only", "--format=", commits).split(b"\0"))
    entries = (entry.partition(b"\t") for entry in git.run("ls-tree", "-r", "-z", tree).split(b"\0") if entry)
    files = ((facts.split()[2], path) for facts, _, path in entries if path in touched and facts.startswith(_FILE))
    return _pointers(git, dict(files))


def _pointers(git: Git, paths: Mapping[bytes, bytes]) -> tuple[Pointer, ...]:
    """Which of these objects, each with a path, are pointers; one for each object that is pointed to."""
    told = git.run("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=_lines(paths)).split()
    small = [name for name, size in zip(told[::2], told[1::2], strict=True) if int(size) <= _LARGEST_POINTER]
    found: dict[str, str] = {}
    contents, start = git.run("cat-file", "--batch", stdin=_lines(small)), 0
    for name in small:
        # "<object> blob <size>", a line's end, the contents, a line's end.
        end = contents.index(b"\n", start) + 1
        size = int(contents[start:end].split()[2])
        if match := _POINTER.match(contents, end, end + size):
            found.setdefault(match[1].decode(), paths[name].decode(errors="surrogateescape"))
        start = end + size + 1
    return tuple(Pointer(path, oid) for oid, path in found.items())


def holds(git: Git, pointers: tuple[Pointer, ...], is_secret: Callable[[bytes], bool]) -> str:
    """The path of the first whose object is here and holds what ``is_secret`` knows; empty when there is none. Read
    piece by piece, for an object may be larger than the memory.
    """
    for pointer in pointers:
        file = _object(git, pointer.oid)
        if not file.is_file():
            continue
        with file.open("rb") as content:
            kept = b""
            while piece := content.read(_READ):
                if is_secret(kept + piece):
                    return pointer.path
                kept = piece[-_OVERLAP:]
    return ""


def upload(checkout: Checkout, commit: str) -> None:
    """Have on the server what the commits need that a push of ``commit`` brings there. Raises :class:`GitFailed`, also
    where a pointer stands for an object that is neither here nor there.
    """
    git = checkout.git
    if not git.lfs:
        return
    # All of our references are what the server had.
    new = (commit, "--not", "--all")
    pointers = new_pointers(git, *new)
    if _not_here(git, pointers):
        # An earlier build uploaded them, or somebody's older commit has them.
        try:
            git.network("lfs", "fetch", "origin", *git.text("rev-list", *new).split())
            why = ""
        except GitFailed as failure:
            why = f"{failure.error}\n"
        if lost := _not_here(git, pointers):
            raise GitFailed("lfs", f"{why}the server has no objects for the pointers {', '.join(lost[:10])}")
    names = [pointer.oid for pointer in pointers]
    for first in range(0, len(names), _AT_ONCE):
        git.network("lfs", "push", "--object-id", "origin", *names[first : first + _AT_ONCE])


def _not_here(git: Git, pointers: tuple[Pointer, ...]) -> list[str]:
    return [ascii(pointer.path) for pointer in pointers if not _object(git, pointer.oid).is_file()]


def _object(git: Git, oid: str) -> Path:
    return git.directory / "lfs" / "objects" / oid[:2] / oid[2:4] / oid


def _lines(names: Iterable[bytes]) -> bytes:
    return b"".join(name + b"\n" for name in names)
