"""The runner's memory while a child process prints a gigabyte of lines, or one endless line.

Each is measured in its own process, which runs the child as a build runs the agent.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.figure import Figure, megabytes
from bench.redaction import known_secrets
from bench.text import ordinary
from kiro_worker.runner.report.log import Log
from kiro_worker.runner.sandbox.processes import stream

GIGABYTE: Final = 1_000_000_000
ONE_LINE: Final = 100_000_000
_PRINT: Final = """
import sys
block = open(sys.argv[1], "rb").read()
for _ in range(int(sys.argv[2]) // len(block)):
    sys.stdout.buffer.write(block)
"""
_SAMPLED_EVERY: Final = 2000


def measure() -> list[Figure]:
    """Return the memory's figures."""
    lines, one_line = _measure_in_process(GIGABYTE, "lines"), _measure_in_process(ONE_LINE, "one line")
    speed = lines["bytes"] / 1e6 / lines["seconds"]
    note = f"{lines['start'] / 1e6:.0f} MB at the start, {speed:.0f} MB/s"
    return [
        _figure("memory while 1 GB is printed, growth", lines, note),
        _figure("  100 MB without a line end, growth", one_line, f"{one_line['start'] / 1e6:.0f} MB at the start"),
    ]


def _figure(name: str, found: dict[str, Any], note: str) -> Figure:
    grown = found["peak"] - found["start"]
    return Figure(name, megabytes(grown), note, grown / 1e6, "MB", at_most=100)


def _measure_in_process(size: int, shape: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.memory", str(size), shape], check=True, stdout=subprocess.PIPE, text=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Print the measurements of one run as JSON."""
    size, shape = int(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary, Path(os.devnull).open("w") as null_device:
        folder = Path(temporary)
        block = ordinary(1_000_000)
        (folder / "block").write_text(block if shape == "lines" else block.replace("\n", " "))
        redaction = known_secrets()
        with Log(redaction, null_device).sink("agent", folder / "agent.log") as sink:
            memory = _SamplingSink(sink)
            run = partial(
                stream,
                cwd=folder,
                environment={"PATH": os.defpath},
                timeout_seconds=900,
                sink=memory,
                redact=redaction,
            )
            finished = run([sys.executable, "-c", _PRINT, str(folder / "block"), str(size)])
        memory.sample()
    if not finished.succeeded:
        raise RuntimeError(finished.last_lines())
    found = {"start": memory.start, "peak": memory.peak, "seconds": finished.seconds, "bytes": size}
    print(json.dumps(found))


class _SamplingSink:
    """A sink that passes lines on and samples the memory of this process."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._lines = 0
        self.start = self.peak = _resident()

    def __call__(self, line: str) -> None:
        self._sink(line)
        self._lines += 1
        if self._lines % _SAMPLED_EVERY == 0:
            self.sample()

    def sample(self) -> None:
        """Record the peak of the resident memory."""
        self.peak = max(self.peak, _resident())


def _resident() -> int:
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
