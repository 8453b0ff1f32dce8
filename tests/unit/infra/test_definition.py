from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.definition import Definition, check_lease, check_substitutions, load_definition
from infra.errors import SynthError


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
