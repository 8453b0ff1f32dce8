from __future__ import annotations

import os
import threading

from kiro_local.aws.lines import LineReader


def test_line_is_pending_until_passed_on() -> None:
    reading, writing = os.pipe()
    arrived, proceed = threading.Event(), threading.Event()
    lines: list[str] = []

    def slow_listener(line: str) -> None:
        arrived.set()
        assert proceed.wait(10)
        lines.append(line)

    reader = LineReader(reading, slow_listener)
    os.write(writing, b"one\n")
    assert arrived.wait(10)
    # The line has left the pipe, and the listener has not finished with it.
    threading.Timer(0.05, proceed.set).start()
    while reader.pending():
        pass
    assert lines == ["one"]
    os.close(writing)
    reader.join(10)


def test_lines_and_an_unfinished_one_are_passed_on() -> None:
    reading, writing = os.pipe()
    lines: list[str] = []
    reader = LineReader(reading, lines.append)
    os.write(writing, b"one\r\ntwo\rthr")
    os.write(writing, b"ee")
    os.close(writing)
    reader.join(10)
    assert lines == ["one", "two", "three"]
