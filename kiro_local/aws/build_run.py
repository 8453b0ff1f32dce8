"""One build on this machine, phase by phase as CodeBuild runs it."""

from __future__ import annotations

import shutil
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kiro_local.aws.build_shell import BuildShell
from kiro_local.aws.buildspec import Buildspec, BuildspecInvalid, Phase, parse

IN_PROGRESS = "IN_PROGRESS"
_BEFORE_SOURCE = ("SUBMITTED", "QUEUED", "PROVISIONING")
_PHASES = (*_BEFORE_SOURCE, "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS")


class SourceMissing(Exception):
    """The project's source, or a secret or parameter of its environment, cannot be read."""


@dataclass
class PhaseRecord:
    """A phase of a build that has started. ``context`` explains a failure."""

    name: str
    started: datetime
    ended: datetime | None = None
    status: str | None = None
    context: dict[str, str] | None = None
    seconds: int | None = None

    @property
    def duration(self) -> int:
        """The phase's seconds, once it has ended."""
        if self.seconds is not None or self.ended is None:
            return self.seconds or 0
        return int((self.ended - self.started).total_seconds())


@dataclass(frozen=True)
class BuildEnding:
    """A given end of a build: its status and the variables it exports.

    With ``phase``, the build ends there, with ``code`` and ``message`` in the phase's context and ``seconds`` as its
    duration. The build runs nothing, except that one that ends in UPLOAD_ARTIFACTS runs its commands first.
    """

    status: str
    exported: Mapping[str, str] = field(default_factory=dict)
    phase: str = ""
    code: str = ""
    message: str = ""
    seconds: int = 0

    @property
    def runs_commands(self) -> bool:
        return self.phase == "UPLOAD_ARTIFACTS"


@dataclass(frozen=True)
class BuildPlan:
    """What to build. Its functions call the rest of the embedded AWS."""

    build_id: str
    workspace: Path
    #: Creates the folder with the source.
    lay_out_source: Callable[[Path], None]
    buildspec_name: str
    #: Returns the whole environment for a buildspec. The build inherits nothing from this process.
    environment: Callable[[Buildspec, Path], Mapping[str, str]]
    seconds: float
    on_line: Callable[[str], None]
    #: A given end of the build, for tests of the code that waits for a build.
    ending: BuildEnding | None = None
    #: Whether a declared report without a file fails the build.
    missing_report_fails: bool = True


