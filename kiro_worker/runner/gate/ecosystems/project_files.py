"""A project's files, read to find out how it is built and tested.

The files are untrusted: only regular files inside the folder are read, a bounded number of bytes of each, and a file
that cannot be read or parsed counts as empty.
"""

from __future__ import annotations

import json
import os
import stat
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.runner.gate.project_settings import parsed_toml
from kiro_worker.runner.gate.report_files import PARSER_ERRORS, regular_file_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_FILE_BYTES: Final = 512 * 1024
MAX_ENTRIES: Final = 5_000
"""How many entries of folders are looked at, whatever a search finds."""
_TOOL_FOLDERS: Final = frozenset(("node_modules", "vendor", "target", "build", "dist", "bin", "obj", "venv"))
"""Folders that hold what tools created or downloaded. No manifest in them is the project's own."""


class ProjectFiles:
    """Reads files of ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, *names: str) -> bool:
        """Return whether the folder has one of the regular files ``names``."""
        return bool(self.first(*names))

    def first(self, *names: str) -> str:
        """Return the first of ``names`` that is a regular file in the folder; empty if none is."""
        return next((name for name in names if regular_file_in(self.folder, name)), "")

    def text(self, name: str, limit: int = MAX_FILE_BYTES) -> str:
        """Return the file's text; empty if there is none, or if it is larger than ``limit`` bytes."""
        content = self._read(name, limit + 1)
        return content.decode("utf-8-sig", "replace") if len(content) <= limit else ""

    def beginning(self, name: str, size: int = 2_000) -> str:
        """Return at most the first ``size`` bytes as text, however large the file is."""
        return self._read(name, size).decode("utf-8-sig", "replace")

    def json(self, name: str) -> Mapping[str, Any]:
        """Return the JSON object in the file; empty if there is none."""
        return self._parsed(name, json.loads)

    def toml(self, name: str) -> Mapping[str, Any]:
        """Return the TOML document in the file; empty if there is none."""
        return self._parsed(name, parsed_toml)

    def names(self, *patterns: str, levels: int = 1, under: str = "") -> tuple[str, ...]:
        """Return the regular files, sorted, whose names match one of ``patterns``, relative to the folder.

        ``under`` is the folder that is searched, and ``levels`` counts its levels of folders, 1 for itself alone.
        """
        found = (
            name
            for name in self._files(under, levels)
            if any(fnmatchcase(name.rpartition("/")[2], each) for each in patterns)
        )
        return tuple(sorted(found, key=lambda name: (name.count("/"), name)))

    def folders(self, pattern: str) -> tuple[str, ...]:
        """Return the folders that a workspace pattern such as ``packages/*`` names, relative to the folder, sorted."""
        here = [""]
        for part in [part for part in pattern.split("/") if part not in ("", ".")][:10]:
            below = [f"{folder}/{name}".lstrip("/") for folder in here for name in self._subfolders(folder)]
            here = [path for path in below if fnmatchcase(path.rpartition("/")[2], part)][:MAX_ENTRIES]
        return tuple(sorted(path for path in here if path))

    def _read(self, name: str, size: int) -> bytes:
        path = regular_file_in(self.folder, name)
        if path is None:
            return b""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return b""
        with os.fdopen(descriptor, "rb") as file:
            try:
                return file.read(size) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
            except OSError:
                return b""

    def _parsed(self, name: str, parse: Callable[[str], Any]) -> Mapping[str, Any]:
        try:
            document = parse(self.text(name))
        except PARSER_ERRORS:
            return {}
        return document if isinstance(document, dict) else {}

    def _subfolders(self, folder: str) -> list[str]:
        entries = self._entries(folder, frozenset(("node_modules",)))
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]

    def _entries(self, folder: str, skipped: frozenset[str] = _TOOL_FOLDERS) -> list[os.DirEntry[str]]:
        entries: list[os.DirEntry[str]] = []
        if folder and (self.folder / folder).is_symlink():
            return []
        try:
            with os.scandir(self.folder / folder) as scanned:
                for entry in scanned:
                    if len(entries) >= MAX_ENTRIES:
                        break
                    if not entry.name.startswith(".") and entry.name not in skipped:
                        entries.append(entry)
        except OSError:
            return []
        return sorted(entries, key=lambda entry: entry.name)

    def _files(self, under: str, levels: int) -> Iterator[str]:
        remaining, waiting = MAX_ENTRIES, [under]
        deepest = levels + under.count("/") + bool(under)
        while waiting:
            here = waiting.pop(0)
            for entry in self._entries(here):
                remaining -= 1
                if remaining < 0:
                    return
                path = f"{here}/{entry.name}".lstrip("/")
                if entry.is_dir(follow_symlinks=False):
                    if path.count("/") + 1 < deepest:
                        waiting.append(path)
                elif entry.is_file(follow_symlinks=False):
                    yield path


def table(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """Return the object below ``keys``; empty if there is none."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def string(document: Mapping[str, Any], key: str) -> str:
    """Return the text below ``key``; empty if there is none."""
    found = document.get(key)
    return found if isinstance(found, str) else ""


def strings(value: object) -> tuple[str, ...]:
    """Return the texts in a list; empty if ``value`` is no list."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def script(*lines: str) -> tuple[str, ...]:
    """Return the words that run ``lines`` with the shell, which stops at the first that fails."""
    return ("sh", "-eu", "-c", "\n".join(lines))
