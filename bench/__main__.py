"""``make bench``: print one table of measurements. A missed target does not fail, because it depends on the machine.

python -m bench                    run all benchmarks
python -m bench redaction memory   run these two
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import checkout, lock, memory, overhead, queue, queue_run, redaction
from bench.figure import table

CACHE = Path(__file__).parents[1] / "build" / "bench"
BENCHES = {
    "checkout": lambda: checkout.measure(CACHE),
    "overhead": overhead.measure,
    "memory": memory.measure,
    "redaction": redaction.measure,
    "lock": lock.measure,
    "queue": queue.measure,
    "queue-run": queue_run.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    chosen = parser.parse_args().names or list(BENCHES)
    if unknown := [name for name in chosen if name not in BENCHES]:
        parser.error(f"no such benchmark: {', '.join(unknown)}; choose from {', '.join(BENCHES)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    figures = []
    for name in chosen:
        print(f"{name} …", file=sys.stderr, flush=True)
        figures += BENCHES[name]()
    print(table(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
