"""Build what AWS runs from the sources and the locked wheels, without Docker.

    layer         python/ with the core of kiro_worker and the wheels: what every step imports
    functions/*   handler.py alone, one folder per step
    source        buildspec.yml, start.sh, python/ with core, runner and the wheels: what CodeBuild runs; perhaps
                  bundled-python/, for images without a Python
    runtime       AWS's Lambda runtime client, for the embedded environment only

Each folder is in ``build/<platform>/``, beside a digest of everything that it is built from, and is rebuilt only when
that digest changes. ``lambda`` and ``lambda-x86_64`` mean what AWS runs (Python 3.13), ``host`` the running
interpreter.
"""

from __future__ import annotations

from infra.packaging.cache import Asset
from infra.packaging.package import ROOT, Package, package, package_runtime
from infra.packaging.platforms import HOST, LAMBDA, LAMBDA_PLATFORMS, PLATFORMS, Platform
from infra.packaging.wheels import AWS_SERVICES

__all__ = [
    "AWS_SERVICES",
    "HOST",
    "LAMBDA",
    "LAMBDA_PLATFORMS",
    "PLATFORMS",
    "ROOT",
    "Asset",
    "Package",
    "Platform",
    "package",
    "package_runtime",
]
