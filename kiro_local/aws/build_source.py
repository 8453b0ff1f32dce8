"""What builds are made from: an archive is unpacked once, and each build gets its files, and links to its folders.

Ours holds thousands of files. To write and remove them for every build takes seconds of it, for a file system looks at
all inodes that were freed a moment ago before it takes a new one.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import threading
import zipfile
from pathlib import Path


class BuildSources:
    """What a build writes into a folder that came with its source, the next build of that source finds there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def lay_out(self, archive: bytes, target: Path) -> None:
        """``archive`` is a zip's content. Raises :class:`zipfile.BadZipFile`."""
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
                # Under another name until it is whole.
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
