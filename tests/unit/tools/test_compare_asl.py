from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tools.compare_asl import differences, main

DEFINITION: dict[str, Any] = {
    "Comment": "x",
    "StartAt": "Work",
    "States": {
        "Work": {
            "Comment": "x",
            "Type": "Task",
            "Retry": [{"ErrorEquals": ["A"], "MaxAttempts": 2}, {"ErrorEquals": ["B"], "MaxAttempts": 2}],
            "Catch": [{"ErrorEquals": ["C"], "Output": {"Comment": "data"}, "Next": "End"}],
            "Next": "Decide",
        },
        "Decide": {"Type": "Choice", "Choices": [{"Comment": "x", "Next": "Work"}], "Default": "End"},
        "End": {"Type": "Succeed"},
    },
}


def changed() -> dict[str, Any]:
    return copy.deepcopy(DEFINITION)


def compared(new: dict[str, Any]) -> list[str]:
    return list(differences(DEFINITION, new))


def test_order_of_states_makes_no_difference() -> None:
    assert compared(DEFINITION | {"States": dict(reversed(DEFINITION["States"].items()))}) == []


def test_comments_make_no_difference() -> None:
    new = changed()
    new["Comment"] = new["States"]["Work"]["Comment"] = new["States"]["Decide"]["Choices"][0]["Comment"] = "y"
    new["States"]["Work"]["Retry"][0]["Comment"] = new["States"]["Work"]["Catch"][0]["Comment"] = "y"
    assert compared(new) == []


def test_comment_in_data_is_a_difference() -> None:
    new = changed()
    new["States"]["Work"]["Catch"][0]["Output"]["Comment"] = "other data"
    assert compared(new) == ['/States/Work/Catch/0/Output/Comment: "data" became "other data"']


def test_merged_retriers_make_no_difference() -> None:
    new = changed()
    new["States"]["Work"]["Retry"] = [{"ErrorEquals": ["A", "B"], "MaxAttempts": 2}]
    assert compared(new) == []


def test_order_of_retriers_is_a_difference() -> None:
    new = changed()
    new["States"]["Work"]["Retry"].reverse()
    assert compared(new) == [
        '/States/Work/Retry/0/ErrorEquals/0: "A" became "B"',
        '/States/Work/Retry/1/ErrorEquals/0: "B" became "A"',
    ]


def test_removed_state_is_a_difference() -> None:
    new = changed()
    del new["States"]["End"]
    assert compared(new) == ["/States/End: only in the old definition"]


def test_type_of_number_is_a_difference() -> None:
    new = changed()
    new["States"]["Work"]["Retry"][0]["MaxAttempts"] = True
    assert compared(new) == ["/States/Work/Retry/0/MaxAttempts: 2 became true"]


@pytest.mark.parametrize(("renamed", "code"), [([], 1), (["--renamed", "MaxAttempts=Attempts"], 0)])
def test_renamed_names_make_no_difference(tmp_path: Path, renamed: list[str], code: int) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(DEFINITION))
    new.write_text(json.dumps(DEFINITION).replace("MaxAttempts", "Attempts"))
    assert main([str(old), str(new), *renamed]) == code
