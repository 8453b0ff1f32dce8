"""Offers the git credentials to one server, for the duration of one command, without writing them anywhere by name."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kiro_worker.runner.repository import credential_helper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiro_worker.models import GitCredentials


@contextmanager
def offered(credentials: GitCredentials | None, url: str) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Yield the options of git that offer ``credentials`` to the server of ``url``, and the descriptors it inherits."""
    if credentials is None:
        yield (), ()
        return
    with tempfile.TemporaryFile() as file:
        file.write(f"username={credentials.username}\npassword={credentials.password}\n".encode())
        file.flush()
        # The key names the server, so that git offers these credentials to no other.
        yield ("-c", f"credential.{_server(url)}.helper={_helper_command(file.fileno())}"), (file.fileno(),)


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _helper_command(descriptor: int) -> str:
    """Return the credential helper as a shell command. git appends ``get``, or ``store``, which does nothing."""
    words = credential_command(descriptor)
    return f'!answer() {{ test "$1" != get || {shlex.join(words)}; }}; answer'


def credential_command(descriptor: int, descriptors: str = "/proc/self/fd") -> tuple[str, ...]:
    """Return the command that prints the whole content of an open, unnamed file.

    It works however often it runs, although git may ask repeatedly and all readers share the descriptor's position. On
    Linux, ``cat`` reopens the file through ``/proc``, because git waits for this command at every request and Python
    starts more slowly.
    """
    if os.path.exists(f"{descriptors}/{descriptor}"):  # noqa: PTH110  # a descriptor, not a path that means anything
        return ("cat", f"{descriptors}/{descriptor}")
    return (sys.executable, "-I", "-S", credential_helper.__file__, str(descriptor), "get")
