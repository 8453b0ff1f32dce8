"""A directory with AWS's Lambda runtime client and nothing else, made from the running interpreter's packages."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

CLIENT = "awslambdaric"


class RuntimeClientMissing(RuntimeError):
    """The embedded AWS runs Lambdas under AWS's own runtime client, which is not installed."""


def make_runtime_directory(target: Path) -> Path:
    """Links the client and what it requires into the directory, so that a function cannot import its neighbours."""
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
        raise RuntimeClientMissing(
            f"The Python package {name} is not installed. How to fix: pip install {CLIENT}"
        ) from missing
    found = [distribution]
    for requirement in distribution.requires or ():
        if ";" not in requirement:  # an extra's or another platform's
            found += _closure(re.split(r"[\s<>=!~\[(]", requirement, maxsplit=1)[0])
    return found
