"""Git LFS, where the configuration enables it: real files for the agent and the tests, pointers in commits.

Only the worker's own git runs ``git-lfs``: as the filter of commands on the work tree, with a URL and settings that the
branch's ``.lfsconfig`` cannot override (:mod:`kiro_worker.runner.repository.git`). ``git add`` turns each file that the
agent changed into an object of the trusted repository. Objects are uploaded, by their IDs and without a work tree,
before the first reference that needs them; a reference whose objects are missing is not pushed.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.entries import decode_path, is_regular_file, list_tree
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import GitFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from kiro_worker.runner.repository.git import Git
    from kiro_worker.runner.request import BuildRequest

_MAX_POINTER_BYTES: Final = 1024
_POINTER: Final = re.compile(rb"\s*version https?://[^\n]*\n(?:[^\n]*\n)*?oid sha256:([0-9a-f]{64})\s")
"""Matches everything that git-lfs accepts as a pointer, including old versions and malformed line ends."""
_OIDS_PER_PUSH: Final = 500
_CHUNK_BYTES: Final = 8 * 1024 * 1024
_OVERLAP_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Pointer:
    """A committed file that stands for the LFS object ``oid``, a SHA-256 in hexadecimal digits."""

    path: str
    oid: str


def require_git_lfs(parent: Mapping[str, str]) -> None:
    """Raise :class:`BuildStopped` (CheckoutFailed) if ``git-lfs`` is not on the PATH of ``parent``."""
    if shutil.which("git-lfs", path=parent.get("PATH")) is None:
        raise BuildStopped(
            Outcome.CHECKOUT_FAILED,
            'the configuration sets "lfs": true, but git-lfs is not in the build\'s image',
            "use an image that includes git-lfs, as CodeBuild's Amazon Linux images do, or install it in yours"
            ' (apt-get install git-lfs); or set "lfs": false in the configuration',
        )


def lfs_files_missing(request: BuildRequest, failure: GitFailed) -> BuildStopped:
    """Return the error for a fetched commit whose LFS files could not be fetched."""
    return stop_because(
        failure,
        Outcome.CHECKOUT_FAILED,
        f"the LFS files of {request.branch} in {request.repository} at {request.commit[:12]} cannot be fetched",
        "push them (git lfs push --all), and check that the git credentials can read them and that the account has LFS"
        ' quota left; or set "lfs": false in the configuration',
    )


def new_pointers(git: Git, *commits: str) -> tuple[Pointer, ...]:
    """Return the pointers that the commits selected by ``commits`` (arguments of ``git log``) add or change.

    Pointers are recognized by their contents, as servers recognize them, and not by ``.gitattributes``.
    """
    log = git.run("log", "-m", "-z", "--raw", "--no-abbrev", "--no-renames", "--format=", *commits)
    paths: dict[str, str] = {}
    fields = iter(decode_path(log).split("\0"))
    for facts in fields:
        # ":<old mode> <new mode> <old object> <new object> <status>", then the path. Commits are separated by an empty
        # field. https://git-scm.com/docs/git-diff#_raw_output_format
        if facts.strip():
            _, mode, _, blob, _ = facts.split()
            path = next(fields)
            if is_regular_file(mode):
                paths.setdefault(blob, path)
    return _pointers_among(git, paths)


def touched_pointers(git: Git, commits: str, tree: str) -> tuple[Pointer, ...]:
    """Return the pointers in ``tree`` whose paths any of ``commits`` touches, even without changing the contents."""
    touched = set(decode_path(git.run("log", "-m", "-z", "--name-only", "--format=", commits)).split("\0"))
    entries = (entry for entry in list_tree(git, tree) if entry.is_regular_file and entry.path in touched)
    return _pointers_among(git, {entry.oid: entry.path for entry in entries})


def _pointers_among(git: Git, paths: Mapping[str, str]) -> tuple[Pointer, ...]:
    """Return the pointers among blobs, one per LFS object. ``paths`` maps each blob to its path."""
    answer = git.run("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=_lines(paths)).decode().split()
    small = [blob for blob, size in zip(answer[::2], answer[1::2], strict=True) if int(size) <= _MAX_POINTER_BYTES]
    found: dict[str, str] = {}
    contents, start = git.run("cat-file", "--batch", stdin=_lines(small)), 0
    for blob in small:
        # "<object> blob <size>", a newline, the contents, a newline.
        header_end = contents.index(b"\n", start) + 1
        size = int(contents[start:header_end].split()[2])
        if match := _POINTER.match(contents, header_end, header_end + size):
            found.setdefault(match[1].decode(), paths[blob])
        start = header_end + size + 1
    return tuple(Pointer(path, oid) for oid, path in found.items())


def path_with_secret(git: Git, pointers: tuple[Pointer, ...], is_secret: Callable[[bytes], bool]) -> str:
    """Return the path of the first pointer whose local object contains a secret; empty if none does.

    Objects are read in overlapping chunks, because one may be larger than the memory.
    """
    for pointer in pointers:
        file = _object_file(git, pointer.oid)
        if not file.is_file():
            continue
        with file.open("rb") as content:
            overlap = b""
            while chunk := content.read(_CHUNK_BYTES):
                if is_secret(overlap + chunk):
                    return pointer.path
                overlap = chunk[-_OVERLAP_BYTES:]
    return ""


def upload(git: Git, commit: str) -> None:
    """Upload the LFS objects that a push of ``commit`` needs. Does nothing without LFS.

    Raises :class:`GitFailed`, also for a pointer whose object is neither here nor on the server.
    """
    if not git.lfs:
        return
    # Every reference in the trusted repository is something that the server already has.
    new = (commit, "--not", "--all")
    pointers = new_pointers(git, *new)
    if _missing(git, pointers):
        # An earlier build uploaded them, or an older commit on the server refers to them.
        try:
            git.network("lfs", "fetch", "origin", *git.text("rev-list", *new).split())
            fetch_error = ""
        except GitFailed as failure:
            fetch_error = f"\n{failure.error}"
        if missing := _missing(git, pointers):
            raise GitFailed(
                "lfs", f"fatal: the server has no objects for the pointers {', '.join(missing[:10])}{fetch_error}"
            )
    oids = [pointer.oid for pointer in pointers]
    for first in range(0, len(oids), _OIDS_PER_PUSH):
        git.network("lfs", "push", "--object-id", "origin", *oids[first : first + _OIDS_PER_PUSH])


def _missing(git: Git, pointers: tuple[Pointer, ...]) -> list[str]:
    """Return the paths of pointers whose objects are not in the trusted repository."""
    return [ascii(pointer.path) for pointer in pointers if not _object_file(git, pointer.oid).is_file()]


def _object_file(git: Git, oid: str) -> Path:
    return git.directory / "lfs" / "objects" / oid[:2] / oid[2:4] / oid


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()
