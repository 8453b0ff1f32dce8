"""``python -m kiro_worker.runner.agent.install``: the Kiro CLI, from the address and with the SHA-256 that the project
pins; nothing at all when another agent is configured or the CLI is there already.

Nothing of the archive is executed or laid out by its own paths: the programs in its ``bin/`` are copied by name.
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
_SECONDS: Final = 60
_LARGEST: Final = 2 * 1024**3
_REMEDY: Final = (
    "make deploy with --context kiroCliUrl=https://…/kirocli-aarch64-linux.tar.gz"
    " --context kiroCliSha256=<64 hex digits>,"
    ' or configure another agent: "agent": {"command": […]}'
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Install what the configuration asks for; 1 with a sentence on standard error when that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m kiro_worker.runner.agent.install", description=__doc__)
    parser.add_argument("--into", type=Path, default=_default_folder(), metavar="DIR", help="default: %(default)s")
    chosen = parser.parse_args(arguments)
    try:
        print(install(os.environ, chosen.into))
    except KiroWorkerError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def install(environment: Mapping[str, str], folder: Path) -> str:
    """Make the configured agent available; what was done, as a sentence. Raises :class:`ConfigurationMissing` and
    :class:`ConfigurationInvalid`.
    """
    name = environment.get("CONFIG_PARAMETER_NAME", "")
    if not name:
        raise ConfigurationMissing("the build's environment lacks CONFIG_PARAMETER_NAME", "make deploy sets it")
    if there := shutil.which("kiro-cli", path=environment.get("PATH")):
        return f"The Kiro CLI is there already: {there}"
    # Not at the top: an image that has the CLI need not wait for these to be read.
    from kiro_worker.config.parameter import load_configuration
    from kiro_worker.runner.clients import Clients

    agent = load_configuration(Clients()("ssm"), name).agent
    if agent.name != "kiro":
        return f"The configured agent is {agent.name}: the Kiro CLI is not needed."
    url, digest = environment.get("KIRO_CLI_URL", ""), environment.get("KIRO_CLI_SHA256", "").lower()
    if not url or not digest:
        absent = " and ".join(key for key in ("KIRO_CLI_URL", "KIRO_CLI_SHA256") if not environment.get(key))
        raise ConfigurationMissing(f"kiro-cli is not installed and {absent} of the project is not set", _REMEDY)
    if not re.fullmatch(r"https?://\S+", url) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ConfigurationInvalid("KIRO_CLI_URL is no http(s) address, or KIRO_CLI_SHA256 not 64 hex digits", _REMEDY)
    with tempfile.TemporaryFile() as archive:
        _download(url, digest, archive)
        programs = _copy_programs(archive, folder)
    return f"Installed {', '.join(programs)} into {folder} (SHA-256 {digest})"


def _default_folder() -> Path:
    return Path("/usr/local/bin") if os.access("/usr/local/bin", os.W_OK) else Path.home() / ".local" / "bin"


def _download(url: str, digest: str, archive: IO[bytes]) -> None:
    """Into ``archive``, rewound. Raises unless it is what the digest says."""
    found = hashlib.sha256()
    try:
        # The address was checked to be http(s), and what comes is checked against the pinned digest.
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310
            while chunk := answer.read(1 << 20):
                found.update(chunk)
                archive.write(chunk)
                if archive.tell() > _LARGEST:
                    raise ConfigurationInvalid(f"{url} is larger than {_LARGEST >> 30} GB", _REMEDY)
    except (urllib.error.URLError, OSError) as error:
        raise ConfigurationInvalid(f"{url} cannot be downloaded: {error}", _REMEDY) from None
    if found.hexdigest() != digest:
        raise ConfigurationInvalid(f"{url} has the SHA-256 {found.hexdigest()}, not the pinned {digest}", _REMEDY)
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
        raise ConfigurationInvalid(f"the archive of the Kiro CLI cannot be read: {error}", _REMEDY) from None
    if "kiro-cli" not in installed:
        raise ConfigurationInvalid("the archive has no program bin/kiro-cli", _REMEDY)
    return installed


def _programs(archive: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """The files ``…/bin/kiro-cli*`` of a zip or a tar of any compression."""
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
