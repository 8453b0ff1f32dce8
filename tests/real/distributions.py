"""Pinned source distributions, downloaded from the package index that the user's pip or npm is configured for.

Each one is kept below ``build/distributions``, in a folder named after its hash, and never committed. Nothing in it is
run by the download, not even its build backend.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

import pytest

from tests.real.pip_download import UNREACHABLE

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = ROOT / "build" / "distributions"
_PIP: Final = (sys.executable, str(Path(__file__).with_name("pip_download.py")))
_SECONDS: Final = 180
Registry = Literal["PyPI", "npm"]


class Unreachable(Exception):
    """The index does not answer."""


class WrongContent(Exception):
    """The index has no distribution with the pinned hash."""


@dataclass(frozen=True)
class Distribution:
    """One file of a package index.

    ``integrity`` pins its content: ``sha256-`` and hexadecimal digits as pip shows it, or what npm calls integrity.
    """

    registry: Registry
    name: str
    version: str
    integrity: str

    @property
    def digest(self) -> str:
        """The pinned hash in hexadecimal digits."""
        _, _, value = self.integrity.partition("-")
        return value if self.registry == "PyPI" else base64.b64decode(value).hex()

    def digest_of(self, content: bytes) -> str:
        return hashlib.new(self.integrity.partition("-")[0], content).hexdigest()


def fetch(distribution: Distribution, cache: Path = CACHE) -> Path:
    """Return the archive, downloaded if it is not in the cache.

    Raises :class:`Unreachable` without a network, and :class:`WrongContent` if the hash is another one.
    """
    folder = cache / distribution.digest[:64]
    if kept := [path for path in folder.glob("*") if distribution.digest_of(path.read_bytes()) == distribution.digest]:
        return kept[0]
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        download = _from_pypi if distribution.registry == "PyPI" else _from_npm
        download(distribution, Path(temporary))
        [path] = Path(temporary).iterdir()
        if (found := distribution.digest_of(path.read_bytes())) != distribution.digest:
            raise WrongContent(f"{path.name} has the hash {found}, not {distribution.digest}")
        folder.mkdir(exist_ok=True)
        # Another test process may do the same at the same time, with the same content.
        return path.replace(folder / path.name)


def _from_pypi(distribution: Distribution, folder: Path) -> None:
    command = (*_PIP, distribution.name, distribution.version, distribution.digest, str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        raise (Unreachable if done.returncode == UNREACHABLE else WrongContent)(done.stderr.strip()[-2000:])


def _from_npm(distribution: Distribution, folder: Path) -> None:
    # npm pack runs no script of a package from a registry.
    words = ("pack", "--silent", "--ignore-scripts", f"{distribution.name}@{distribution.version}")
    done = _npm(*words, f"--pack-destination={folder}")
    if done.returncode:
        missing = "ETARGET" in done.stderr or "E404" in done.stderr
        raise (WrongContent if missing else Unreachable)(done.stderr.strip()[-2000:])


def _npm(*arguments: str) -> subprocess.CompletedProcess[str]:
    npm = Path(sys.executable).with_name("npm")
    command = (str(npm) if npm.is_file() else "npm", *arguments)
    with tempfile.TemporaryDirectory() as empty:
        return subprocess.run(command, cwd=empty, capture_output=True, text=True, timeout=_SECONDS)


@cache
def _problem(registry: Registry) -> str:
    """Return why the index cannot be used; empty if it can. Setup needs it even if every distribution is here."""
    try:
        if registry == "PyPI":
            done = subprocess.run(_PIP, capture_output=True, text=True, timeout=_SECONDS)
        else:
            done = _npm("view", "npm", "name", "--prefer-online", "--fetch-retries=1")
    except subprocess.TimeoutExpired:
        return f"{registry} does not answer within {_SECONDS} seconds"
    reason = next(iter(done.stderr.strip().splitlines()), "no answer")
    return f"no package index for {registry}: {reason}" if done.returncode else ""


def require_index(registry: Registry) -> None:
    """Skip the test if the package index does not answer. With CI=true, fail it."""
    if problem := _problem(registry):
        if os.environ.get("CI") == "true":
            pytest.fail(problem)
        pytest.skip(problem)


def committed_files(archive: Path) -> dict[str, bytes]:
    """Return the files of the project as its repository holds them: without what a release adds to an archive."""
    files: dict[str, bytes] = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            _, _, path = member.name.partition("/")
            content = opened.extractfile(member) if member.isfile() else None
            if content and path and not _is_added_by_release(path):
                files[path] = content.read()
    return files


def _is_added_by_release(path: str) -> bool:
    # No commit can contain .git, which the folder of a submodule has.
    return path == "PKG-INFO" or ".egg-info/" in path or ".git" in path.split("/")
