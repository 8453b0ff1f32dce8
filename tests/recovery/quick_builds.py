"""Builds without the second that an interpreter needs to start: the runner is forked from a process that has already
imported it (:mod:`tests.recovery.build_server`). It still runs the deployed code.
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

_RUNNER = 'sh "$CODEBUILD_SRC_DIR/start.sh"'
_HERE = Path(__file__).parent


@contextmanager
def quick_builds(environment: Mapping[str, str]) -> Iterator[None]:
    """Replace the start of the runner within the context. ``environment`` gives access to the embedded AWS."""
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
            if command.strip() == _RUNNER:
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
        """The socket of the one server for all builds of ``source``."""
        assert source.parent.name == "sources", f"the build does not share its source: {source}"
        socket = self._folder / f"{source.name}.sock"
        with self._lock:
            if source not in self._processes:
                command = [sys.executable, str(_HERE / "build_server.py"), str(socket), str(source)]
                environment = {**self._environment, "PATH": "/usr/local/bin:/usr/bin:/bin"}
                self._processes[source] = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)
        until = time.monotonic() + 60
        while not socket.exists():
            assert time.monotonic() < until, f"the build server does not listen at {socket}"
            time.sleep(0.01)
        assert self._processes[source].poll() is None, "the build server is gone; its last output is above"
        return socket
