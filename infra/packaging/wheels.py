"""Install the locked wheels of a platform."""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

from infra.errors import SynthError
from infra.packaging.cache import Asset, cached, digest_of
from infra.packaging.platforms import Platform

# boto3 ships descriptions of some 400 services, which make up half of the layer. The core and the runner call only
# these. Any other fails with botocore's UnknownServiceError, and a test compares this list with the code.
AWS_SERVICES = ("codebuild", "dynamodb", "s3", "secretsmanager", "ssm", "stepfunctions", "sts")


def install_wheels(platform: Platform, lock_file: Path, target: Path) -> Asset:
    """Install the wheels of ``lock_file``, reduced to the files that AWS needs, and return their folder."""

    def build(folder: Path) -> None:
        _install(platform.uv_arguments, lock_file, folder)
        _strip(folder)
        _keep_aws_services(folder / "botocore" / "data")
        compile_bytecode(platform, folder)

    return cached(target, digest_of([lock_file], platform.identity), build)


def install_build_wheels(platform: Platform, lock_file: Path, target: Path) -> Asset:
    """Install the wheels of ``lock_file`` for every Python that an image of a build may have, in one folder.

    That works because the wheels of one release differ only in their extension modules, whose names contain the
    Python's ABI: ``_pydantic_core.cpython-313-aarch64-linux-gnu.so``.
    """

    def build(folder: Path) -> None:
        _install(platform.uv_arguments, lock_file, folder)
        _strip(folder)
        for number, arguments in enumerate(platform.build_arguments):
            further = folder.with_name(f"{folder.name}-{number}")
            try:
                _install(arguments, lock_file, further)
                _strip(further)
                _merge(further, folder)
            finally:
                shutil.rmtree(further, ignore_errors=True)
        _keep_aws_services(folder / "botocore" / "data")
        compile_bytecode(platform, folder)

    return cached(target, digest_of([lock_file], f"build {platform.identity}"), build)


def compile_bytecode(platform: Platform, folder: Path) -> None:
    """Add bytecode that is checked by content and not by time stamp, so that a copy of the folder stays valid."""
    if platform.compiled:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(folder, quiet=2, invalidation_mode=mode, ddir="", workers=os.cpu_count() or 1)


def _merge(further: Path, folder: Path) -> None:
    """Move the files that only ``further`` has into ``folder``. Raises :class:`SynthError` if others differ."""
    for path in sorted(further.rglob("*")):
        target = folder / path.relative_to(further)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        elif not target.exists():
            path.rename(target)
        elif path.read_bytes() != target.read_bytes():
            raise SynthError(
                f"{path.relative_to(further)} differs between the wheels of two Pythons, so that one folder cannot hold"
                " both: pin a release whose wheels share this file."
            )


def _install(arguments: tuple[str, ...], lock_file: Path, target: Path) -> None:
    command = [
        "pip", "install", "--quiet", "--no-progress", "--target", str(target), "--no-deps", "--require-hashes",
        "--link-mode", "copy", "--requirements", str(lock_file), *arguments,
    ]  # fmt: skip
    done = run_uv(command)
    if done.returncode != 0:
        raise SynthError(f"uv could not install {lock_file.name} with {' '.join(arguments)}: {done.stderr.strip()}")


def run_uv(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run uv, and return how it ended."""
    # The system's certificate store includes the certificates of a corporate proxy; uv's own bundle does not.
    environ = {"UV_SYSTEM_CERTS": "true"} | {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    return subprocess.run([_uv(), *arguments], env=environ, capture_output=True, text=True, check=False)


def _uv() -> str:
    beside_python = Path(sys.executable).parent / "uv"
    uv = str(beside_python) if beside_python.is_file() else shutil.which("uv")
    if uv is None:
        raise SynthError("Packaging needs uv, which `make` installs into .venv: run it through make.")
    return uv


def _strip(folder: Path) -> None:
    """Remove files that differ between installations, and scripts that nothing on AWS calls."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    for cache in sorted(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    for info in folder.glob("*.dist-info"):
        # WHEEL and the bill of materials name the wheel's own platform.
        for name in ("INSTALLER", "RECORD", "REQUESTED", "WHEEL", "direct_url.json", "uv_cache.json"):
            (info / name).unlink(missing_ok=True)
        shutil.rmtree(info / "sboms", ignore_errors=True)


def _keep_aws_services(data: Path) -> None:
    if data.is_dir():
        for service in data.iterdir():
            if service.is_dir() and service.name not in AWS_SERVICES:
                shutil.rmtree(service)
