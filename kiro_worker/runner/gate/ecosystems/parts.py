"""The parts of a repository with several projects, and what to write for them into the repository's own file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_DEEPEST: Final = 3
_MOST_FOLDERS: Final = 2_000
_MOST_PARTS: Final = 20
_SHOWN: Final = 6
_SKIPPED: Final = frozenset(
    (
        *(
            "benchmarks",
            "build",
            "demo",
            "dist",
            "doc",
            "docs",
            "env",
            "example",
            "examples",
            "fixtures",
            "node_modules",
        ),
        *("samples", "site-packages", "target", "testdata", "third_party", "vendor", "venv"),
    )
)


def find_parts(folder: Path, is_part: Callable[[Path], bool]) -> list[str]:
    """Return the folders below ``folder`` for which ``is_part`` is true, and which lie in no other such folder."""
    return [str(path.relative_to(folder)) for path in _parts(folder, is_part)][:_MOST_PARTS]


def choose_parts(folders: Sequence[str], why: str) -> str:
    """Return why nothing can be chosen, and what to write into ``.kiro-worker.yml`` for ``folders``."""
    # A JSON string is also one in YAML, whatever the folder is called.
    written = [json.dumps(name) if _needs_quotes(name) else name for name in folders[:_SHOWN]]
    if len(folders) == 1:
        return f"{why}: write `directory: {written[0]}` into .kiro-worker.yml"
    checks = "\n".join(f"  - directory: {name}" for name in written)
    more = f"\n(and {len(folders) - _SHOWN} more folders)" if len(folders) > _SHOWN else ""
    return f"{why}: write into .kiro-worker.yml which of them are tested, for example\nchecks:\n{checks}{more}"


def _needs_quotes(name: str) -> bool:
    return not (
        name[:1].isalnum() and name.isascii() and name.replace("/", "").replace("-", "").replace("_", "").isalnum()
    )


def _parts(folder: Path, is_part: Callable[[Path], bool]) -> Iterator[Path]:
    remaining = _MOST_FOLDERS
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop(0)
        try:
            with os.scandir(here) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue
        for name in names:
            remaining -= 1
            if remaining < 0:
                return
            if name.startswith(".") or name in _SKIPPED:
                continue
            if is_part(here / name):
                yield here / name
            elif depth + 1 < _DEEPEST:
                waiting.append((here / name, depth + 1))
