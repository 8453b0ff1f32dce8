"""Report files that a test run wrote, found and read as untrusted input.

A file counts only if the run itself created or changed it, so that neither an old report nor one that the agent
prepared can pass for the run's result. No symbolic link is followed out of the folder, only regular files are read, and
never more than a fixed number of bytes.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
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

MAX_REPORT_BYTES: Final = 64 * 1024 * 1024
MAX_XML_DEPTH: Final = 200
MAX_FILES: Final = 200_000
_SKIPPED_FOLDERS: Final = frozenset(
    (
        *(".git", ".gradle", ".hypothesis", ".mypy_cache", ".pytest_cache", ".tox", ".venv", "__pycache__"),
        *("node_modules", "site-packages", "venv"),
    )
)

PARSER_ERRORS: Final = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError),
    ParseError,
)
"""What the parsers raise on malformed input: json, int and decode (ValueError), expat (ParseError, MemoryError), a
missing field or an unknown encoding (LookupError), nesting (RecursionError), another type than expected (TypeError,
AttributeError), and a number that no float can hold (ArithmeticError)."""
_LONGEST_CAUSE: Final = 200

Signature = tuple[int, int, int, int]
"""A file's size, modification time, change time and inode, which reveal a change."""


class Unreadable(ValueError):
    """The file is not the report that its name suggests, or is not safe to read."""


def take_snapshot(*folders: Path) -> dict[Path, Signature]:
    """Return the signature of every regular file in ``folders``. Reads no file and follows no symbolic link."""
    return dict(_regular_files(folders))


def files_written_since(
    before: Mapping[Path, Signature], folders: Iterable[Path], patterns: Iterable[str]
) -> list[Path]:
    """Return the files, sorted, that are new or changed since ``before`` and whose path ends in one of ``patterns``."""
    wanted = tuple(patterns)
    return sorted(
        path
        for path, signature in _regular_files(folders)
        if before.get(path) != signature and any(fnmatch(f"/{path}", f"*/{pattern}") for pattern in wanted)
    )


def files_altered_since(
    before: Mapping[Path, Signature], folder: Path, except_for: Iterable[Path] = ()
) -> tuple[str, ...]:
    """Return the files of ``folder``, relative to it, that have changed or disappeared since ``before``."""
    now, ignored = take_snapshot(folder), set(except_for)
    earlier = (path for path in before if path.is_relative_to(folder) and path not in ignored)
    return tuple(sorted(str(path.relative_to(folder)) for path in earlier if now.get(path) != before[path]))


def regular_file_in(folder: Path, name: str) -> Path | None:
    """Return the regular file ``name`` in ``folder``; None if there is none or it lies outside."""
    try:
        found = (folder / name).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return found if found.is_relative_to(folder.resolve()) and found.is_file() else None


@contextmanager
def unreadable_on_error(name: str, kind: str) -> Iterator[None]:
    """Turn every error that malformed input makes a parser raise into :class:`Unreadable`.

    ``name`` is the report's file name, and ``kind`` what it should be, for the message.
    """
    try:
        yield
    except Unreadable:
        raise
    except PARSER_ERRORS as error:
        raise Unreadable(f"{name} is not {kind}: {type(error).__name__}: {str(error)[:_LONGEST_CAUSE]}") from None


def read_report(path: Path, limit: int = MAX_REPORT_BYTES) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes.

    Raises :class:`Unreadable`, also for a link, a pipe or a device.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(f"{path.name} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable(f"{path.name} is not a regular file")
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise Unreadable(f"{path.name} cannot be read: {error.strerror}") from None
    if len(content) > limit:
        size = f"{limit >> 20} MB" if limit >> 20 else f"{limit >> 10} KB"
        raise Unreadable(f"{path.name} is larger than {size}")
    return content


def parse_xml(content: bytes, name: str) -> Element:
    """Return the root element of an XML document.

    Raises :class:`Unreadable`, also for a document that declares entities, because a few lines of them expand to
    gigabytes. A DOCTYPE alone is accepted, because Cobertura and JaCoCo write one; what it refers to is never fetched.
    """
    with unreadable_on_error(name, "XML"):
        try:
            document = parse_defused(BytesIO(content), forbid_dtd=False, forbid_entities=True, forbid_external=True)
        except DefusedXmlException as error:
            forbidden = type(error).__name__.removesuffix("Forbidden").lower()
            raise Unreadable(f"{name} contains forbidden XML: {forbidden}") from None
        root = document.getroot()
    if root is None or _is_deeper_than(MAX_XML_DEPTH, root):
        raise Unreadable(f"{name} is empty, or nested too deeply")
    return root


def _is_deeper_than(levels: int, root: Element) -> bool:
    level = [root]
    for _ in range(levels):
        level = [child for element in level for child in element]
    return bool(level)


def _regular_files(folders: Iterable[Path]) -> Iterator[tuple[Path, Signature]]:
    """Yield at most ``MAX_FILES`` regular files of ``folders``, outside the folders that tools keep for themselves."""
    remaining = MAX_FILES
    for folder in folders:
        for parent, subfolders, names in os.walk(folder):
            subfolders[:] = sorted(name for name in subfolders if name not in _SKIPPED_FOLDERS)
            for name in sorted(names):
                remaining -= 1
                if remaining < 0:
                    return
                path = Path(parent, name)
                try:
                    info = path.lstat()
                except OSError:
                    continue
                if stat.S_ISREG(info.st_mode):
                    yield path, (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
