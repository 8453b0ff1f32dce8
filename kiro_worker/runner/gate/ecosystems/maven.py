"""Maven projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles

if TYPE_CHECKING:
    from pathlib import Path


def detect_maven(folder: Path) -> Detected | None:
    """Return how the Maven project in ``folder`` is tested; None if there is no ``pom.xml``.

    Setup downloads what it can. With modules that depend on each other, Maven can resolve the rest only while it builds
    them (https://github.com/apache/maven-dependency-plugin/issues/1186), which the tests do. Setup builds nothing,
    because classes that it compiled could outlive a change to their sources.
    """
    files = ProjectFiles(folder)
    if not files.has("pom.xml"):
        return None
    has_wrapper = files.has("mvnw") and files.has(".mvn/wrapper/maven-wrapper.properties")
    # The executable bit is missing in some repositories, and the wrapper is a script for sh.
    maven = ("sh", "mvnw") if has_wrapper else ("mvn",)
    setup = (*maven, "-B", "--fail-never", "dependency:go-offline")
    test = (*maven, "-B", "verify")
    decided = "mvnw" if has_wrapper else "pom.xml"
    return Detected("maven", f"{decided} → {' '.join(setup)}; pom.xml → {' '.join(test)}", setup, test)
