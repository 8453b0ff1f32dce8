"""``python -m kiro_worker.runner``: what buildspec.yml runs. It starts :mod:`kiro_worker.runner.main` and ends it,
both without what an interpreter does in vain.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn


def start() -> int:
    """The exit code."""
    # While modules are read, hundreds of thousands of objects are made and none becomes garbage: a collector that looks
    # for some takes a sixth of the time. What is there then is not looked at again.
    gc.disable()
    from kiro_worker.runner.main import main

    gc.freeze()
    gc.enable()
    return main()


def end(code: int) -> NoReturn:
    """Leave at once: what an interpreter tidies up when it ends, the kernel does anyway, and in no time."""
    # Nobody may listen any more.
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    end(start())
