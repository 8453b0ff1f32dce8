"""The platforms that packages are built for."""

from __future__ import annotations

import platform as machine
import sys
import sysconfig
from dataclasses import dataclass

LAMBDA_PYTHON = "3.13"
BUILD_PYTHONS = (LAMBDA_PYTHON, "3.14", "3.12", "3.11")
"""The Pythons that a build's image may have. The build's source contains the wheels for each of them."""
BUNDLED_PYTHON = "3.13.18"
"""The Python that the build's source brings, if it brings one. uv, which is pinned, knows the hash of each of them."""


@dataclass(frozen=True)
class Platform:
    name: str
    uv_arguments: tuple[str, ...]
    identity: str
    compiled: bool
    """Whether bytecode is included, which is possible only for the interpreter that does the packaging."""
    bundled_python: str
    """The name by which uv installs :data:`BUNDLED_PYTHON` for the platform."""
    build_arguments: tuple[tuple[str, ...], ...] = ()
    """``uv_arguments`` for each further Python of a build's image."""


def _on_lambda(name: str, architecture: str) -> Platform:
    platform = f"{architecture}-manylinux2014"

    def arguments(version: str) -> tuple[str, ...]:
        return ("--python-platform", platform, "--python-version", version, "--only-binary", ":all:")

    return Platform(
        name=name,
        uv_arguments=arguments(LAMBDA_PYTHON),
        identity=f"{platform} {' '.join(BUILD_PYTHONS)}",
        compiled=False,
        bundled_python=f"cpython-{BUNDLED_PYTHON}-linux-{architecture}-gnu",
        build_arguments=tuple(arguments(version) for version in BUILD_PYTHONS if version != LAMBDA_PYTHON),
    )


LAMBDA = _on_lambda("lambda", "aarch64")
LAMBDA_PLATFORMS = {"arm64": LAMBDA, "x86_64": _on_lambda("lambda-x86_64", "x86_64")}
"""By the architecture of functions and builds."""
HOST = Platform(
    name="host",
    uv_arguments=("--python", sys.executable),
    identity=f"{sys.version} {sysconfig.get_platform()} {sysconfig.get_config_var('EXT_SUFFIX')}",
    compiled=True,
    bundled_python=f"cpython-{BUNDLED_PYTHON}-linux-{machine.machine()}-gnu",
)
PLATFORMS = {platform.name: platform for platform in (*LAMBDA_PLATFORMS.values(), HOST)}
