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
_EVENTS: Final = (
    *("pre-install-cmd", "post-install-cmd", "pre-update-cmd", "post-update-cmd"),
    *("pre-autoload-dump", "post-autoload-dump"),
)
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
    follows = not _lists_sources(document)
    if table(document, "scripts").get("test"):
        # Composer ends a script after five minutes unless it is told otherwise.
        test = ("composer", "run-script", "--timeout=0", "test")
        return Detected("php", f"{reason}; scripts.test → composer test", _INSTALL, test, follows_sources=follows)
    runner = _runner(document, files)
    tests = "" if configuration else next((name for name in ("tests", "test") if files.folders(name)), "")
    if runner and (configuration or tests):
        words = (runner, *filter(None, (tests,)))
        reason += f"; {configuration or tests} → {runner}"
        return Detected("php", reason, _INSTALL, words, follows_sources=follows)
    problem = (
        'composer.json has no "test" script, and no PHPUnit or Pest with a configuration or a tests folder. Add a'
        ' "test" script, or write the test command into .kiro-worker.yml, for example "test: vendor/bin/phpunit tests"'
    )
    return Detected("php", reason, _INSTALL, problem=problem, likely=False, follows_sources=follows)


def _lists_sources(document: Mapping[str, Any]) -> bool:
    """Return whether the installation lists the project's classes, or runs a script of the project."""
    loads = [table(document, key) for key in ("autoload", "autoload-dev")]
    settings, scripts = table(document, "config"), table(document, "scripts")
    optimizes = settings.get("optimize-autoloader") or settings.get("classmap-authoritative")
    return bool(optimizes) or any("classmap" in load for load in loads) or any(name in scripts for name in _EVENTS)


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
