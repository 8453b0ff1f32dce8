"""Builds what AWS runs from the sources and the locked wheels, without Docker.

    layer         python/ with the core of kiro_worker and the wheels: what every step imports
    functions/*   handler.py alone, one folder a step
    source        buildspec.yml, python/ with core, build and the wheels: what CodeBuild runs
    runtime       AWS's Lambda runtime client, for the embedded environment only

Each lies under `build/<platform>/` beside a digest of everything it was made of. It is built again when the digest
changes and never otherwise. `lambda` means what AWS runs (arm64, Python 3.13), `host` the running interpreter.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import fcntl
import hashlib
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.errors import SynthError

ROOT = Path(__file__).resolve().parent.parent

LAMBDA_PYTHON = "3.13"
LAMBDA_PLATFORM = "aarch64-manylinux2014"

CORE = (
    "__init__.py",
    "config",
    "environment.py",
    "errors.py",
    "execution_status.py",
    "github",
    "lock",
    "models.py",
    "names.py",
    "observability.py",
    "outcomes.py",
    "recovery.py",
    "redaction.py",
    "spec.py",
    "state.py",
)

# boto3 ships descriptions of some 400 services, half of the layer. These are the ones that the core and the build
# call; another one fails with botocore's UnknownServiceError, and a test compares this list with the code.
AWS_SERVICES = ("codebuild", "dynamodb", "s3", "secretsmanager", "ssm", "stepfunctions", "sts")


@dataclass(frozen=True)
class Asset:
    """A folder to deploy; the digest is of what it was made of and so names its content."""

    path: Path
    digest: str


@dataclass(frozen=True)
class Package:
    layer: Asset
    functions: dict[str, Asset]
    source: Asset


@dataclass(frozen=True)
class Platform:
    name: str
    uv_arguments: tuple[str, ...]
    identity: str
    compiled: bool
    """Whether bytecode is shipped too; only possible for the interpreter that does the packaging."""


LAMBDA = Platform(
    name="lambda",
    uv_arguments=(
        "--python-platform", LAMBDA_PLATFORM, "--python-version", LAMBDA_PYTHON, "--only-binary", ":all:",
    ),
    identity=f"{LAMBDA_PLATFORM} {LAMBDA_PYTHON}",
    compiled=False,
)  # fmt: skip
HOST = Platform(
    name="host",
    uv_arguments=("--python", sys.executable),
    identity=f"{sys.version} {sysconfig.get_platform()} {sysconfig.get_config_var('EXT_SUFFIX')}",
    compiled=True,
)
PLATFORMS = {platform.name: platform for platform in (LAMBDA, HOST)}


def package(platform: Platform, root: Path = ROOT, out: Path | None = None) -> Package:
    """Everything that the stacks deploy."""
    folder = (out or root / "build") / platform.name
    wheels = _wheels(platform, root / "requirements" / "lambda.txt", folder / "wheels")
    gate = _wheels(platform, root / "requirements" / "gate.txt", folder / "gate")
    handlers = sorted((root / "functions").glob("*/handler.py"))
    if not handlers:
        raise SynthError(f"{root / 'functions'} contains no <step>/handler.py to package.")
    return Package(
        layer=_layer(platform, wheels, root, folder / "layer"),
        functions={
            handler.parent.name: _step(handler, folder / "functions" / handler.parent.name) for handler in handlers
        },
        source=_source(platform, wheels, gate, root, folder / "source"),
    )


def package_runtime(root: Path = ROOT, out: Path | None = None) -> Asset:
    """AWS's Lambda runtime client for the running interpreter."""
    return _wheels(HOST, root / "requirements" / "runtime.txt", (out or root / "build") / "host" / "runtime")


def _wheels(platform: Platform, lock_file: Path, target: Path) -> Asset:
    def build(folder: Path) -> None:
        _install(platform, lock_file, folder)
        _strip(folder)
        _keep_aws_services(folder / "botocore" / "data")
        _compile(platform, folder)

    return _cached(target, _digest([lock_file], platform.identity), build)


def _layer(platform: Platform, wheels: Asset, root: Path, target: Path) -> Asset:
    """`python/` is where Lambda looks in a layer: it is mounted at /opt/python and on sys.path."""
    core = [root / "kiro_worker" / name for name in CORE]

    def build(folder: Path) -> None:
        _link_tree(wheels.path, folder / "python")
        _copy_library(core, folder / "python" / "kiro_worker")
        _compile(platform, folder / "python" / "kiro_worker")

    return _cached(target, _digest(core, wheels.digest), build)


def _step(handler: Path, target: Path) -> Asset:
    def build(folder: Path) -> None:
        folder.mkdir()
        shutil.copyfile(handler, folder / "handler.py")

    return _cached(target, _digest([handler]), build)


