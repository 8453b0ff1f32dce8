"""Installs the configured agent from its pinned archive, unless it is installed.

Nothing in the archive is executed, and no script of a package runs. Of the Kiro CLI, only the programs in ``bin/`` are
copied, by name; of an npm package, only regular files below one folder. The download gets no secret, and the agent's
user can use the files but not replace them.
"""

from __future__ import annotations

import hashlib
import http.client
import lzma
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from kiro_worker.agent_pin import NPM_PACKAGES, REGISTRY_VARIABLE, how_to_install, parse_pin, title_of
from kiro_worker.errors import AgentNotPinned, BuildStopped
from kiro_worker.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from kiro_worker.agent_pin import AgentPin

_TIMEOUT_SECONDS: Final = 60
_LARGEST_ARCHIVE: Final = 2 * 1024**3
_LARGEST_INSTALLATION: Final = 4 * 1024**3
_OLDEST_NODE: Final = 20


@dataclass(frozen=True)
class _Layout:
    """Which files of an archive are installed, and which of them are programs.

    ``place`` returns where a file goes in the installation's folder, empty for one that is left out. ``programs`` are
    the programs by name, each with its place.
    """

    place: Callable[[str], str]
    programs: Mapping[str, str]


def _kiro_place(path: str) -> str:
    parts = PurePosixPath(path).parts
    is_program = len(parts) > 1 and parts[-2] == "bin" and re.fullmatch(r"kiro-cli(?:-[a-z]+)?", parts[-1])
    return parts[-1] if is_program else ""


def _place_below(folder: str) -> Callable[[str], str]:
    """Return a function that places everything below ``folder``, whose segments are patterns, at the same path."""
    pattern = re.compile(rf"{folder}/((?:[A-Za-z0-9@_+][A-Za-z0-9@_+.-]*/)*[A-Za-z0-9@_+][A-Za-z0-9@_+.-]*)")

    def place(path: str) -> str:
        match = pattern.fullmatch(path)
        return match[1] if match else ""

    return place


_LAYOUTS: Final[Mapping[str, _Layout]] = {
    "kiro": _Layout(_kiro_place, {"kiro-cli": "kiro-cli"}),
    "claude": _Layout(_place_below("package"), {"claude": "claude"}),
    "codex": _Layout(_place_below("package/vendor/[a-z0-9_-]+"), {"codex": "bin/codex"}),
    "gemini": _Layout(_place_below("package"), {"gemini": "bundle/gemini.js"}),
}


def program_of(name: str) -> str:
    """Return the program of the agent ``name``; empty if the worker does not install that agent."""
    return next(iter(_LAYOUTS[name].programs)) if name in _LAYOUTS else ""


def install_agent(name: str, environment: Mapping[str, str], folder: Path) -> str:
    """Install the agent ``name`` into ``folder`` if it is not on the ``PATH``, and return what was done.

    Raises :class:`BuildStopped` (AgentUnavailable) if its pin is missing, the download fails or is not the pinned one,
    or this machine cannot run it.
    """
    title, program = title_of(name), program_of(name)
    if installed := shutil.which(program, path=environment.get("PATH")):
        return f"{title} is already installed: {installed}"
    if name == "gemini":
        _require_node(environment)
    if name in NPM_PACKAGES and not environment.get(REGISTRY_VARIABLE):
        environment = {**environment, REGISTRY_VARIABLE: _registry_of_npm(name, environment)}
    try:
        pin = parse_pin(name, environment, platform.machine())
    except AgentNotPinned as error:
        raise BuildStopped(
            Outcome.AGENT_UNAVAILABLE, f"{program} is not installed, and {error.reason}", error.remedy
        ) from None
    try:
        with tempfile.TemporaryFile() as archive:
            _download(name, pin, archive)
            programs = _Installer(name, folder).install(archive)
    except OSError as error:
        raise _unavailable(name, f"{title} cannot be installed into {folder}: {error.strerror or error}") from None
    version = f" {pin.version}" if pin.version else ""
    return f"installed {', '.join(programs)}{version} into {folder} ({_hash_name(pin)} {pin.digest})"


def _unavailable(name: str, reason: str) -> BuildStopped:
    return BuildStopped(Outcome.AGENT_UNAVAILABLE, reason, how_to_install(name))


def _require_node(environment: Mapping[str, str]) -> None:
    """Require a version of Node that can run the Gemini CLI, which the machine has to provide."""
    node = shutil.which("node", path=environment.get("PATH"))
    try:
        answer = subprocess.run([node or "node", "--version"], capture_output=True, text=True, timeout=60, check=False)
        found = answer.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        found = ""
    version = re.match(r"v(\d+)\.", found)
    if version is None or int(version[1]) < _OLDEST_NODE:
        has = f"has {found[:20]}" if version else "has none"
        raise BuildStopped(
            Outcome.AGENT_UNAVAILABLE,
            f"the Gemini CLI needs Node {_OLDEST_NODE} or newer, and this build image {has}",
            f"use a build image with Node {_OLDEST_NODE} or newer, or configure another agent",
        )


