"""The platforms that packages are built for."""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import dataclass

LAMBDA_PYTHON = "3.13"
LAMBDA_PLATFORM = "aarch64-manylinux2014"


@dataclass(frozen=True)
class Platform:
    name: str
    uv_arguments: tuple[str, ...]
    identity: str
    compiled: bool
    """Whether bytecode is included, which is possible only for the interpreter that does the packaging."""


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
