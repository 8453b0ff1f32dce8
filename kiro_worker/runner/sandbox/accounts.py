"""Names for the users of a build, because programs such as PostgreSQL's ask the system who they run as.

A name is a line in ``/etc/passwd`` and one in ``/etc/group``. Only root can write them, and only root has other users.
No one can log in with the account: it has no password.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PREFIX: Final = "kiro-"
_FULL_NAME: Final = "Kiro CodeBuild Worker"
_ETC: Final = Path("/etc")


def account_name(uid: int | None) -> str:
    """Return the name of the account of ``uid``, or else of the runner's own user; empty if it has none."""
    try:
        return pwd.getpwuid(os.geteuid() if uid is None else uid).pw_name
    except KeyError:
        return ""


@contextmanager
def account(uid: int, home: Path, say: Callable[[str], None], etc: Path = _ETC) -> Iterator[None]:
    """Give ``uid`` a name for as long as the context is open, unless the system already has one, or is read-only."""
    name = f"{_PREFIX}{uid}"
    lines = {"passwd": f"{name}:*:{uid}:{uid}:{_FULL_NAME}:{home}:/bin/sh", "group": f"{name}:*:{uid}:"}
    added = []
    try:
        for file, line in lines.items():
            _replace_line(etc / file, name, line)
            added.append(file)
    except OSError as error:
        say(f"the user {uid} has no name on this machine, because {error.filename} cannot be changed: {error.strerror}")
    try:
        yield
    finally:
        for file in added:
            with contextlib.suppress(OSError):
                _replace_line(etc / file, name, "")


def _replace_line(file: Path, name: str, line: str) -> None:
    """Put ``line`` in place of that of ``name``. Other programs see the whole old file or the whole new one."""
    # The lock that useradd and passwd take. https://man7.org/linux/man-pages/man3/lckpwdf.3.html
    with os.fdopen(os.open(file.parent / ".pwd.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        # Only this ends a line there. A full name may contain what ends a line elsewhere.
        before = file.read_text("utf-8", "surrogateescape").removesuffix("\n").split("\n")
        after = [old for old in before if not old.startswith(f"{name}:")] + ([line] if line else [])
        info = file.stat()
        descriptor, new = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as writing:
                writing.write("".join(f"{entry}\n" for entry in after))
            os.chown(new, info.st_uid, info.st_gid)
            Path(new).chmod(info.st_mode & 0o7777)
            Path(new).replace(file)
        except OSError:
            Path(new).unlink(missing_ok=True)
            raise
