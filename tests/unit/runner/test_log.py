from __future__ import annotations

import base64
import io
from pathlib import Path

from hypothesis import given

from kiro_worker.runner.report.log import LARGEST_FILE, Log, Redaction
from tests.support.secret_shapes import KNOWN, encodings


@given(KNOWN)
def test_secret_is_found_in_every_encoding(secret: str) -> None:
    redaction = Redaction()
    redaction.know(secret)

    for encoding, text in encodings(secret).items():
        assert redaction.is_in(b"\xff diff --git\n+" + text.encode()), encoding
    assert not redaction.is_in(b"diff --git a/one b/one")


def test_each_line_of_secret_is_removed() -> None:
    redaction = Redaction()
    redaction.know("-first-half-of-it\r\n-second-half-of-it")

    assert redaction("a -second-half-of-it") == "a [redacted]"


def test_worker_messages_are_redacted() -> None:
    out, redaction = io.StringIO(), Redaction()
    redaction.know("open sesame", "")

    Log(redaction, out).say("the word is\nopen sesame, or " + base64.b64encode(b"open sesame").decode())

    assert out.getvalue() == "[worker] the word is\n[worker] [redacted], or [redacted]\n"


def test_endless_output_keeps_its_start(tmp_path: Path) -> None:
    out = io.StringIO()

    with Log(Redaction(), out).sink("agent", tmp_path / "agent.log") as sink:
        for _ in range(LARGEST_FILE // 10_000 * 2):
            sink("x" * 10_000)

    assert LARGEST_FILE * 0.9 < (tmp_path / "agent.log").stat().st_size <= LARGEST_FILE
    assert len(out.getvalue()) < LARGEST_FILE * 1.1
    assert out.getvalue().count("the rest is dropped") == 1


def test_second_run_keeps_output_of_first(tmp_path: Path) -> None:
    log, file = Log(Redaction(), io.StringIO()), tmp_path / "setup.log"
    for run in ("one", "two"):
        with log.sink("setup", file) as sink:
            sink(run)

    assert file.read_text() == "one\n\n── setup, run 2\ntwo\n"


def test_long_first_run_leaves_room_for_second(tmp_path: Path) -> None:
    log, file = Log(Redaction(), io.StringIO()), tmp_path / "tests.log"
    with log.sink("tests", file) as sink:
        for _ in range(2):
            sink("x" * LARGEST_FILE)
    with log.sink("tests", file) as sink:
        sink("the failure")

    assert file.read_text().endswith("the failure\n")
