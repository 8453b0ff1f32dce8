"""Runs the runner in forks of a process that has already imported it: the same code on the same files in a separate
process, without the second that an interpreter needs to import the AWS client.

``build_server.py SOCKET SOURCE``. One connection is one build: the client sends a JSON object ``{environment,
directory}`` with two descriptors for the output, and receives the exit code. A ``T`` on the connection is SIGTERM for
the build. The end of the connection is SIGKILL, because the client that waits for the build was killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from contextlib import suppress

LARGEST = 1 << 20


def main(path: str, source: str) -> None:
    sys.path.insert(0, f"{source}/python")
    warm()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(path)
        server.listen(32)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        # The process that started this one holds the other end of standard input: when it ends, this process ends.
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                os._exit(serve(connection))
            connection.close()


def warm() -> None:
    import kiro_worker.runner.main  # noqa: F401
    from kiro_worker.runner.clients import Clients

    Clients()("dynamodb").close()


def serve(connection: socket.socket) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, descriptors, _, _ = socket.recv_fds(connection, LARGEST, 2)
    request = json.loads(message)
    build = os.fork()
    if build == 0:
        connection.close()
        os._exit(run(request, descriptors))
    for descriptor in descriptors:
        os.close(descriptor)
    threading.Thread(target=listen, args=(connection, build), daemon=True).start()
    _, status = os.waitpid(build, 0)
    with suppress(OSError):
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    return 0


def listen(connection: socket.socket, build: int) -> None:
    while True:
        try:
            received = connection.recv(1)
        except OSError:
            received = b""
        with suppress(ProcessLookupError):
            os.killpg(build, signal.SIGTERM if received else signal.SIGKILL)
        if not received:
            os._exit(0)


def run(request: dict[str, object], descriptors: list[int]) -> int:
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in zip((null, *descriptors), range(3), strict=True):
        os.dup2(source, target)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]  # JSON
    os.chdir(str(request["directory"]))
    from kiro_worker.runner.main import main as build

    try:
        return build([])
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
