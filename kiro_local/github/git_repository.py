"""A real bare repository on disk: written through ``git fast-import``, read through ``git cat-file``.

Nothing is remembered between two readers, so what was pushed a moment ago is what the next query sees.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_COMMIT_TIME: Final = 1_735_689_600
"""2025-01-01T00:00:00Z. Commits made here are a minute apart from then on, so equal files give equal hashes."""
AUTHOR: Final = "Stand-in Author <author@stand-in.invalid>"
_BINARY_PROBE: Final = 8000
"""Bytes that git itself looks at for a NUL when it decides whether a blob is text."""

# No template, so no hooks: a push runs nothing. No automatic maintenance: nothing outlives the server.
_SETTINGS: Final = {
    "http.receivepack": "true",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "receive.autogc": "false",
    "gc.auto": "0",
    "core.logAllRefUpdates": "false",
}


class GitFailed(Exception):
    """A git command of ours failed; the message is git's own."""


@dataclass(frozen=True)
class Symlink:
    target: str


@dataclass(frozen=True)
class Submodule:
    commit: str


@dataclass(frozen=True)
class Executable:
    content: str | bytes


Content = str | bytes | Executable | Symlink | Submodule | None
"""What a path of a new commit holds; ``None`` deletes it."""


@dataclass(frozen=True)
class ObjectInfo:
    """``kind`` is git's: commit, tree, blob or tag. ``size`` in bytes."""

    oid: str
    kind: str
    size: int


@dataclass(frozen=True)
class Entry:
    """``mode`` as GitHub gives it, the number that git writes in octal: 0o120000, a symbolic link, is 40960."""

    name: str
    mode: int
    oid: str

    @property
    def kind(self) -> str:
        return {0o40000: "tree", 0o160000: "commit"}.get(self.mode, "blob")


def git_environment(home: Path) -> dict[str, str]:
    """All that a git of ours sees. ``home`` is an own directory: no user's settings, no credentials."""
    (home / "gitconfig").touch()
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


class GitRepository:
    """One bare repository. ``environment`` comes from :func:`git_environment`."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self.path = path
        self.environment = environment

    @classmethod
    def create(cls, path: Path, environment: Mapping[str, str], default_branch: str = "main") -> Self:
        path.mkdir(parents=True)
        repository = cls(path, environment)
        repository.run("init", "--quiet", "--bare", "--template=", f"--initial-branch={default_branch}")
        with (path / "config").open("a") as config:
            for key, value in _SETTINGS.items():
                section, name = key.split(".")
                config.write(f"[{section}]\n\t{name} = {value}\n")
        return repository

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Standard output of ``git <arguments>`` in this repository, or :class:`GitFailed`."""
        done = subprocess.run(
            ["git", f"--git-dir={self.path}", *arguments], input=stdin, capture_output=True, env=dict(self.environment)
        )
        if done.returncode:
            raise GitFailed(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def copy_from(self, source: Path) -> None:
        """The branches, tags and default branch of another repository, which may have a working tree."""
        self.run(
            "fetch",
            "--quiet",
            "--no-write-fetch-head",
            "--update-head-ok",
            str(source.resolve()),
            "+refs/heads/*:refs/heads/*",
            "+refs/tags/*:refs/tags/*",
        )
        head = GitRepository(source.resolve(), self.environment)
        inner = source / ".git"
        if inner.is_dir():
            head = GitRepository(inner.resolve(), self.environment)
        self.set_default_branch(head.default_branch())

    def default_branch(self) -> str:
        return (self.path / "HEAD").read_text().strip().removeprefix("ref: refs/heads/")

    def set_default_branch(self, branch: str) -> None:
        self.run("symbolic-ref", "HEAD", f"refs/heads/{branch}")

    def refs(self) -> dict[str, ObjectInfo]:
        """Every ref by its full name, with the object that it names."""
        lines = (
            self.run("for-each-ref", "--format=%(refname)%00%(objectname)%00%(objecttype)")
            .decode(errors="replace")
            .splitlines()
        )
        return {name: ObjectInfo(oid, kind, 0) for name, oid, kind in (line.split("\0") for line in lines)}

    def head_of(self, branch: str) -> str | None:
        """The commit at the tip of a branch."""
        found = self.refs().get(f"refs/heads/{branch}")
        return found.oid if found else None

    def create_branch(self, branch: str, at: str) -> None:
        """``at`` is a branch or a commit."""
        commit = self.head_of(at) or at
        self.run("update-ref", f"refs/heads/{branch}", commit)

    def delete_branch(self, branch: str) -> None:
        self.run("update-ref", "-d", f"refs/heads/{branch}")

    def commit(
        self,
        branch: str,
        files: Mapping[str, Content],
        message: str = "Change",
        *,
        base: str | None = None,
        author: str = AUTHOR,
    ) -> str:
        """A commit on top of ``branch``, or of ``base`` (a branch or a commit) where the branch is new; its hash.

        An existing branch goes on from its own tip, and a branch with neither starts a history of its own.
        """
        self.run("check-ref-format", f"refs/heads/{branch}")
        heads = {name.removeprefix("refs/heads/"): info.oid for name, info in self.refs().items()}
        parent = heads.get(branch) or (heads.get(base, base) if base is not None else None)
        when = FIRST_COMMIT_TIME
        if parent is not None:
            when = int(self.run("show", "--no-patch", "--format=%ct", parent)) + 60
        stream = [
            f"commit refs/heads/{branch}\nauthor {author} {when} +0000\ncommitter {author} {when} +0000\n".encode(),
            _data(message),
        ]
        if parent is not None:
            stream.append(f"from {parent}\n".encode())
        stream += [_change(path, content) for path, content in files.items()]
        self.run("fast-import", "--quiet", "--force", stdin=b"".join(stream))
        tip = self.head_of(branch)
        assert tip is not None  # noqa: S101  # fast-import succeeded
        return tip


class GitReader:
    """Reads of one request. Its two git processes start when first needed and end with ``close``."""

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
        """The raw content of an object that exists."""
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
        # A missing object is answered by the question itself and a word; a found one by exactly hash, kind and size.
        if len(answer) != 3 or not answer[2].isdigit():
            return None, process.stdout
        return ObjectInfo(answer[0], answer[1], int(answer[2])), process.stdout


def _data(content: str | bytes) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return b"data %d\n%b\n" % (len(raw), raw)


def _change(path: str, content: Content) -> bytes:
    quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    match content:
        case None:
            return f"D {quoted}\n".encode()
        case Submodule(commit):
            return f"M 160000 {commit} {quoted}\n".encode()
        case Symlink(target):
            mode, raw = "120000", target
        case Executable(inner):
            return f"M 100755 inline {quoted}\n".encode() + _data(inner)
        case _:
            return f"M 100644 inline {quoted}\n".encode() + _data(content)
    return f"M {mode} inline {quoted}\n".encode() + _data(raw)


def read_directory(directory: Path) -> dict[str, Content]:
    """Every file below a directory as the content of a commit, links and executables as such, without ``.git``."""
    files: dict[str, Content] = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if ".git" in path.relative_to(directory).parts or "__pycache__" in path.parts:
            continue
        if path.is_symlink():
            files[name] = Symlink(str(path.readlink()))
        elif path.is_file():
            raw = path.read_bytes()
            files[name] = Executable(raw) if os.access(path, os.X_OK) else raw
    return files
