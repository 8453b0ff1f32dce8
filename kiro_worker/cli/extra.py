"""The packages that a default installation leaves out, and the error for a command that needs them."""

from __future__ import annotations

from typing import Final

from kiro_worker.errors import KiroWorkerError
from kiro_worker.outcomes import FaultOwner

LOCAL_EXTRA: Final = "pip install 'kiro-codebuild-worker[local]'"


class ExtraMissing(KiroWorkerError):
    """A package that a default installation leaves out is not installed."""

    owner = FaultOwner.INSTALLATION

    def __init__(self, package: str, command: str = "") -> None:
        needed = (
            f"{command} needs the Python package {package}, which is" if command else f"the Python package {package} is"
        )
        super().__init__(f"{needed} not installed", LOCAL_EXTRA)
