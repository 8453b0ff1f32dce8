"""Builds without the second that an interpreter takes to start: the program is forked from a process that has imported
it (:mod:`tests.recovery.build_server`). What runs is the deployed code all the same.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kiro_local.aws.build_shell import BuildShell
from kiro_local.aws.replacements import Replacements

_PROGRAM = "python3 -m kiro_worker.runner"
_AGENT = "python3 -m kiro_worker.runner.agent.install"
_HERE = Path(__file__).parent


@contextmanager
def quick_builds(environment: Mapping[str, str]) -> Iterator[None]:
    """``environment``: how the embedded AWS is reached."""
    with tempfile.TemporaryDirectory(prefix="quick-builds-") as folder:
        server = _Server(Path(folder), environment)
        replacements = Replacements()
        server.install(replacements)
        try:
            yield
        finally:
            replacements.restore()
            server.stop()


class _Server:
    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._lock = threading.Lock()
        self._processes: dict[Path, subprocess.Popen[bytes]] = {}

    def install(self, replacements: Replacements) -> None:
        run = BuildShell.run

        def run_in_fork(shell: BuildShell, command: str) -> int:
            if command.strip() == _AGENT:
                return 0  # the agent is a command that is there already
            if command.strip() == _PROGRAM:
                socket = self._socket((shell._directory / "python").resolve().parent)
                command = f"{sys.executable} -I -S {_HERE / 'build_client.py'} {socket}"
            return run(shell, command)

        replacements.set(BuildShell, "run", run_in_fork)

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
            if process.stdin:
                process.stdin.close()

    def _socket(self, source: Path) -> Path:
        """Where the server of ``source`` listens: one for all of its builds."""
        assert source.parent.name == "sources", f"the build has a source of its own: {source}"
        socket = self._folder / f"{source.name}.sock"
        with self._lock:
            if source not in self._processes:
                command = [sys.executable, str(_HERE / "build_server.py"), str(socket), str(source)]
                environment = {**self._environment, "PATH": "/usr/local/bin:/usr/bin:/bin"}
                self._processes[source] = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)
        until = time.monotonic() + 60
        while not socket.exists():
            assert time.monotonic() < until, f"the server of the builds does not listen at {socket}"
            time.sleep(0.01)
        assert self._processes[source].poll() is None, "the server of the builds is gone; its last words stand above"
        return socket
