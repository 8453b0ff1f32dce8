"""``python -m kiro_worker.runner.agent.install`` installs the Kiro CLI from the URL and with the SHA-256 that the
CodeBuild project pins. It does nothing when another agent is configured or the CLI is installed already.

Nothing in the archive is executed or extracted to a path of its choice: only the programs in ``bin/`` are copied, by
name.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from kiro_worker.errors import ConfigurationInvalid, ConfigurationMissing, KiroWorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PROGRAM: Final = re.compile(r"kiro-cli(?:-[a-z]+)?")
_TIMEOUT_SECONDS: Final = 60
_LARGEST_ARCHIVE: Final = 2 * 1024**3
_REMEDY: Final = (
    "make deploy with --context kiroCliUrl=https://…/kirocli-aarch64-linux.tar.gz"
    " --context kiroCliSha256=<64 hex digits>,"
    ' or configure another agent: "agent": {"command": […]}'
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Install the agent that the configuration names, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kiro_worker.runner.agent.install", description=__doc__)
    parser.add_argument("--into", type=Path, default=_default_folder(), metavar="DIR", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        print(install(os.environ, options.into))
    except KiroWorkerError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def install(environment: Mapping[str, str], folder: Path) -> str:
    """Install the Kiro CLI into ``folder`` if the configuration needs it, and return what was done.

    Raises :class:`ConfigurationMissing` and :class:`ConfigurationInvalid`.
    """
    name = environment.get("CONFIG_PARAMETER_NAME", "")
    if not name:
        raise ConfigurationMissing("CONFIG_PARAMETER_NAME is not set in the build's environment", "make deploy sets it")
    if installed := shutil.which("kiro-cli", path=environment.get("PATH")):
        return f"The Kiro CLI is already installed: {installed}"
    # Imported here so that an image that has the CLI does not wait for these imports.
    from kiro_worker.config.parameter import load_configuration
    from kiro_worker.runner.clients import Clients

    agent = load_configuration(Clients()("ssm"), name).agent
    if agent.name != "kiro":
        return f"The configured agent is {agent.name}: the Kiro CLI is not needed."
    url, digest = environment.get("KIRO_CLI_URL", ""), environment.get("KIRO_CLI_SHA256", "").lower()
    if not url or not digest:
        missing = " and ".join(key for key in ("KIRO_CLI_URL", "KIRO_CLI_SHA256") if not environment.get(key))
        raise ConfigurationMissing(
            f"kiro-cli is not installed, and the CodeBuild project does not set {missing}", _REMEDY
        )
    if not re.fullmatch(r"https?://\S+", url) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ConfigurationInvalid(
            "KIRO_CLI_URL is not an http(s) URL, or KIRO_CLI_SHA256 is not 64 hex digits", _REMEDY
        )
    with tempfile.TemporaryFile() as archive:
        _download(url, digest, archive)
        programs = _copy_programs(archive, folder)
    return f"Installed {', '.join(programs)} into {folder} (SHA-256 {digest})"


def _default_folder() -> Path:
    return Path("/usr/local/bin") if os.access("/usr/local/bin", os.W_OK) else Path.home() / ".local" / "bin"


def _download(url: str, digest: str, archive: IO[bytes]) -> None:
    """Download ``url`` into ``archive`` and rewind it. Raises :class:`ConfigurationInvalid` when the digest differs."""
    actual = hashlib.sha256()
    try:
        # The caller has checked that the URL is http(s), and the content is checked against the pinned digest.
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            while chunk := response.read(1 << 20):
                actual.update(chunk)
                archive.write(chunk)
                if archive.tell() > _LARGEST_ARCHIVE:
                    raise ConfigurationInvalid(f"{url} is larger than {_LARGEST_ARCHIVE >> 30} GB", _REMEDY)
    except (urllib.error.URLError, OSError) as error:
        raise ConfigurationInvalid(f"{url} cannot be downloaded: {error}", _REMEDY) from None
    if actual.hexdigest() != digest:
        raise ConfigurationInvalid(f"{url} has the SHA-256 {actual.hexdigest()}, not the pinned {digest}", _REMEDY)
    archive.seek(0)


def _copy_programs(archive: IO[bytes], folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    installed = []
    try:
        for name, content in _programs(archive):
            partial = folder / f".{name}.partial"
            with partial.open("wb") as file:
                shutil.copyfileobj(content, file)
            partial.chmod(0o755)
            partial.replace(folder / name)
            installed.append(name)
    except (tarfile.TarError, zipfile.BadZipFile) as error:
        raise ConfigurationInvalid(f"the Kiro CLI archive cannot be read: {error}", _REMEDY) from None
    if "kiro-cli" not in installed:
        raise ConfigurationInvalid("the Kiro CLI archive contains no program bin/kiro-cli", _REMEDY)
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


if __name__ == "__main__":
    sys.exit(main())
