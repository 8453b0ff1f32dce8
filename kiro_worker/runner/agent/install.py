"""Installs the Kiro CLI from the URL and with the SHA-256 that the CodeBuild project pins, unless it is installed.

Nothing in the archive is executed or extracted to a path of its choice: only the programs in ``bin/`` are copied, by
name. The download gets no secret.
"""

from __future__ import annotations

import hashlib
import http.client
import lzma
import re
import shutil
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from kiro_worker.agent_pin import HOW_TO_PIN, AgentPin
from kiro_worker.errors import AgentNotPinned, BuildStopped
from kiro_worker.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_PROGRAM: Final = re.compile(r"kiro-cli(?:-[a-z]+)?")
_TIMEOUT_SECONDS: Final = 60
_LARGEST_ARCHIVE: Final = 2 * 1024**3


def install_kiro_cli(environment: Mapping[str, str], folder: Path) -> str:
    """Install the Kiro CLI into ``folder`` if it is not on the ``PATH``, and return what was done.

    Raises :class:`BuildStopped` (AgentUnavailable) if its pin is missing, or the download fails or is not the pinned
    one.
    """
    if installed := shutil.which("kiro-cli", path=environment.get("PATH")):
        return f"the Kiro CLI is already installed: {installed}"
    try:
        pin = AgentPin.parse(environment)
    except AgentNotPinned as error:
        raise _unavailable(f"kiro-cli is not installed, and {error.reason}") from None
    try:
        with tempfile.TemporaryFile() as archive:
            _download(pin, archive)
            programs = _copy_programs(archive, folder)
    except OSError as error:
        raise _unavailable(f"the Kiro CLI cannot be installed into {folder}: {error.strerror or error}") from None
    return f"installed {', '.join(programs)} into {folder} (SHA-256 {pin.digest})"


def _unavailable(reason: str) -> BuildStopped:
    return BuildStopped(Outcome.AGENT_UNAVAILABLE, reason, HOW_TO_PIN)


def _download(pin: AgentPin, archive: IO[bytes]) -> None:
    """Download the pinned archive into ``archive`` and rewind it. Raises :class:`BuildStopped` if that fails."""
    actual = hashlib.sha256()
    try:
        # The pin is http(s), and the content is checked against the pinned digest.
        with urllib.request.urlopen(pin.url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            while chunk := response.read(1 << 20):
                actual.update(chunk)
                archive.write(chunk)
                if archive.tell() > _LARGEST_ARCHIVE:
                    raise _unavailable(f"{pin.url} is larger than {_LARGEST_ARCHIVE >> 30} GB")
    except (OSError, http.client.HTTPException) as error:
        raise _unavailable(f"{pin.url} cannot be downloaded: {error}") from None
    if actual.hexdigest() != pin.digest:
        raise _unavailable(f"{pin.url} has the SHA-256 {actual.hexdigest()}, not the pinned {pin.digest}")
    archive.seek(0)


def _copy_programs(archive: IO[bytes], folder: Path) -> list[str]:
    # The agent runs as another user, which may use the programs but not replace them.
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    installed = []
    try:
        for name, content in _programs(archive):
            partial = folder / f".{name}.partial"
            with partial.open("wb") as file:
                shutil.copyfileobj(content, file)
            partial.chmod(0o755)
            partial.replace(folder / name)
            installed.append(name)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise _unavailable(f"the Kiro CLI archive cannot be read: {error}") from None
    if "kiro-cli" not in installed:
        raise _unavailable("the Kiro CLI archive contains no program bin/kiro-cli")
    return installed


def _programs(archive: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the files ``…/bin/kiro-cli*`` of a zip, or of a tar with any compression."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.infolist():
                if not member.is_dir() and (name := _program_name(member.filename)):
                    with zipped.open(member) as content:
                        yield name, content
        return
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        for entry in tar:
            if entry.isfile() and (name := _program_name(entry.name)) and (file := tar.extractfile(entry)):
                yield name, file


def _program_name(path: str) -> str:
    parts = PurePosixPath(path).parts
    return parts[-1] if len(parts) > 1 and parts[-2] == "bin" and _PROGRAM.fullmatch(parts[-1]) else ""
