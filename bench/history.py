"""A repository with a long and heavy past, made once by ``git fast-import`` and kept under build/bench: 5,500 commits
and 340 MB as packed, of which the last one's files are 12 MB. The contents are random hexadecimal digits: text that is
compressed to half of its size, as it has to be when it is sent, and that has nothing in common with what it replaces.
The server has reachability bitmaps, as servers have.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

COMMITS: Final = 5500
BRANCH: Final = "feature/large"
_FOLDERS: Final = 20
_FILES: Final = 10
_BYTES: Final = 60_000
_BEGIN: Final = 1_700_000_000


def large_repository(folder: Path) -> Path:
    """The bare repository, with ``main`` and ``feature/large`` at the same commit."""
    ready = folder / f"history-{COMMITS}-text.git"
    if not ready.is_dir():
        print(f"Making a repository of {COMMITS} commits (once) …", file=sys.stderr, flush=True)
        making = ready.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        _make(making)
        making.rename(ready)
    return ready


def _make(folder: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", folder], check=True)
    command = ["git", f"--git-dir={folder}", "-c", "core.compression=1", "fast-import", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as importer:
        if importer.stdin is None:
            raise ValueError("git was started without a pipe")
        _tell(importer.stdin)
        importer.stdin.close()
    if importer.returncode:
        raise subprocess.CalledProcessError(importer.returncode, command)
    subprocess.run(["git", f"--git-dir={folder}", "repack", "-a", "-d", "-b", "-q", "--window=0"], check=True)


def _tell(stream: IO[bytes]) -> None:
    chance = random.Random(5500)  # noqa: S311  # the same history every time, no secret
    for number in range(COMMITS):
        message = f"Change {number}".encode()
        head = f"commit refs/heads/main\ncommitter Bench <bench@bench.invalid> {_BEGIN + number * 60} +0000\n"
        stream.write(head.encode() + b"data %d\n%s\n" % (len(message), message))
        # The first commits lay out every file, those after them change one.
        file = number if number < _FOLDERS * _FILES else chance.randrange(_FOLDERS * _FILES)
        path = f"part-{file % _FOLDERS:02}/file-{file // _FOLDERS}.bin"
        content = chance.randbytes(_BYTES).hex("\n", 40).encode()
        stream.write(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
    stream.write(f"reset refs/heads/{BRANCH}\nfrom refs/heads/main\n\n".encode())