def _registry_of_npm(name: str, environment: Mapping[str, str]) -> str:
    """Return the registry that the image's npm uses. It gets no secret, and runs outside every repository."""
    npm = shutil.which("npm", path=environment.get("PATH"))
    own = {key: environment[key] for key in ("PATH", "HOME") if key in environment}
    try:
        asked = [npm or "npm", "config", "get", "registry"]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True, cwd="/", env=own)
    except (OSError, subprocess.SubprocessError):
        raise BuildStopped(
            Outcome.AGENT_UNAVAILABLE,
            f"{title_of(name)} is not installed, and this build image has no npm that knows a registry",
            f"set {REGISTRY_VARIABLE} of the CodeBuild project to the address of a registry, or use an image with npm",
        ) from None
    return answer.stdout.strip()


def _download(name: str, pin: AgentPin, archive: IO[bytes]) -> None:
    """Download the pinned archive into ``archive`` and rewind it. Raises :class:`BuildStopped` if that fails."""
    actual = hashlib.new(pin.algorithm)
    try:
        # The pin is http(s), and the content is checked against the pinned digest.
        with urllib.request.urlopen(pin.url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            while chunk := response.read(1 << 20):
                actual.update(chunk)
                archive.write(chunk)
                if archive.tell() > _LARGEST_ARCHIVE:
                    raise _unavailable(name, f"{pin.url} is larger than {_LARGEST_ARCHIVE >> 30} GB")
    except (OSError, http.client.HTTPException) as error:
        raise _unavailable(name, f"{pin.url} cannot be downloaded: {error}") from None
    if actual.hexdigest() != pin.digest:
        found = f"{_hash_name(pin)} {actual.hexdigest()}"
        raise _unavailable(name, f"{pin.url} has the {found}, not the pinned {pin.digest}")
    archive.seek(0)


def _hash_name(pin: AgentPin) -> str:
    return {"sha256": "SHA-256", "sha512": "SHA-512"}[pin.algorithm]


@dataclass(frozen=True)
class _Installer:
    """Installs the archive of the agent ``name`` into ``folder``, which comes on the ``PATH``."""

    name: str
    folder: Path

    def install(self, archive: IO[bytes]) -> list[str]:
        """Copy the files, make the programs available in the folder, and return their names."""
        layout = _LAYOUTS[self.name]
        # The agent runs as another user, which may use the programs but not replace them.
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        flat = self.name == "kiro"
        target = self.folder if flat else self.folder / f"{self.name}-package"
        try:
            placed = self._copy(archive, layout, target)
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
            raise _unavailable(self.name, f"the archive of {title_of(self.name)} cannot be read: {error}") from None
        for program, place in layout.programs.items():
            if place not in placed:
                expected = f"bin/{place}" if flat else place
                raise _unavailable(self.name, f"the archive of {title_of(self.name)} contains no program {expected}")
            if not flat:
                # A program finds its other files beside itself, so the link leads into the package's own folders.
                (target / place).chmod(0o755)
                link = self.folder / program
                link.unlink(missing_ok=True)
                link.symlink_to(target / place)
        return placed if flat else list(layout.programs)

    def _copy(self, archive: IO[bytes], layout: _Layout, target: Path) -> list[str]:
        placed, total = [], 0
        for path, size, executable, content in _files(archive):
            if not (place := layout.place(path)):
                continue
            total += size
            if total > _LARGEST_INSTALLATION:
                limit = f"{_LARGEST_INSTALLATION >> 30} GB"
                raise _unavailable(self.name, f"{title_of(self.name)} needs more than {limit} when it is installed")
            file = target / place
            for folder in reversed([*file.relative_to(self.folder).parents][:-1]):
                (self.folder / folder).mkdir(mode=0o755, exist_ok=True)
            partial = file.with_name(f".{file.name}.partial")
            with partial.open("wb") as copy:
                shutil.copyfileobj(content, copy)
            partial.chmod(0o755 if executable or self.name == "kiro" else 0o644)
            partial.replace(file)
            placed.append(place)
        return placed


def _files(archive: IO[bytes]) -> Iterator[tuple[str, int, bool, IO[bytes]]]:
    """Yield the regular files of a zip, or of a tar with any compression: path, size, whether executable, content."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.infolist():
                if not member.is_dir():
                    with zipped.open(member) as content:
                        yield member.filename, member.file_size, bool(member.external_attr >> 16 & 0o100), content
        return
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        for entry in tar:
            if entry.isfile() and (file := tar.extractfile(entry)):
                yield entry.name, entry.size, bool(entry.mode & 0o100), file
