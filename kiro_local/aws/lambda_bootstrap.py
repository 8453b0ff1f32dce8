"""The program of a Lambda process, for an isolated interpreter: ``python -I -S lambda_bootstrap.py HANDLER PATH…``.

The paths are the asset, the layers and the runtime, in the order of the real service. Besides them only the standard
library can be imported.
"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    _, handler, *paths = sys.argv
    sys.path[:0] = paths
    sys.argv = ["bootstrap", handler]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
