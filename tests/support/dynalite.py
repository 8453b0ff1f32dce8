"""dynalite, a DynamoDB server that is independent of moto.

It validates requests as DynamoDB does, and does not return the item of a failed condition.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from infra.node import locked_node

MODULES: Final = Path(__file__).parents[2] / "build" / "node" / "node_modules"
_SERVE: Final = """
const server = require('dynalite')({createTableMs: 0, deleteTableMs: 0})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
"""


@contextmanager
def dynalite() -> Iterator[str]:
    """The address of a dynalite server, which runs in its own process until the context ends."""
    if not (MODULES / "dynalite").is_dir():
        raise FileNotFoundError(f"{MODULES / 'dynalite'} does not exist. How to fix: make build/node/ready")
    environment = {**os.environ, "NODE_PATH": str(MODULES)}
    with subprocess.Popen(
        [locked_node() or "node", "--eval", _SERVE], env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            if server.stdout is None:
                raise ValueError("node was started without a pipe")
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.send_signal(signal.SIGTERM)
