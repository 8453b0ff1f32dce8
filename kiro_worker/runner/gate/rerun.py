"""The second run of failed tests, which shows whether they are flaky.

It starts where the first one did. Whatever a run leaves in its checkout, its home or its folder for temporary files
would otherwise make tests pass: a snapshot that a missing one is replaced by, a database, a compiled file.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.report_files import Unreadable, read_report, regular_file_in
from kiro_worker.runner.gate.run import JUNIT_OPTION, asks_for_junit, is_pytest, run_tests

if TYPE_CHECKING:
    from kiro_worker.config.settings import Check
    from kiro_worker.runner.gate.detect import DetectedCommand
    from kiro_worker.runner.gate.run import Place, Run

_LAST_FAILED: Final = ".pytest_cache/v/cache/lastfailed"
_LARGEST_LIST: Final = 1024 * 1024
_MOST_LEVELS_UP: Final = 10


def run_again(check: Check, command: DetectedCommand, place: Place) -> Run:
    """Run the failed tests again: only them with a detected pytest that says which they are, else all tests.

    Raises :class:`BuildStopped` as the first run does, and if the folders cannot be laid out.
    """
    failed = b"" if check.test or not is_pytest(command.words) else _last_failed(place.folder)
    with place.anew():
        place.home.mkdir(parents=True, exist_ok=True)
        return run_tests(check, _only_failed(command, failed, place) if failed else command, place)


def _last_failed(folder: Path) -> bytes:
    """Return pytest's own list of the tests that failed; empty if there is none.

    It is in the folder of pytest's settings, which can be above that of the check.
    """
    for parent in (folder, *folder.parents)[:_MOST_LEVELS_UP]:
        if path := regular_file_in(parent, _LAST_FAILED):
            try:
                return read_report(path, _LARGEST_LIST)
            except Unreadable:
                return b""
        if (parent / ".git").exists():
            break
    return b""


def _only_failed(command: DetectedCommand, failed: bytes, place: Place) -> DetectedCommand:
    cache = Path(tempfile.mkdtemp(prefix="pytest-cache-", dir=place.temporary or place.home))
    names = cache / Path(_LAST_FAILED).relative_to(".pytest_cache")
    names.parent.mkdir(parents=True)
    names.write_bytes(failed)
    if place.sandbox:
        place.sandbox.grant(cache)
    report = f"{JUNIT_OPTION}{place.home / 'junit-again.xml'}"
    words = tuple(report if asks_for_junit(word) else word for word in command.words)
    # A part of the tests covers too little for a threshold of the project's own.
    without_coverage = ("--no-cov",) if any(word.startswith("--cov") for word in words) else ()
    options = ("-o", f"cache_dir={cache}", "--last-failed", "--last-failed-no-failures=none")
    return replace(command, words=(*words, *options, *without_coverage))
