"""The image's language runtimes, which the sandbox's user must be able to reach."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TOOLCHAINS: Final = (
    *("DOTNET_ROOT", "GOENV_ROOT", "GOROOT", "JAVA_HOME", "MAVEN_HOME", "NVM_DIR", "N_PREFIX"),
    *("PHPENV_ROOT", "PYENV_ROOT", "RBENV_ROOT", "RUSTUP_HOME"),
)
"""Variables that name folders of runtimes. They hold no secrets, and the shims on PATH do not work without them.

``CARGO_HOME`` and ``GOPATH`` are not among them. They name folders for packages, which images often open to all users.
What setup downloads must be in its home folder, where the agent cannot change it and no clean-up removes it.
"""

_INTERPRETERS: Final = ("python3", "python", "node", "java", "go", "cargo")


def unreachable_toolchains(environment: Mapping[str, str]) -> list[Path]:
    """Return the folders of runtimes that a user other than root cannot reach."""
    path = environment.get("PATH", os.defpath)
    programs = (found for name in _INTERPRETERS if (found := shutil.which(name, path=path)))
    named = [*path.split(os.pathsep), *(environment.get(name, "") for name in TOOLCHAINS)]
    folders = (Path(os.path.realpath(name)) for name in named if name.startswith("/"))
    candidates = [*(Path(os.path.realpath(program)).parent for program in programs), *folders]
    return [folder for folder in dict.fromkeys(candidates) if folder.is_dir() and not _reachable(folder)]


def grant_traversal(folders: Sequence[Path], say: Callable[[str], None]) -> None:
    """Let other users pass through the parents of ``folders``.

    In a parent that was closed to them, everything else is closed first, because its mode did not matter before.
    """
    kept = {path for folder in folders for path in (folder, *folder.parents)}
    for parent in sorted(kept - set(folders)):
        if parent.stat().st_mode & 0o001:
            continue
        for sibling in parent.iterdir():
            if sibling not in kept and not sibling.is_symlink() and sibling.stat().st_mode & 0o007:
                sibling.chmod(stat.S_IMODE(sibling.stat().st_mode) & ~0o007)
        parent.chmod(stat.S_IMODE(parent.stat().st_mode) | 0o001)
        say(f"the agent's user may now pass through {parent} to its runtimes, and can reach nothing else in it")


def _reachable(folder: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))
