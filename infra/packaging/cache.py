"""A cache of built folders, each kept until one of its ingredients changes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.packaging.files import files_in


@dataclass(frozen=True)
class Asset:
    """A folder to deploy. The digest covers everything that it is built from, so it identifies the content."""

    path: Path
    digest: str


def cached(target: Path, digest: str, build: Callable[[Path], None]) -> Asset:
    """Return the folder ``target``, built by ``build`` unless it was built from the same ingredients before.

    A new folder is built beside the old one and replaces it as a whole.
    """
    marker = target.with_name(target.name + ".digest")
    with _exclusive(target):
        if not (target.is_dir() and marker.is_file() and marker.read_text() == digest):
            fresh = target.with_name(target.name + ".fresh")
            marker.unlink(missing_ok=True)
            for folder in (fresh, target):
                shutil.rmtree(folder, ignore_errors=True)
            build(fresh)
            fresh.rename(target)
            marker.write_text(digest)
    return Asset(target, digest)


def digest_of(paths: Iterable[Path], *ingredients: str) -> str:
    """Return the digest of all files in ``paths``, of ``ingredients``, and of the packaging itself.

    The packaging is an ingredient because a change in it changes the package.
    """
    digest = hashlib.sha256()
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(hashlib.sha256(module.read_bytes()).digest())
    for ingredient in ingredients:
        digest.update(ingredient.encode() + b"\0")
    for path in paths:
        for file in files_in(path):
            digest.update(str(file.relative_to(path.parent)).encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


@contextlib.contextmanager
def _exclusive(target: Path) -> Iterator[None]:
    """Keep two processes that package at once, such as a demo and a test run, from building the same folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