@dataclass
class BuildRun:
    """A build while it runs and after it: status, phases and exported variables."""

    plan: BuildPlan
    status: str = IN_PROGRESS
    phases: list[PhaseRecord] = field(default_factory=list)
    exported: dict[str, str] = field(default_factory=dict)
    ended: datetime | None = None

    def __post_init__(self) -> None:
        self.started = datetime.now(UTC)
        self.finished = threading.Event()
        self.lock = threading.RLock()
        self._verdict: str | None = None  # STOPPED or TIMED_OUT, decided from outside
        self._shell: BuildShell | None = None

    def start(self) -> None:
        for name in _BEFORE_SOURCE:
            self._enter(name)
            if self._ends_in(name):
                break
            self._leave("SUCCEEDED")
        threading.Thread(target=self._run, name=f"build-{self.plan.build_id}", daemon=True).start()

    def stop(self, verdict: str = "STOPPED") -> None:
        """End the processes of the build. The build is over once `finished` is set."""
        with self.lock:
            if self.status != IN_PROGRESS or self._verdict:
                return
            self._verdict = verdict
            shell = self._shell
        if shell:
            shell.stop()

    # ---------------------------------------------------------------------------------------- phases

    def _run(self) -> None:
        timer = threading.Timer(self.plan.seconds, self.stop, args=("TIMED_OUT",))
        timer.daemon = True
        timer.start()
        succeeded = False
        try:
            succeeded = self._build()
        finally:  # without this, an unexpected error would leave callers waiting for the build forever
            timer.cancel()
            self._finish(succeeded)
        shutil.rmtree(self.plan.workspace / "src", ignore_errors=True)

    def _ends_in(self, name: str) -> bool:
        return self.plan.ending is not None and self.plan.ending.phase == name

    def _end(self, ending: BuildEnding) -> bool:
        """End the build as given, without running anything, in the phase that has been entered or in a later one."""
        self.exported.update(ending.exported)
        self._verdict = ending.status if ending.status not in ("SUCCEEDED", "FAILED") else None
        if not ending.phase:
            self._verdict = None if ending.status == "SUCCEEDED" else ending.status
            return self._leave("SUCCEEDED") and self._verdict is None
        for name in _PHASES[_PHASES.index(self.phases[-1].name) : _PHASES.index(ending.phase)]:
            self._leave("SUCCEEDED")
            self._enter(_PHASES[_PHASES.index(name) + 1])
        return self._leave_as(ending)

    def _leave_as(self, ending: BuildEnding) -> bool:
        left = self._leave(ending.status, ending.code, ending.message)
        self.phases[-1].seconds = ending.seconds
        return left

    def _build(self) -> bool:
        ending = self.plan.ending
        if self.phases[-1].status is None and ending:
            return self._end(ending)
        self._enter("DOWNLOAD_SOURCE")
        if ending and not ending.runs_commands:
            return self._end(ending)
        source = self.plan.workspace / "src"
        try:
            self.plan.lay_out_source(source)
            buildspec = parse((source / self.plan.buildspec_name).read_text())
            environment = self.plan.environment(buildspec, source)
        except (SourceMissing, zipfile.BadZipFile) as problem:
            return self._leave("FAILED", "CLIENT_ERROR", str(problem))
        except (BuildspecInvalid, OSError, UnicodeDecodeError) as problem:
            return self._leave("FAILED", "YAML_FILE_ERROR", str(problem))
        shell = BuildShell(source, self.plan.workspace, environment, self.plan.on_line)
        with self.lock:
            self._shell = shell
            already_stopped = self._verdict is not None
        if already_stopped:
            shell.stop()
        self._leave("SUCCEEDED")
        try:
            return self._run_phases(buildspec, shell)
        finally:
            shell.close()

    def _run_phases(self, buildspec: Buildspec, shell: BuildShell) -> bool:
        def run(name: str) -> bool:
            return self._run_phase(name, buildspec.phases[name], shell)

        succeeded = run("install") and run("pre_build")
        if succeeded:
            succeeded = run("build")
            if not succeeded:
                shell.run("export CODEBUILD_BUILD_SUCCEEDING=0")
            succeeded = run("post_build") and succeeded  # runs after a failed build phase too
        self._enter("UPLOAD_ARTIFACTS")
        succeeded = self._upload(buildspec) and succeeded
        self._enter("FINALIZING")
        for name in buildspec.exported:
            value = shell.value_of(name)
            if value is not None:
                self.exported[name] = value
        self._leave("SUCCEEDED")
        return succeeded

    def _upload(self, buildspec: Buildspec) -> bool:
        if self.plan.ending:
            return self._leave_as(self.plan.ending)
        source = self.plan.workspace / "src"
        missing = [report.name for report in buildspec.reports if not report.exists(source)]
        if missing and self.plan.missing_report_fails:
            return self._leave("FAILED", "CLIENT_ERROR", f"no test report files were found: {', '.join(missing)}")
        return self._leave("SUCCEEDED")

    def _run_phase(self, name: str, phase: Phase, shell: BuildShell) -> bool:
        self._enter(name.upper())
        self.plan.on_line(f"[phase] {name.upper()}")
        failure = self._run_commands(phase.commands, shell)
        failure = self._run_commands(phase.finally_commands, shell) or failure
        if failure:
            return self._leave("FAILED", "COMMAND_EXECUTION_ERROR", failure)
        return self._leave("SUCCEEDED")

    def _run_commands(self, commands: tuple[str, ...], shell: BuildShell) -> str | None:
        for command in commands:
            self.plan.on_line(f"[command] {command.strip()}")
            status = shell.run(command)
            if status != 0:
                reason = f"exit status {status}" if status >= 0 else "the build was stopped"
                return f"Error while executing command: {command.strip()}. Reason: {reason}"
        return None

    # --------------------------------------------------------------------------------------- records

    def _enter(self, name: str) -> None:
        with self.lock:
            self.phases.append(PhaseRecord(name, datetime.now(UTC)))

    def _leave(self, status: str, code: str = "", message: str = "") -> bool:
        with self.lock:
            phase = self.phases[-1]
            phase.ended = datetime.now(UTC)
            phase.status = self._verdict if status == "FAILED" and self._verdict else status
            if code:
                phase.context = {"statusCode": code, "message": message}
        return status == "SUCCEEDED"

    def _finish(self, succeeded: bool) -> None:
        with self.lock:
            if self.phases[-1].status is None:
                self._leave("FAULT")
                self._verdict = self._verdict or "FAULT"
            self.phases.append(PhaseRecord("COMPLETED", datetime.now(UTC)))
            self.ended = datetime.now(UTC)
            self.status = self._verdict or ("SUCCEEDED" if succeeded else "FAILED")
        self.finished.set()
