"""Assemble the layer, the functions and the build's source."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from infra.errors import SynthError
from infra.packaging.bundled_python import BUNDLED, install_python
from infra.packaging.cache import Asset, cached, digest_of
from infra.packaging.files import copy_library, link_tree
from infra.packaging.platforms import HOST, Platform
from infra.packaging.wheels import compile_bytecode, install_build_wheels, install_wheels

ROOT = Path(__file__).resolve().parents[2]

# Everything else in kiro_worker is the core, which both the steps and the runner import.
NOT_CORE = frozenset({"cli", "doctor", "executions", "runner"})


@dataclass(frozen=True)
class Package:
    layer: Asset
    functions: dict[str, Asset]
    source: Asset


def package(platform: Platform, root: Path = ROOT, out: Path | None = None, *, bundles_python: bool = False) -> Package:
    """Build everything that the stacks deploy, and return it.

    ``bundles_python`` means that the build's source brings a Python.
    """
    folder = (out or root / "build") / platform.name
    requirements = root / "requirements"
    wheels = install_wheels(platform, requirements / "lambda.txt", folder / "wheels")
    parts = [
        install_build_wheels(platform, requirements / "lambda.txt", folder / "build-wheels"),
        install_build_wheels(platform, requirements / "gate.txt", folder / "gate"),
    ]
    bundled = install_python(platform, folder / "bundled-python") if bundles_python else None
    handlers = sorted((root / "functions").glob("*/handler.py"))
    if not handlers:
        raise SynthError(f"{root / 'functions'} contains no <step>/handler.py to package.")
    return Package(
        layer=_layer(platform, wheels, root, folder / "layer"),
        functions={
            handler.parent.name: _step(handler, folder / "functions" / handler.parent.name) for handler in handlers
        },
        source=_source(platform, parts, bundled, root, folder / ("source-with-python" if bundled else "source")),
    )


def package_runtime(root: Path = ROOT, out: Path | None = None) -> Asset:
    """Install AWS's Lambda runtime client for the running interpreter, and return its folder."""
    return install_wheels(HOST, root / "requirements" / "runtime.txt", (out or root / "build") / "host" / "runtime")


def _layer(platform: Platform, wheels: Asset, root: Path, target: Path) -> Asset:
    """Build the layer, with the core in ``python/``: Lambda mounts it at /opt, and /opt/python is on sys.path."""
    core = _core(root)

    def build(folder: Path) -> None:
        link_tree(wheels.path, folder / "python")
        copy_library(core, folder / "python" / "kiro_worker")
        compile_bytecode(platform, folder / "python" / "kiro_worker")

    return cached(target, digest_of(core, wheels.digest), build)


def _step(handler: Path, target: Path) -> Asset:
    def build(folder: Path) -> None:
        folder.mkdir()
        shutil.copyfile(handler, folder / "handler.py")

    return cached(target, digest_of([handler]), build)


def _source(platform: Platform, wheels: list[Asset], bundled: Asset | None, root: Path, target: Path) -> Asset:
    """Build the source of the build: core, runner, what starts it, its wheels, and perhaps a Python."""
    files = [root / "buildspec.yml", root / "start.sh"]
    library = [*_core(root), root / "kiro_worker" / "runner"]

    def build(folder: Path) -> None:
        for part in wheels:
            link_tree(part.path, folder / "python")
        for file in files:
            shutil.copyfile(file, folder / file.name)
        copy_library(library, folder / "python" / "kiro_worker")
        compile_bytecode(platform, folder / "python" / "kiro_worker")
        if bundled:
            link_tree(bundled.path, folder / BUNDLED)

    digests = [*(part.digest for part in wheels), bundled.digest if bundled else ""]
    return cached(target, digest_of([*files, *library], *digests), build)


def _core(root: Path) -> list[Path]:
    """Return the core: the folder of each package and the file of each module."""
    return sorted(
        path
        for path in (root / "kiro_worker").iterdir()
        if path.stem not in NOT_CORE and (path.suffix == ".py" or (path / "__init__.py").is_file())
    )
