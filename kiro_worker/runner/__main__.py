"""``python -m kiro_worker.runner``, which buildspec.yml runs: start and end :mod:`kiro_worker.runner.main` quickly."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn


def start() -> int:
    """Run the program and return its exit code."""
    # Imports create hundreds of thousands of objects, none of which becomes garbage, yet collections would take a sixth
    # of the import time. gc.freeze() keeps later collections from scanning these objects again.
    gc.disable()
    from kiro_worker.runner.main import main

    gc.freeze()
    gc.enable()
    return main()


def end(code: int) -> NoReturn:
    """Exit at once, because the kernel frees everything faster than the interpreter would."""
    # The reader of the output may already be gone.
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    end(start())
