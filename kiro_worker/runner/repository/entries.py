"""Entries of git trees: the one module that knows file modes and the output of ``git ls-tree``.

Paths that are not UTF-8 survive as surrogate escapes, so that they can be passed back to git byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from kiro_worker.runner.repository.git import Git

# All modes that a tree can hold: https://git-scm.com/docs/git-fast-import#_filemodify
REGULAR_FILE: Final = "100644"
EXECUTABLE_FILE: Final = "100755"
SYMLINK: Final = "120000"
GITLINK: Final = "160000"


class TreeEntry(NamedTuple):
    """One line of ``git ls-tree``: https://git-scm.com/docs/git-ls-tree#_output_format"""

    mode: str
    kind: str
    oid: str
    path: str

    @property
    def is_regular_file(self) -> bool:
        return is_regular_file(self.mode)

    @property
    def index_line(self) -> bytes:
        """The entry in the form that ``git update-index --index-info`` reads."""
        return encode_path(f"{self.mode} {self.kind} {self.oid}\t{self.path}")


def is_regular_file(mode: str) -> bool:
    """Return whether ``mode`` is a file, executable or not. Early versions of git wrote 100664 as well."""
    return mode.startswith("100")


def list_tree(git: Git, tree: str, *modes: str) -> list[TreeEntry]:
    """Return every entry below ``tree``, a tree or commit, in all folders. ``modes`` selects entries by mode."""
    lines = decode_path(git.run("ls-tree", "-r", "-z", tree)).split("\0")
    return [_parse(line) for line in lines if line and (not modes or line.startswith(modes))]


def find_entry(git: Git, tree: str, path: str) -> TreeEntry | None:
    """Return the entry at ``path`` in ``tree``, or None."""
    line = decode_path(git.run("ls-tree", "-z", tree, "--", path)).partition("\0")[0]
    return _parse(line) if line else None


def decode_path(raw: bytes) -> str:
    """Return git's bytes as text, without losing any of them."""
    return raw.decode(errors="surrogateescape")


def encode_path(path: str) -> bytes:
    """Return a path as git's bytes: the inverse of :func:`decode_path`."""
    return path.encode(errors="surrogateescape")


def _parse(line: str) -> TreeEntry:
    facts, _, path = line.partition("\t")
    mode, kind, oid = facts.split(" ")
    return TreeEntry(mode, kind, oid, path)
