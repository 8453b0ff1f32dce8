"""Setup: the configured commands that install what the tests need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.sandbox.processes import scrubbed_environment, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from kiro_worker.config.settings import Check
    from kiro_worker.runner.sandbox.folders import Folders
    from kiro_worker.runner.sandbox.sandbox import Sandbox

TIMEOUT_MINUTES: Final = 30
_FIX_SETUP: Final = 'correct "setup" in .kiro-worker.yml, or fix what it installs on the branch'
_FIX_WORK: Final = (
    "read setup.log and the changes to dependencies in changes.patch, then redrive the execution, which gives the agent"
    " one turn to fix them; if that fails, name in the spec the dependencies that the tasks need"
)
_SINCE: Final = " on the agent's work, although it succeeded before the agent started"


@dataclass(frozen=True)
class Setup:
    """The checks with their commands, the runner's environment, and where the output goes.

    The commands get the part of the environment that the tests get, and ``secrets``, which nothing else gets.
    """

    checks: tuple[Check, ...]
    parent: Mapping[str, str]
    open_log: Callable[[], AbstractContextManager[Callable[[str], None]]]
    redact: Callable[[str], str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def run(self, folders: Folders, sandbox: Sandbox, *, worked_before: bool = False) -> None:
        """Run the command of every check. Raises :class:`BuildStopped` (SetupFailed).

        ``worked_before`` means that it succeeded on the branch in this build, so that later work broke it.
        """
        with self.open_log() as sink:
            for check in self.checks:
                if check.setup:
                    self._run(check.setup, folders, folders.checkout / check.directory, sandbox, sink, worked_before)

    def _run(
        self,
        command: tuple[str, ...],
        folders: Folders,
        folder: Path,
        sandbox: Sandbox,
        sink: Callable[[str], None],
        worked_before: bool,
    ) -> None:
        since = _SINCE if worked_before else ""
        remedy = _FIX_WORK if worked_before else _FIX_SETUP
        sink(self.redact(f"$ {' '.join(command)}"))
        try:
            finished = stream(
                command,
                cwd=folder,
                environment={**gate_environment(folders.home, self.parent, folders.temporary), **self.secrets},
                timeout_seconds=TIMEOUT_MINUTES * 60.0,
                sink=sink,
                redact=self.redact,
                sandbox=sandbox,
            )
        except OSError as error:
            reason = f"{command[0]} of the setup command cannot be started: {error.strerror}{since}"
            raise BuildStopped(Outcome.SETUP_FAILED, self.redact(reason), remedy) from None
        if finished.timed_out:
            reason = f"setup did not finish within {TIMEOUT_MINUTES} minutes{since}"
        elif not finished.succeeded:
            reason = f"setup ended with exit code {finished.exit_code}{since}"
        else:
            return
        raise BuildStopped(Outcome.SETUP_FAILED, reason, remedy, finished.last_lines())


def gate_environment(home: Path, parent: Mapping[str, str], temporary: Path | None) -> dict[str, str]:
    """Return the environment of setup and of the tests."""
    additions = {"CI": "true", "COVERAGE_FILE": str(home / ".coverage")}
    if temporary:
        additions["TMPDIR"] = str(temporary)
    return scrubbed_environment(home, parent, **additions)
