"""``build_client.py SOCKET``: runs a build in :mod:`tests.recovery.build_server`, with this process's environment,
directory and output, and exits with its exit code.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
connection.connect(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: connection.send(b"T"))
request = {"environment": dict(os.environ), "directory": os.getcwd()}  # noqa: PTH109  # started in a moment
socket.send_fds(connection, [json.dumps(request).encode()], [1, 2])
answer = connection.recv(16)
sys.exit(int(answer) % 256 if answer else 1)
