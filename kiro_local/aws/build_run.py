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


@dataclass(frozen=True)
class BuildEnding:
    """The end of a build that runs nothing: its status and the variables it exports."""

    status: str
    exported: Mapping[str, str] = field(default_factory=dict)


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
    #: The end of a build that runs nothing, for tests of the code that waits for a build.
    ending: BuildEnding | None = None


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
        for name in ("SUBMITTED", "QUEUED", "PROVISIONING"):
            self._enter(name)
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

    def _build(self) -> bool:
        self._enter("DOWNLOAD_SOURCE")
        if ending := self.plan.ending:
            self.exported.update(ending.exported)
            self._verdict = None if ending.status == "SUCCEEDED" else ending.status
            self._leave("SUCCEEDED")
            return self._verdict is None
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
        self._leave("SUCCEEDED")
        self._enter("FINALIZING")
        for name in buildspec.exported:
            value = shell.value_of(name)
            if value is not None:
                self.exported[name] = value
        self._leave("SUCCEEDED")
        return succeeded

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
