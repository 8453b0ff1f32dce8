"""Reads a repository through ``git cat-file``, for the duration of one request."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from kiro_local.github.git_repository import GitFailed, ObjectInfo

if TYPE_CHECKING:
    from kiro_local.github.git_repository import GitRepository

_BINARY_PROBE: Final = 8000
"""The number of bytes in which git itself looks for a NUL to decide whether a blob is binary."""


@dataclass(frozen=True)
class Entry:
    """One entry of a tree. ``mode`` is a number, as on GitHub: a symbolic link, 0o120000, is 40960."""

    name: str
    mode: int
    oid: str

    @property
    def kind(self) -> str:
        return {0o40000: "tree", 0o160000: "commit"}.get(self.mode, "blob")


class GitReader:
    """The reads of one request. Its two git processes start on first use and end with ``close``.

    Nothing is cached between readers, so a query sees the latest push.
    """

    def __init__(self, repository: GitRepository) -> None:
        self._repository = repository
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._refs: dict[str, ObjectInfo] | None = None
        self._contents: dict[str, bytes] = {}

    def refs(self) -> dict[str, ObjectInfo]:
        if self._refs is None:
            self._refs = self._repository.refs()
        return self._refs

    def default_branch(self) -> str:
        return self._repository.default_branch()

    def find(self, expression: str) -> ObjectInfo | None:
        """The object that an expression such as ``refs/heads/main:docs/a.md`` names, or ``None``."""
        if not expression or re.search(r"[\0\n\r]", expression):
            return None
        return self._ask("--batch-check", expression)[0]

    def content(self, oid: str) -> bytes:
        """The raw content of an existing object."""
        if oid not in self._contents:
            found, output = self._ask("--batch", oid)
            assert found is not None  # noqa: S101  # the hash came from this repository
            self._contents[oid] = output.read(found.size)
            output.read(1)
        return self._contents[oid]

    def entries(self, tree: str) -> tuple[Entry, ...]:
        raw, entries = self.content(tree), []
        hash_bytes = len(tree) // 2
        while raw:
            head, _, rest = raw.partition(b"\0")
            mode, _, name = head.partition(b" ")
            entries.append(Entry(name.decode(errors="replace"), int(mode, 8), rest[:hash_bytes].hex()))
            raw = rest[hash_bytes:]
        return tuple(entries)

    def history(self, commit: str) -> tuple[ObjectInfo, ...]:
        """The commit and its ancestors, the newest first."""
        return tuple(ObjectInfo(oid, "commit", 0) for oid in self._repository.run("rev-list", commit).decode().split())

    def only_in(self, commit: str, other: str) -> int:
        """How many commits ``commit`` has that ``other`` lacks."""
        return int(self._repository.run("rev-list", "--count", f"{other}..{commit}"))

    def conflicts(self, commit: str, other: str) -> bool:
        """Whether merging the two commits leaves conflicts."""
        try:
            self._repository.run("merge-tree", "--write-tree", commit, other)
        except GitFailed as failure:
            if failure.code != 1:
                raise
            return True
        return False

    def is_binary(self, blob: str) -> bool:
        return b"\0" in self.content(blob)[:_BINARY_PROBE]

    def close(self) -> None:
        for process in self._processes.values():
            process.communicate()
        self._processes.clear()

    def _ask(self, mode: str, question: str) -> tuple[ObjectInfo | None, IO[bytes]]:
        process = self._processes.get(mode)
        if process is None:
            process = self._processes[mode] = subprocess.Popen(
                ["git", f"--git-dir={self._repository.path}", "cat-file", mode],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(self._repository.environment),
            )
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018  # both are pipes
        process.stdin.write(question.encode(errors="replace") + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline().decode(errors="replace").split()
        # For a missing object git echoes the question and adds a word; for an existing one it prints hash, kind, size.
        if len(answer) != 3 or not answer[2].isdigit():
            return None, process.stdout
        return ObjectInfo(answer[0], answer[1], int(answer[2])), process.stdout