def _source(platform: Platform, wheels: Asset, gate: Asset, root: Path, target: Path) -> Asset:
    """The layer's wheels and, beside them, those that only the build needs: the layer does not carry them."""
    buildspec = root / "buildspec.yml"
    library = [root / "kiro_worker" / name for name in (*CORE, "runner")]

    def build(folder: Path) -> None:
        _link_tree(wheels.path, folder / "python")
        _link_tree(gate.path, folder / "python")
        shutil.copyfile(buildspec, folder / "buildspec.yml")
        _copy_library(library, folder / "python" / "kiro_worker")
        _compile(platform, folder / "python" / "kiro_worker")

    return _cached(target, _digest([buildspec, *library], wheels.digest, gate.digest), build)


def _install(platform: Platform, lock_file: Path, target: Path) -> None:
    command = [
        _uv(), "pip", "install", "--quiet", "--no-progress", "--target", str(target), "--no-deps", "--require-hashes",
        "--link-mode", "copy", "--requirements", str(lock_file), *platform.uv_arguments,
    ]  # fmt: skip
    # The system's certificate store knows the certificates of a company's proxy; uv's own bundle does not.
    environ = {"UV_SYSTEM_CERTS": "true"} | {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SynthError(f"uv could not install {lock_file.name} for {platform.name}: {done.stderr.strip()}")


def _uv() -> str:
    beside_python = Path(sys.executable).parent / "uv"
    found = str(beside_python) if beside_python.is_file() else shutil.which("uv")
    if found is None:
        raise SynthError("Packaging needs uv, which `make` installs into .venv: run it through make.")
    return found


def _strip(folder: Path) -> None:
    """Drop what differs from one installation to the next, and the scripts that nothing on AWS calls."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    for cache in sorted(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    for info in folder.glob("*.dist-info"):
        for name in ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"):
            (info / name).unlink(missing_ok=True)


def _keep_aws_services(data: Path) -> None:
    if data.is_dir():
        for service in data.iterdir():
            if service.is_dir() and service.name not in AWS_SERVICES:
                shutil.rmtree(service)


def _compile(platform: Platform, folder: Path) -> None:
    """Bytecode by content, not by time stamp, so that a copy of the folder is as good as the folder itself."""
    if platform.compiled:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(folder, quiet=2, invalidation_mode=mode, ddir="", workers=os.cpu_count() or 1)


def _link_tree(source: Path, target: Path) -> None:
    """The same thousands of files under a second name: what was installed is replaced, and never changed in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    # What an earlier tree put there is that tree's own file, and must not be written through.
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _copy_library(sources: Iterable[Path], target: Path) -> None:
    target.mkdir(parents=True)
    for source in sources:
        for file in _files(source):
            copied = target / file.relative_to(source.parent)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    if not path.is_file():
        raise SynthError(f"{path} is missing, and packaging needs it.")
    return [path]


def _digest(paths: Iterable[Path], *ingredients: str) -> str:
    # This file is an ingredient too: another way of packaging gives another package.
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for ingredient in ingredients:
        digest.update(ingredient.encode() + b"\0")
    for path in paths:
        for file in _files(path):
            digest.update(str(file.relative_to(path.parent)).encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _cached(target: Path, digest: str, build: Callable[[Path], None]) -> Asset:
    """`target` as it is if it was made of the same things, else built beside it and put in its place whole."""
    marker = target.with_name(target.name + ".digest")
    with _only_one(target):
        if not (target.is_dir() and marker.is_file() and marker.read_text() == digest):
            fresh = target.with_name(target.name + ".fresh")
            marker.unlink(missing_ok=True)
            for folder in (fresh, target):
                shutil.rmtree(folder, ignore_errors=True)
            build(fresh)
            fresh.rename(target)
            marker.write_text(digest)
    return Asset(target, digest)


@contextlib.contextmanager
def _only_one(target: Path) -> Iterator[None]:
    """Two processes that package at once (a demo and a test run) must not build one folder together."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.packaging", description="Build the deployable folders.")
    parser.add_argument("--platform", choices=sorted(PLATFORMS), default="lambda")
    parser.add_argument("--out", type=Path, default=None, help="where to build (default: build/)")
    options = parser.parse_args(arguments)
    try:
        built = package(PLATFORMS[options.platform], out=options.out)
        assets = {"layer": built.layer, "source": built.source}
        assets |= {f"functions/{name}": asset for name, asset in built.functions.items()}
        if options.platform == HOST.name:
            assets["runtime"] = package_runtime(out=options.out)
    except SynthError as error:
        print(error, file=sys.stderr)
        return 1
    for name, asset in sorted(assets.items()):
        print(f"{name}\t{asset.path}\t{asset.digest[:12]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
