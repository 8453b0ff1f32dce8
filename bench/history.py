"""A repository with a long and large history, created once by ``git fast-import`` and kept in build/bench.

It has 5,500 commits and 340 MB when packed; the files of the last commit are 12 MB. The contents are random hexadecimal
digits, which compress to half their size, and no version has anything in common with the one it replaces. The
repository has reachability bitmaps, as repositories on servers do.
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
_FIRST_COMMIT_TIME: Final = 1_700_000_000


def large_repository(folder: Path) -> Path:
    """Return the bare repository, with ``main`` and ``feature/large`` at the same commit."""
    ready = folder / f"history-{COMMITS}-text.git"
    if not ready.is_dir():
        print(f"Creating a repository of {COMMITS} commits (only once) …", file=sys.stderr, flush=True)
        unfinished = ready.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _create(unfinished)
        unfinished.rename(ready)
    return ready


def _create(folder: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", folder], check=True)
    command = ["git", f"--git-dir={folder}", "-c", "core.compression=1", "fast-import", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as importer:
        if importer.stdin is None:
            raise ValueError("git was started without a pipe")
        _write_commits(importer.stdin)
        importer.stdin.close()
    if importer.returncode:
        raise subprocess.CalledProcessError(importer.returncode, command)
    subprocess.run(["git", f"--git-dir={folder}", "repack", "-a", "-d", "-b", "-q", "--window=0"], check=True)


def _write_commits(stream: IO[bytes]) -> None:
    random_source = random.Random(5500)  # noqa: S311  # reproducible, and no secret
    for number in range(COMMITS):
        message = f"Change {number}".encode()
        head = (
            f"commit refs/heads/main\ncommitter Bench <bench@bench.invalid> {_FIRST_COMMIT_TIME + number * 60} +0000\n"
        )
        stream.write(head.encode() + b"data %d\n%s\n" % (len(message), message))
        # The first commits add every file; each later commit changes one.
        file = number if number < _FOLDERS * _FILES else random_source.randrange(_FOLDERS * _FILES)
        path = f"part-{file % _FOLDERS:02}/file-{file // _FOLDERS}.bin"
        content = random_source.randbytes(_BYTES).hex("\n", 40).encode()
        stream.write(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
    stream.write(f"reset refs/heads/{BRANCH}\nfrom refs/heads/main\n\n".encode())
