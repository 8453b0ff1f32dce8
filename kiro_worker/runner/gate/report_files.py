"""Reports that a test run left behind, found and read as what they are: files that somebody we do not trust wrote.

A file counts only when the run itself made or changed it, so that neither an old report nor one that the agent prepared
is taken for its result. Nothing is followed out of the folder, nothing but a plain file is read, and never much of it.
"""

from __future__ import annotations

import os
import stat
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse as parse_defused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from xml.etree.ElementTree import Element

LARGEST_REPORT: Final = 64 * 1024 * 1024
DEEPEST_XML: Final = 200
MOST_FILES: Final = 200_000
_NOT_OURS: Final = {".git", ".gradle", ".hypothesis", ".mypy_cache", ".pytest_cache", ".tox", ".venv", "__pycache__"}
_NOT_OURS_EITHER: Final = {"node_modules", "site-packages", "venv"}

Signature = tuple[int, int, int, int]


class Unreadable(ValueError):
    """The report is not what its name promises, or not fit to be read."""


def snapshot(*folders: Path) -> dict[Path, Signature]:
    """What is there, by its size, times and inode: no file is read, links are not followed."""
    return dict(_files(folders))


def fresh(folders: Iterable[Path], before: Mapping[Path, Signature], patterns: Iterable[str]) -> list[Path]:
    """The files that are new or other than ``before`` and whose path ends like one of ``patterns``, in order."""
    wanted = tuple(patterns)
    return sorted(
        path
        for path, signature in _files(folders)
        if before.get(path) != signature and any(fnmatch(f"/{path}", f"*/{pattern}") for pattern in wanted)
    )


def changed(folder: Path, before: Mapping[Path, Signature], apart_from: Iterable[Path] = ()) -> tuple[str, ...]:
    """The files of ``folder`` that were there before and are other now, or gone; relative to it."""
    now, spared = snapshot(folder), set(apart_from)
    inside = (path for path in before if path.is_relative_to(folder) and path not in spared)
    return tuple(sorted(str(path.relative_to(folder)) for path in inside if now.get(path) != before[path]))


def inside(folder: Path, name: str) -> Path | None:
    """The plain file ``name`` of ``folder``; ``None`` when it is none, or a link leads out of the folder."""
    try:
        found = (folder / name).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return found if found.is_relative_to(folder.resolve()) and found.is_file() else None


def read(path: Path) -> bytes:
    """The whole file. Raises :class:`Unreadable`; a link, a pipe or a device is never opened for its content."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(f"{path.name} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable(f"{path.name} is not a plain file")
        content = file.read(LARGEST_REPORT + 1)
    if len(content) > LARGEST_REPORT:
        raise Unreadable(f"{path.name} is larger than {LARGEST_REPORT >> 20} MB")
    return content


def xml(content: bytes, name: str) -> Element:
    """The root element. Raises :class:`Unreadable`, also for a document that declares entities: a few lines of them
    make gigabytes. A DOCTYPE alone is fine, for Cobertura and JaCoCo write one; what it points to is never fetched.
    """
    try:
        root = parse_defused(BytesIO(content), forbid_dtd=False, forbid_entities=True, forbid_external=True).getroot()
    except DefusedXmlException as error:
        raise Unreadable(f"{name} declares {type(error).__name__.removesuffix('Forbidden').lower()}") from None
    except (ParseError, ValueError, LookupError) as error:
        raise Unreadable(f"{name} is no XML: {error}") from None
    if root is None or _is_deeper_than(DEEPEST_XML, root):
        raise Unreadable(f"{name} is nested too deeply, or empty")
    return root


def _is_deeper_than(levels: int, root: Element) -> bool:
    level = [root]
    for _ in range(levels):
        level = [child for element in level for child in element]
    return bool(level)


def _files(folders: Iterable[Path]) -> Iterator[tuple[Path, Signature]]:
    left = MOST_FILES
    for folder in folders:
        for parent, below, names in os.walk(folder):
            below[:] = sorted(name for name in below if name not in _NOT_OURS | _NOT_OURS_EITHER)
            for name in sorted(names):
                left -= 1
                if left < 0:
                    return
                path = Path(parent, name)
                try:
                    found = path.lstat()
                except OSError:
                    continue
                if stat.S_ISREG(found.st_mode):
                    yield path, (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
