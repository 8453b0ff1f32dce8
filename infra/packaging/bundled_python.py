"""The Python that the build's source brings, for images that have none.

uv downloads it from the releases of python-build-standalone, or from the mirror that UV_PYTHON_INSTALL_MIRROR names,
and compares it with the hash that this version of uv contains. uv itself is pinned by hash.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from infra.errors import SynthError
from infra.packaging.cache import Asset, cached, digest_of
from infra.packaging.platforms import LAMBDA_PYTHON, Platform
from infra.packaging.wheels import run_uv

BUNDLED = "bundled-python"
"""Its folder in the build's source; start.sh names it, too."""

# What a program without a window, a compiler or tests of its own never reads.
_NOT_NEEDED = (
    "pkgconfig", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "tcl*", "tk*", "itcl*", "thread2*",
    "config-*", "__pycache__",
)  # fmt: skip


def install_python(platform: Platform, target: Path) -> Asset:
    """Install the pinned Python of ``platform``, reduced to what the runner needs, and return its folder."""

    def build(folder: Path) -> None:
        downloaded = folder.with_name(f"{folder.name}-downloaded")
        try:
            _download(platform, downloaded)
            [installed] = (path for path in downloaded.iterdir() if (path / "bin").is_dir() and not path.is_symlink())
            # Without symbolic links, because the archive that CDK makes of the source has none.
            ignored = shutil.ignore_patterns(*_NOT_NEEDED)
            shutil.copytree(installed / "lib", folder / "lib", symlinks=False, ignore=ignored)
            (folder / "bin").mkdir()
            shutil.copy(installed / "bin" / f"python{LAMBDA_PYTHON}", folder / "bin")
        finally:
            shutil.rmtree(downloaded, ignore_errors=True)

    return cached(target, digest_of([], platform.bundled_python), build)


def _download(platform: Platform, folder: Path) -> None:
    done = run_uv(
        ["python", "install", "--no-progress", "--no-bin", "--install-dir", str(folder), platform.bundled_python]
    )
    if done.returncode != 0:
        raise SynthError(
            f"uv could not download {platform.bundled_python}: {done.stderr.strip()}. Set UV_PYTHON_INSTALL_MIRROR to a"
            " mirror of python-build-standalone, or set runnerPython=image and put Python 3.11 or newer into the image."
        )
