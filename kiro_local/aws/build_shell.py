"""The one shell of a build: exported variables and the working directory persist from one command to the next."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from kiro_local.aws.lines import LineReader

SHELL = "/bin/sh"
_GRACE_SECONDS = 5.0

# The shell reads the commands from its own input, one file per line, and writes their exit statuses to its own output.
# The commands themselves read nothing and write to the log. A command that calls `exit` ends the shell, and the next
# one starts from the last exports.
_DRIVER = """
exec 3<&0 4>&1 </dev/null 1>&2
if [ -f {state} ]; then . {state}; cd "$PWD" || exit; fi
while IFS= read -r __command <&3; do
  . "$__command" </dev/null 3<&- 4>&-
  __status=$?
  export -p >{state}
  echo "$__status" >&4
done
"""


class BuildShell:
    """Runs the commands of a build. All its processes share one process group, which `stop` terminates, then kills."""

    def __init__(
        self, directory: Path, workspace: Path, environment: Mapping[str, str], on_line: Callable[[str], None]
    ) -> None:
        """Commands start in ``directory``. The shell's own files are in ``workspace``."""
        self._directory, self._workspace = directory, workspace
        self._environment = dict(environment)
        self._on_line = on_line
        self._state = workspace / "state.sh"
        self._number = 0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: LineReader | None = None
        self._stopped = False

    def run(self, command: str) -> int:
        """The exit status of a command, or -1 if the build was stopped."""
        with self._lock:
            if self._stopped:
                return -1
            process = self._process or self._start()
        self._number += 1
        file = self._workspace / f"command-{self._number}.sh"
        file.write_text(command + "\n")
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the build's shell has no pipes")
        try:
            process.stdin.write(f"{file}\n".encode())
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if answer.strip():
            return int(answer)
        return self._ended(process)

    def value_of(self, name: str) -> str | None:
        """The value of an environment variable after the last command, or None if it is not set."""
        file = self._workspace / "value"
        file.unlink(missing_ok=True)
        self.run(f'if [ "${{{name}+set}}" ]; then printf %s "${{{name}}}" >{shlex.quote(str(file))}; fi')
        return file.read_text(errors="replace") if file.exists() else None

    def stop(self) -> None:
        """Send TERM, and KILL to what remains after a grace period. Safe to repeat and to call from any thread."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process is None:
            return
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        _signal(process, signal.SIGKILL)

    def close(self) -> None:
        """End the shell and everything that its commands left running."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process:
            self._ended(process)

    def _start(self) -> subprocess.Popen[bytes]:
        log, log_end = os.pipe()
        try:
            self._process = subprocess.Popen(
                [SHELL, "-c", _DRIVER.format(state=shlex.quote(str(self._state)))],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_end,
                start_new_session=True,
                bufsize=0,  # no buffered input may remain to be flushed into a shell that died
            )
        finally:
            os.close(log_end)
        self._reader = LineReader(log, self._on_line)
        return self._process

    def _ended(self, process: subprocess.Popen[bytes]) -> int:
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        try:
            status = process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            status = -1
        _signal(process, signal.SIGKILL)  # including background processes, which would keep the log open
        process.wait()
        if self._reader:
            self._reader.join(_GRACE_SECONDS)
        with self._lock:
            self._process = None
            return -1 if self._stopped else status


def _signal(process: subprocess.Popen[bytes], which: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, which)
