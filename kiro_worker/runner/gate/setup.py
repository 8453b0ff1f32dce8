"""Setup: the commands that install what the tests need, configured or detected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.ecosystems.choose import detect
from kiro_worker.runner.sandbox.environment import scrubbed_environment
from kiro_worker.runner.sandbox.printable import printable_name
from kiro_worker.runner.sandbox.processes import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from kiro_worker.config.settings import Check
    from kiro_worker.runner.sandbox.folders import Folders
    from kiro_worker.runner.sandbox.sandbox import Sandbox

TIMEOUT_MINUTES: Final = 30
VIRTUAL_ENVIRONMENT: Final = ".venv"
_FIX_SETUP: Final = 'correct "setup" in .kiro-worker.yml, or fix what it installs on the branch'
_FIX_DETECTED: Final = (
    f'read setup.log, then fix the manifest or the lock file on the branch, or write "setup" into {REPOSITORY_FILE} on'
    " the default branch"
)
_CHOOSE: Final = f"the settings belong into {REPOSITORY_FILE} on the default branch; then move the card back"
_FIX_WORK: Final = (
    "read setup.log and the changes to dependencies in changes.patch, then redrive the execution, which gives the agent"
    " one turn to fix them; if that fails, name in the spec the dependencies that the tasks need"
)
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_SINCE: Final = " on the agent's work, although it succeeded before the agent started"


@dataclass(frozen=True)
class SetupStep:
    """The command that installs what one check needs, in its ``directory``.

    ``reason`` says why a command was detected; it is empty for a configured one. What a command installs
    ``follows_sources`` if it stays right while only sources change, because it refers to them.
    """

    directory: str
    words: tuple[str, ...]
    reason: str = ""
    follows_sources: bool = False


def is_set_up(checks: Sequence[Check]) -> bool:
    """Return whether anything may have to be installed for ``checks``."""
    return any(check.setup != () for check in checks)


def detected_ecosystems(checks: Sequence[Check], checkout: Path) -> dict[str, str]:
    """Return the ecosystem that is detected in the directory of each check, if it has tests."""
    found = {check.directory: detect(_directory_of(check, checkout)) for check in checks if not check.test}
    return {directory: detected.ecosystem for directory, detected in found.items() if detected.test}


def plan_setup(
    checks: Sequence[Check], checkout: Path, preferred: Mapping[str, str] = _NOTHING
) -> tuple[SetupStep, ...]:
    """Return what is to be run in ``checkout``, whose files no user of the build can change meanwhile.

    ``preferred`` are the ecosystems of the pinned commit, by directory.

    Raises :class:`BuildStopped` (SetupFailed) if a check's directory does not exist, or neither its setup nor its tests
    are configured and detection cannot choose.
    """
    steps: list[SetupStep] = []
    for check in checks:
        folder = _directory_of(check, checkout)
        if check.setup is not None:
            steps.append(SetupStep(check.directory, check.setup))
            continue
        detected = detect(folder, preferred=preferred.get(check.directory, ""))
        if detected.problem and check.test is None:
            first = detected.problem.partition("\n")[0]
            raise BuildStopped(
                Outcome.SETUP_FAILED, f"nothing can be chosen to test: {first}", _CHOOSE, detected.problem
            )
        steps.append(SetupStep(check.directory, detected.setup, detected.reason, detected.follows_sources))
    # Checks with different tests of one directory share its setup.
    return tuple(dict.fromkeys(step for step in steps if step.words))


@dataclass(frozen=True)
class Setup:
    """The checks, the runner's environment, and where the output goes.

    The commands get the part of the environment that the tests get, and ``secrets``, which nothing else gets.
    """

    checks: tuple[Check, ...]
    parent: Mapping[str, str]
    open_log: Callable[[], AbstractContextManager[Callable[[str], None]]]
    redact: Callable[[str], str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def run(
        self, steps: Sequence[SetupStep], folders: Folders, sandbox: Sandbox, *, worked_before: bool = False
    ) -> None:
        """Run the steps. Raises :class:`BuildStopped` (SetupFailed).

        ``worked_before`` means that setup succeeded on the branch in this build, so that later work broke it.
        """
        if not steps:
            return
        with self.open_log() as sink:
            for step in steps:
                self._run(step, folders, sandbox, sink, worked_before=worked_before)

    def _run(
        self, step: SetupStep, folders: Folders, sandbox: Sandbox, sink: Callable[[str], None], *, worked_before: bool
    ) -> None:
        since = _SINCE if worked_before else ""
        remedy = _FIX_WORK if worked_before else _FIX_DETECTED if step.reason else _FIX_SETUP
        where = f" in {ascii(step.directory)[1:-1]}" if step.directory else ""
        for line in _description(step):
            sink(self.redact(line))
        folder = folders.checkout / step.directory
        environment = gate_environment(folders.home, self.parent, folders.temporary, folder)
        try:
            finished = stream(
                step.words,
                cwd=folder,
                environment={**environment, **self.secrets},
                timeout_seconds=TIMEOUT_MINUTES * 60.0,
                sink=sink,
                redact=self.redact,
                sandbox=sandbox,
            )
        except OSError as error:
            reason = f"{step.words[0]} of the setup command cannot be started{where}: {error.strerror}{since}"
            raise BuildStopped(Outcome.SETUP_FAILED, self.redact(reason), remedy) from None
        if finished.timed_out:
            reason = f"setup{where} did not finish within {TIMEOUT_MINUTES} minutes{since}"
        elif not finished.succeeded:
            reason = f"setup{where} ended with exit code {finished.exit_code}{since}"
        else:
            return
        raise BuildStopped(Outcome.SETUP_FAILED, reason, remedy, finished.last_lines())


def gate_environment(home: Path, parent: Mapping[str, str], temporary: Path | None, folder: Path) -> dict[str, str]:
    """Return the environment of setup and of the tests in ``folder``.

    Its virtual environment is active if setup made one, and the programs that setup installed are found first.
    """
    additions = {"CI": "true", "COVERAGE_FILE": str(home / ".coverage")}
    if temporary:
        additions["TMPDIR"] = str(temporary)
    return {
        **scrubbed_environment(home, parent, installed_programs(home, folder), **additions),
        **active_environment(folder),
    }


def installed_programs(home: Path, *folders: Path) -> list[Path]:
    """Return the folders of the programs that setup installed for the checks in ``folders``."""
    own = (folder / VIRTUAL_ENVIRONMENT / "bin" for folder in folders)
    return [*(path for path in own if path.is_dir()), home / ".local" / "bin"]


def active_environment(folder: Path) -> dict[str, str]:
    """Return the variable that says that the virtual environment in ``folder`` is active; none if there is none."""
    path = folder / VIRTUAL_ENVIRONMENT
    return {"VIRTUAL_ENV": str(path)} if (path / "bin").is_dir() else {}


def _directory_of(check: Check, checkout: Path) -> Path:
    folder = checkout / check.directory
    if not folder.is_dir() or not folder.resolve().is_relative_to(checkout.resolve()):
        raise BuildStopped(
            Outcome.SETUP_FAILED,
            f"the directory {check.directory!a} of the check {check.name!a} does not exist on the branch",
            f'correct "directory" in {REPOSITORY_FILE}, or add the directory to the branch',
        )
    return folder


def _description(step: SetupStep) -> list[str]:
    """Return what is run, as lines of a log."""
    where = f" in {step.directory}" if step.directory else ""
    if not step.reason:
        return [f"$ {' '.join(step.words)}{where}"]
    script = step.words[-1].splitlines() if step.words[0] == "sh" else [" ".join(step.words)]
    return [printable_name(f"detected{where}: {step.reason}"), *(f"$ {line}" for line in script)]
