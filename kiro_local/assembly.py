"""The cloud assembly to deploy. The CDK app synthesizes it in its own process, and only when the sources have changed.

It differs from the assembly for AWS only in the wheels: `packagingPlatform=host` packs those for the running
interpreter.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from kiro_worker.errors import KiroWorkerError

ROOT: Final = Path(__file__).parents[1]
"""The checkout whose sources the embedded environment deploys."""

_SOURCES: Final = (
    "infra",
    "functions",
    "statemachine",
    "kiro_worker",
    "requirements",
    "buildspec.yml",
    "start.sh",
    "cdk.json",
)
_NOT_DEPLOYED: Final = frozenset({"__pycache__", "cli", "doctor", "executions"})
_KEPT: Final = 3


class CheckoutRequired(KiroWorkerError):
    """The command deploys the sources of a checkout, and the worker was installed without one."""


class SynthFailed(KiroWorkerError):
    """The CDK app failed. The message is the app's own output."""


def require_checkout(root: Path) -> None:
    """Raise :class:`CheckoutRequired` if ``root`` does not contain the sources to deploy."""
    if not (root / "infra" / "app.py").is_file() or not (root / "statemachine").is_dir():
        raise CheckoutRequired(
            f"kiro-worker demo and kiro-worker local deploy the sources of a checkout, and {root} is not one",
            "git clone the repository, then make demo",
        )


def synthesize(root: Path = ROOT, environment: str = "test") -> Path:
    """Return the folder of the cloud assembly, and create it first if its sources have changed."""
    require_checkout(root)
    target = root / "build" / "assembly" / _digest(root, environment)
    if not (target / "manifest.json").is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            _synthesize_into(Path(scratch) / "assembly", root, environment)
            # If two processes synthesize at once, either will do. The second rename fails: its target is not empty.
            with suppress(OSError):
                (Path(scratch) / "assembly").rename(target)
        _delete_old(target.parent)
    os.utime(target)
    return target


def _synthesize_into(out: Path, root: Path, environment: str) -> None:
    context = {"environment": environment, "packagingPlatform": "host"}
    finished = subprocess.run(
        [sys.executable, "-m", "infra.app"],
        cwd=root,
        env={**os.environ, "CDK_OUTDIR": str(out), "CDK_CONTEXT_JSON": json.dumps(context)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise SynthFailed(finished.stderr.strip() or f"python -m infra.app exited with {finished.returncode}")


def _digest(root: Path, environment: str) -> str:
    """A digest of every source's name and content, and of the interpreter that the wheels are built for."""
    digest = hashlib.sha256(f"{environment} {sys.implementation.cache_tag} {sys.platform}".encode())
    for source in _SOURCES:
        path = root / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not _NOT_DEPLOYED.intersection(file.relative_to(root).parts):
                digest.update(file.relative_to(root).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _delete_old(folder: Path) -> None:
    # A folder without a manifest is another process's unfinished synthesis. Other processes delete old ones, too.
    used: dict[Path, float] = {}
    for manifest in folder.glob("*/manifest.json"):
        with suppress(FileNotFoundError):
            used[manifest.parent] = manifest.parent.stat().st_mtime
    for old in sorted(used, key=lambda path: used[path])[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
