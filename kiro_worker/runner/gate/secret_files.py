"""Removes the files in which setup's commands keep a secret, as settings of package managers do.

Setup alone gets the secrets of a private registry. Its home and what it created are copied for the tests, and parts of
them for the agent, so such a file would hand the secret on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.redaction import holds_secret
from kiro_worker.runner.gate.report_files import Unreadable, read_report

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_LARGEST: Final = 64 * 1024
_MOST_FILES: Final = 20_000
_DEEPEST: Final = 6
_PACKAGES: Final = frozenset(("node_modules", "site-packages", "repository", "registry", "mod", "gems", "caches"))
"""Folders of downloaded packages. Settings of package managers are beside them."""


def remove_secret_files(folder: Path, secrets: Collection[str]) -> list[str]:
    """Remove the small files below ``folder`` that hold one of ``secrets``, and return their paths, relative to it.

    No user may be able to change ``folder`` meanwhile. No link is followed.
    """
    found = [path for path in _small_files(folder) if secrets and _holds(path, secrets)]
    for path in found:
        path.unlink()
    return [str(path.relative_to(folder)) for path in found]


def _small_files(folder: Path) -> Iterator[Path]:
    remaining = _MOST_FILES
    for parent, folders, names in os.walk(folder):
        level = len(Path(parent).relative_to(folder).parts)
        folders[:] = [] if level >= _DEEPEST else sorted(name for name in folders if name not in _PACKAGES)
        for name in sorted(names):
            remaining -= 1
            if remaining < 0:
                return
            yield Path(parent, name)


def _holds(path: Path, secrets: Collection[str]) -> bool:
    try:
        return holds_secret(read_report(path, _LARGEST).decode("utf-8", "replace"), secrets)
    except Unreadable:
        return False
