"""A directory that contains only AWS's Lambda runtime client, taken from the running interpreter's packages."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from kiro_worker.errors import KiroWorkerError

CLIENT = "awslambdaric"


class RuntimeClientMissing(KiroWorkerError):
    """AWS's own runtime client, under which the embedded AWS runs Lambda functions, is not installed."""


def make_runtime_directory(target: Path) -> Path:
    """Link the client and its requirements into ``target``, so that a function can import no other package."""
    target.mkdir(parents=True, exist_ok=True)
    for distribution in _closure(CLIENT):
        site = Path(str(distribution.locate_file("")))
        for top in {Path(str(file)).parts[0] for file in distribution.files or ()}:
            link = target / top
            if top not in ("..", "__pycache__") and (site / top).exists() and not link.exists():
                link.symlink_to(site / top)
    return target


def _closure(name: str) -> list[metadata.Distribution]:
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError as missing:
        raise RuntimeClientMissing(f"The Python package {name} is not installed.", f"pip install {CLIENT}") from missing
    found = [distribution]
    for requirement in distribution.requires or ():
        if ";" not in requirement:  # skip those of an extra or of another platform
            found += _closure(re.split(r"[\s<>=!~\[(]", requirement, maxsplit=1)[0])
    return found
