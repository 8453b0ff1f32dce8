"""Setup: the configured command that installs what the tests need, before the agent starts."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.sandbox.processes import scrubbed_environment, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from kiro_worker.runner.sandbox.folders import Folders
    from kiro_worker.runner.sandbox.sandbox import Sandbox

TIMEOUT_MINUTES: Final = 30

_DEPENDENCY_FILES: Final = (
    *("package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc", "yarn.lock", ".yarnrc*", "pnpm-lock.yaml"),
    *("pnpm-workspace.yaml", "bun.lock*", "deno.json*", "deno.lock"),
    *(
        "pyproject.toml",
        "setup.py",
        "setup.cfg",
        "*requirements*.txt",
        "requirements/*",
        "constraints*.txt",
        "Pipfile*",
    ),
    *("uv.lock", "poetry.lock", "pdm.lock", "pylock*.toml", "environment.y*ml"),
    *("go.mod", "go.sum", "go.work", "go.work.sum", "Cargo.toml", "Cargo.lock", "rust-toolchain*"),
    *("Gemfile*", "*.gemspec", "composer.json", "composer.lock", "mix.exs", "mix.lock", "pubspec.*"),
    *("pom.xml", "*.gradle", "*.gradle.kts", "gradle.properties", "gradle.lockfile", "*.versions.toml"),
    *("gradle/wrapper/*", ".mvn/*", "build.sbt", "project/*.sbt"),
    *("*.csproj", "*.fsproj", "*.vbproj", "*.sln", "*.slnx", "Directory.*.props", "packages.lock.json", "global.json"),
    *("nuget.config", "NuGet.Config", "Package.swift", "Package.resolved", "conanfile.*", "vcpkg.json"),
    *(".tool-versions", ".python-version", ".nvmrc", ".node-version", ".ruby-version", "mise.toml"),
    *("Makefile", "GNUmakefile", "justfile", "Taskfile.y*ml"),
)
"""Names of manifests and lock files, in any folder: a change to one may change what setup installs."""


@dataclass(frozen=True)
class Setup:
    """The command, the runner's environment, of which it gets what the tests get, and where its output goes."""

    command: tuple[str, ...]
    parent: Mapping[str, str]
    open_log: Callable[[], AbstractContextManager[Callable[[str], None]]]
    redact: Callable[[str], str]

    def run(self, folders: Folders, sandbox: Sandbox) -> None:
        """Run the command. Raises :class:`BuildStopped` (SetupFailed)."""
        remedy = 'correct "setup" in the configuration parameter, or fix what it installs on the branch'
        with self.open_log() as sink:
            sink(self.redact(f"$ {' '.join(self.command)}"))
            try:
                finished = stream(
                    self.command,
                    cwd=folders.checkout,
                    environment=gate_environment(folders.home, self.parent, folders.temporary),
                    timeout_seconds=TIMEOUT_MINUTES * 60.0,
                    sink=sink,
                    redact=self.redact,
                    sandbox=sandbox,
                )
            except OSError as error:
                reason = f"{self.command[0]} of the setup command cannot be started: {error.strerror}"
                raise BuildStopped(Outcome.SETUP_FAILED, self.redact(reason), remedy) from None
        if finished.timed_out:
            reason = f"setup did not finish within {TIMEOUT_MINUTES} minutes"
        elif not finished.succeeded:
            reason = f"setup ended with exit code {finished.exit_code}"
        else:
            return
        raise BuildStopped(Outcome.SETUP_FAILED, reason, remedy, finished.last_lines())

    def depends_on(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Return those of the changed ``paths`` that can change what setup installs.

        These are manifests, lock files, and files that the command names.
        """
        text = " ".join(self.command)
        return tuple(path for path in paths if path in text or _is_dependency_file(path))


def gate_environment(home: Path, parent: Mapping[str, str], temporary: Path | None) -> dict[str, str]:
    """Return the environment of setup and of the tests."""
    additions = {"CI": "true", "COVERAGE_FILE": str(home / ".coverage")}
    if temporary:
        additions["TMPDIR"] = str(temporary)
    return scrubbed_environment(home, parent, **additions)


def _is_dependency_file(path: str) -> bool:
    return any(fnmatch(f"/{path}", f"*/{pattern}") for pattern in _DEPENDENCY_FILES)
