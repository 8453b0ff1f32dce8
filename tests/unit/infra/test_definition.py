from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.definition import Definition, check_lease, check_substitutions, load_definition, with_timeout
from infra.errors import SynthError
from infra.packaging import ROOT
from infra.settings import Settings


def definition(document: dict[str, object]) -> Definition:
    return Definition("work_item.asl.json", json.dumps(document), document)


def test_missing_substitution_is_named() -> None:
    with pytest.raises(SynthError) as error:
        check_substitutions(definition({"a": "${KnownArn}", "b": "${LostArn}"}), ["KnownArn"])
    assert str(error.value) == "work_item.asl.json uses ${LostArn}, which the stack does not substitute."


def test_unused_substitution_is_named() -> None:
    with pytest.raises(SynthError) as error:
        check_substitutions(definition({"a": "${KnownArn}"}), ["KnownArn", "OldArn"])
    assert str(error.value) == "The stack substitutes ${OldArn}, which work_item.asl.json does not use."


def test_too_short_lease_is_rejected() -> None:
    with pytest.raises(SynthError) as error:
        check_lease(definition({"TimeoutSeconds": 6600}), 6899)
    assert str(error.value) == (
        "The lock's lease is 6899 s, but work_item.asl.json may run for 6600 s:"
        " set lockLeaseSeconds to 6900 or more (the timeout and 300 s of margin)."
    )


def test_shortest_valid_lease_is_accepted() -> None:
    check_lease(definition({"TimeoutSeconds": 6600}), 6900)


def test_definition_without_timeout_is_rejected() -> None:
    with pytest.raises(SynthError, match="has no TimeoutSeconds"):
        check_lease(definition({}), 7200)


def test_missing_or_invalid_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match=r"absent\.asl\.json is missing"):
        load_definition(tmp_path / "absent.asl.json")
    (tmp_path / "broken.asl.json").write_text("{")
    with pytest.raises(SynthError, match=r"broken\.asl\.json is not valid JSON"):
        load_definition(tmp_path / "broken.asl.json")


def test_only_timeout_of_execution_is_replaced() -> None:
    text = '{\n  "TimeoutSeconds": 60,\n  "States": {\n    "A": {\n      "TimeoutSeconds": 60,\n      "x": 1}}\n}'
    changed = with_timeout(Definition("x", text, json.loads(text)), 90)
    assert changed.timeout_seconds == 90
    assert changed.text == text.replace('{\n  "TimeoutSeconds": 60', '{\n  "TimeoutSeconds": 90', 1)
    assert changed.document["States"]["A"]["TimeoutSeconds"] == 60


def test_timeout_that_cannot_be_found_is_rejected() -> None:
    with pytest.raises(SynthError, match="a line of its own"):
        with_timeout(definition({"TimeoutSeconds": 60}), 90)


def test_file_has_timeout_of_defaults() -> None:
    work_item = load_definition(ROOT / "statemachine" / "work_item.asl.json")
    assert work_item.timeout_seconds == Settings().execution_seconds
    assert with_timeout(work_item, Settings().execution_seconds).text == work_item.text
