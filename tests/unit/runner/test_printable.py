"""Text that leaves the runner can be encoded, and controls no terminal."""

from __future__ import annotations

import io
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.records.summaries import FailedTest, GateNote
from kiro_worker.runner.gate.result import GateResult
from kiro_worker.runner.gate.verdicts import gate_document
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.report.artifacts import ArtifactLocation
from kiro_worker.runner.report.log import Log, Redaction
from kiro_worker.runner.report.result_json import result_document
from kiro_worker.runner.report.variables import exported_variables, shell_exports
from kiro_worker.runner.sandbox.printable import listed, printable, printable_document, printable_name

ANY_TEXT = st.text(st.characters())
"""Also lone surrogates."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop/café.py", "shop/café.py"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("a\x1b[31m\u202eb", "a\\x1b[31m\\u202eb"),
        ("one\n\ttwo\r", "one\n\ttwo\\x0d"),
    ],
)
def test_unprintable_characters_are_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_names_are_one_line() -> None:
    assert printable_name("a\nb\tc") == "a\\nb\\tc"


@given(st.binary())
def test_any_file_name_can_be_encoded(raw: bytes) -> None:
    name = printable_name(os.fsdecode(raw))

    assert "\n" not in name.encode().decode()


@given(ANY_TEXT)
def test_any_text_can_be_reported(text: str) -> None:
    gate = gate_document([GateResult((text,), text, failed=(FailedTest(text, text),), excused=(text,), check=text)])
    progress = BuildProgress(
        reason=text,
        remedy=text,
        details=text,
        tests=text,
        files_changed=(text,),
        gate=gate,
        gate_notes=(GateNote(text),),
    )

    document = printable_document(result_document(progress, None, ArtifactLocation("", "", "", "1")))

    json.dumps(document, ensure_ascii=False).encode()
    shell_exports(exported_variables(progress)).encode()


@given(ANY_TEXT)
def test_any_text_can_be_logged(text: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")

    Log(Redaction(), out).say(text)


def test_list_says_how_many_more() -> None:
    assert listed(["a", "b\n"], printable_name) == "a, b\\n"
    assert listed(range(12), str, most=3) == "0, 1, 2 and 9 more"
    assert listed([], str) == ""
