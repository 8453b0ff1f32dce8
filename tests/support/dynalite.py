"""A second DynamoDB beside moto: dynalite, which was written by others, checks requests as DynamoDB does and does not
send the item along with a failed condition.
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
    """Its address; the server is a process of its own and is gone afterwards."""
    if not (MODULES / "dynalite").is_dir():
        raise FileNotFoundError(f"{MODULES / 'dynalite'} is not there: make build/node/ready")
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
