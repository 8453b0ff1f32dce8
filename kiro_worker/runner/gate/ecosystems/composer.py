"""PHP projects: composer, PHPUnit and Pest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles, string, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_INSTALL: Final = ("composer", "install", "--no-interaction", "--no-progress", "--prefer-dist")
_CONFIGURATIONS: Final = ("phpunit.xml", "phpunit.dist.xml", "phpunit.xml.dist")
_RUNNERS: Final = (
    ("pestphp/pest", "pest"),
    ("phpunit/phpunit", "phpunit"),
    ("symfony/phpunit-bridge", "simple-phpunit"),
    ("symfony/test-pack", "phpunit"),
)


def detect_composer(folder: Path) -> Detected | None:
    """Return how the PHP project in ``folder`` is installed and tested; None if it is none."""
    files = ProjectFiles(folder)
    configuration = files.first(*_CONFIGURATIONS)
    if not files.has("composer.json"):
        if not configuration:
            return None
        return Detected("php", f"{configuration} → phpunit", test=("phpunit",))
    document = files.json("composer.json")
    decided = files.first("composer.lock", "composer.json")
    reason = f"{decided} → composer install"
    if table(document, "scripts").get("test"):
        # Composer ends a script after five minutes unless it is told otherwise.
        test = ("composer", "run-script", "--timeout=0", "test")
        return Detected("php", f"{reason}; scripts.test → composer test", _INSTALL, test)
    runner = _runner(document, files)
    tests = "" if configuration else next((name for name in ("tests", "test") if files.folders(name)), "")
    if runner and (configuration or tests):
        words = (runner, *filter(None, (tests,)))
        return Detected("php", f"{reason}; {configuration or tests} → {runner}", _INSTALL, words)
    problem = (
        'composer.json has no "test" script, and no PHPUnit or Pest with a configuration or a tests folder. Add a'
        ' "test" script, or write the test command into .kiro-worker.yml, for example "test: vendor/bin/phpunit tests"'
    )
    return Detected("php", reason, _INSTALL, problem=problem, likely=False)


def _runner(document: Mapping[str, Any], files: ProjectFiles) -> str:
    """Return the program that runs the tests; empty if the project requires none and configures none."""
    required = {*table(document, "require-dev"), *table(document, "require")}
    folder = string(table(document, "config"), "bin-dir").strip("/") or "vendor/bin"
    for package, program in _RUNNERS:
        if package in required:
            return f"./{folder}/{program}" if ".." not in folder.split("/") else program
    if files.has("bin/phpunit"):
        return "./bin/phpunit"
    # Its own, from the image.
    return "phpunit" if files.has(*_CONFIGURATIONS) else ""
