"""Gradle projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles

if TYPE_CHECKING:
    from pathlib import Path

_BUILD_FILES: Final = ("settings.gradle", "settings.gradle.kts", "build.gradle", "build.gradle.kts")


def detect_gradle(folder: Path) -> Detected | None:
    """Return how the Gradle project in ``folder`` is tested; None if there is none.

    Setup configures all projects, which downloads Gradle itself, if the project has its wrapper, and all plugins.
    """
    files = ProjectFiles(folder)
    build_file = files.first(*_BUILD_FILES)
    # The archive is missing where a repository ignores all of them.
    has_wrapper = files.has("gradlew") and files.has("gradle/wrapper/gradle-wrapper.jar")
    if not build_file and not has_wrapper:
        return None
    # A daemon would be ended with the other processes of the phase anyway.
    gradle = (*(("sh", "gradlew") if has_wrapper else ("gradle",)), "--console=plain", "--no-daemon")
    setup, test = (*gradle, "help"), (*gradle, "test")
    decided = "gradlew" if has_wrapper else build_file
    return Detected("gradle", f"{decided} → {' '.join(setup)}; {build_file or decided} → gradle test", setup, test)
