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
        _install(platform, lock_file, folder)
        _strip(folder)
        _keep_aws_services(folder / "botocore" / "data")
        compile_bytecode(platform, folder)

    return cached(target, digest_of([lock_file], platform.identity), build)


def compile_bytecode(platform: Platform, folder: Path) -> None:
    """Add bytecode that is checked by content and not by time stamp, so that a copy of the folder stays valid."""
    if platform.compiled:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(folder, quiet=2, invalidation_mode=mode, ddir="", workers=os.cpu_count() or 1)


def _install(platform: Platform, lock_file: Path, target: Path) -> None:
    command = [
        _uv(), "pip", "install", "--quiet", "--no-progress", "--target", str(target), "--no-deps", "--require-hashes",
        "--link-mode", "copy", "--requirements", str(lock_file), *platform.uv_arguments,
    ]  # fmt: skip
    # The system's certificate store includes the certificates of a corporate proxy; uv's own bundle does not.
    environ = {"UV_SYSTEM_CERTS": "true"} | {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SynthError(f"uv could not install {lock_file.name} for {platform.name}: {done.stderr.strip()}")


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
        for name in ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"):
            (info / name).unlink(missing_ok=True)


def _keep_aws_services(data: Path) -> None:
    if data.is_dir():
        for service in data.iterdir():
            if service.is_dir() and service.name not in AWS_SERVICES:
                shutil.rmtree(service)
