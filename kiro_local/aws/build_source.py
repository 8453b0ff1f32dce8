"""The sources of builds. An archive is unpacked once; each build gets copies of its files and links to its folders.

The worker's archive holds thousands of files. Writing and removing them for every build takes seconds, because the file
system examines all recently freed inodes before it allocates a new one.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import threading
import zipfile
from pathlib import Path


class BuildSources:
    """Lays out sources. Builds of one source share its folders and what earlier builds wrote into them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def lay_out(self, archive: bytes, target: Path) -> None:
        """Create ``target`` from the content of a zip file. Raises :class:`zipfile.BadZipFile`."""
        source = self._unpacked(archive)
        target.mkdir(parents=True)
        for entry in source.iterdir():
            if entry.is_dir():
                (target / entry.name).symlink_to(entry)
            else:
                shutil.copy(entry, target)

    def _unpacked(self, archive: bytes) -> Path:
        source = self._folder / hashlib.sha256(archive).hexdigest()[:16]
        with self._lock:
            if not source.exists():
                # Under a temporary name until it is complete.
                part = source.with_suffix(".part")
                shutil.rmtree(part, ignore_errors=True)
                _unpack(archive, part)
                part.rename(source)
        return source


def _unpack(archive: bytes, target: Path) -> None:
    target.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for member in opened.infolist():
            path = opened.extract(member, target)
            mode = member.external_attr >> 16
            if mode & 0o111 and not member.is_dir():
                Path(path).chmod(0o755)
