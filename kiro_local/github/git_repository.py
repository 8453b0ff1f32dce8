"""A bare repository on disk, written through ``git fast-import``. ``git_reader`` reads it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from kiro_local.github import proc_receive
from kiro_local.github.push_rules import REFUSALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_local.github.push_rules import PushRule

FIRST_COMMIT_TIME: Final = 1_735_689_600
"""2025-01-01T00:00:00Z. Each further commit is one minute later, so that equal files give equal hashes."""
AUTHOR: Final = "Stand-in Author <author@stand-in.invalid>"

# There is no automatic maintenance, so no process keeps running after the server has stopped.
_SETTINGS: Final = {
    "http.receivepack": "true",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    # github.com keeps the refs of pull requests to itself, and has no branch whose name begins with refs/ (its GH002).
    "receive.hideRefs": "refs/pull",
    "transfer.hideRefs": "refs/heads/refs",
    "receive.autogc": "false",
    "gc.auto": "0",
    "core.logAllRefUpdates": "false",
}


class GitFailed(Exception):
    """A git command failed with the exit code ``code``. The message contains git's own error output."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


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
"""The content of a path in a new commit; ``None`` deletes the file."""


class Storage(StrEnum):
    """How a server stores the objects of a repository.

    A new repository is ``LOOSE``. ``BITMAPS`` is one pack with a bitmap index, as large hosts keep it: the server then
    assumes that a client with a commit has everything that the commit reaches. ``ALTERNATES`` is the same pack in
    another object directory, which hosts share between forks.
    """

    LOOSE = "loose"
    BITMAPS = "bitmaps"
    ALTERNATES = "alternates"


@dataclass(frozen=True)
class ObjectInfo:
    """An object in git. ``kind`` is commit, tree, blob or tag; ``size`` is in bytes."""

    oid: str
    kind: str
    size: int


def git_environment(home: Path) -> dict[str, str]:
    """The complete environment of every git process.

    ``home`` is a private directory, which hides the user's settings and credentials.
    """
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
        """Create an empty repository, without a template and therefore without hooks: a push runs nothing."""
        path.mkdir(parents=True)
        repository = cls(path, environment)
        repository.run("init", "--quiet", "--bare", "--template=", f"--initial-branch={default_branch}")
        with (path / "config").open("a") as config:
            for key, value in _SETTINGS.items():
                section, name = key.split(".")
                config.write(f"[{section}]\n\t{name} = {value}\n")
        return repository

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """The standard output of ``git <arguments>`` in this repository; raises :class:`GitFailed`."""
        result = subprocess.run(
            ["git", f"--git-dir={self.path}", *arguments], input=stdin, capture_output=True, env=dict(self.environment)
        )
        if result.returncode:
            message = f"git {arguments[0]}: {result.stderr.decode(errors='replace').strip()}"
            raise GitFailed(message, result.returncode)
        return result.stdout

    def copy_from(self, source: Path) -> None:
        """Copy branches, tags and default branch from another repository, bare or not."""
        self.run(
            "fetch",
            "--quiet",
            "--no-write-fetch-head",
            "--update-head-ok",
            str(source.resolve()),
            "+refs/heads/*:refs/heads/*",
            "+refs/tags/*:refs/tags/*",
        )
        git_dir = source / ".git" if (source / ".git").is_dir() else source
        self.set_default_branch(GitRepository(git_dir.resolve(), self.environment).default_branch())

    def default_branch(self) -> str:
        return (self.path / "HEAD").read_text().strip().removeprefix("ref: refs/heads/")

    def set_default_branch(self, branch: str) -> None:
        self.run("symbolic-ref", "HEAD", f"refs/heads/{branch}")

    def refs(self) -> dict[str, ObjectInfo]:
        """Every ref by its full name, with the object that it points to."""
        lines = (
            self.run("for-each-ref", "--format=%(refname)%00%(objectname)%00%(objecttype)")
            .decode(errors="replace")
            .splitlines()
        )
        return {name: ObjectInfo(oid, kind, 0) for name, oid, kind in (line.split("\0") for line in lines)}

    def head_of(self, branch: str) -> str | None:
        """The commit at the tip of a branch."""
        ref = self.refs().get(f"refs/heads/{branch}")
        return ref.oid if ref else None

    def create_branch(self, branch: str, at: str) -> None:
        """Create a branch at another branch or at a commit."""
        commit = self.head_of(at) or at
        self.run("update-ref", f"refs/heads/{branch}", commit)

    def delete_branch(self, branch: str) -> None:
        self.run("update-ref", "-d", f"refs/heads/{branch}")

    def refuse_pushes(self, branch: str, rule: PushRule, times: int | None = None) -> None:
        """Refuse pushes to a branch, as github.com does because of ``rule``: the next ``times`` pushes, or all."""
        reference, refusal = f"refs/heads/{branch}", REFUSALS[rule]
        file = self.path / proc_receive.FILE
        refusals = json.loads(file.read_text()) if file.exists() else {}
        refusals[reference] = {
            "reason": refusal.reason,
            "lines": [line.format(ref=reference) for line in refusal.lines],
            **({} if times is None else {"times": times}),
        }
        file.write_text(json.dumps(refusals))
        hook = self.path / "hooks" / "proc-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\nexec {shlex.join((sys.executable, '-I', '-S', proc_receive.__file__))}\n")
        hook.chmod(0o755)
        self.run("config", "--add", "receive.procReceiveRefs", reference)

    def store_as(self, storage: Storage) -> None:
        """Repack the objects that the repository has now. Later objects are loose again, as on a real server."""
        if storage is Storage.LOOSE:
            return
        self.run("-c", "repack.writeBitmaps=true", "repack", "-adb", "--quiet")
        if storage is Storage.ALTERNATES:
            alternate = self.path.with_name(f"{self.path.name}.alternate")
            # The new pack also contains what an earlier alternate holds.
            shutil.rmtree(alternate, ignore_errors=True)
            shutil.move(self.path / "objects" / "pack", alternate / "pack")
            (self.path / "objects" / "pack").mkdir()
            (self.path / "objects" / "info" / "alternates").write_text(f"{alternate}\n")

    def commit(
        self,
        branch: str,
        files: Mapping[str, Content],
        message: str = "Change",
        *,
        base: str | None = None,
        author: str = AUTHOR,
    ) -> str:
        """Add a commit to a branch and return its hash.

        A new branch starts at ``base``, a branch or a commit. Without ``base`` it starts with a root commit.
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


def _data(content: str | bytes) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return b"data %d\n%b\n" % (len(raw), raw)


def _change(path: str, content: Content) -> bytes:
    text = '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    # A name that is not UTF-8 comes as os.fsdecode returns it.
    quoted = text.encode(errors="surrogateescape")
    match content:
        case None:
            return b"D %b\n" % quoted
        case Submodule(commit):
            return b"M 160000 %b %b\n" % (commit.encode(), quoted)
        case Symlink(target):
            return b"M 120000 inline %b\n" % quoted + _data(target)
        case Executable(inner):
            return b"M 100755 inline %b\n" % quoted + _data(inner)
        case _:
            return b"M 100644 inline %b\n" % quoted + _data(content)


def read_directory(directory: Path) -> dict[str, Content]:
    """Every file below a directory as the content of a commit, except ``.git`` and ``__pycache__``.

    Symbolic links and executable files stay what they are.
    """
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
