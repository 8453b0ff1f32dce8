from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.definition import Definition
from infra.packaging import ROOT
from tools.check_asl import check, main


def problems(**states: dict[str, Any]) -> list[str]:
    document = {"QueryLanguage": "JSONata", "StartAt": "First", "States": states}
    return check(Definition("x.asl.json", json.dumps(document), document))


def test_our_own_definitions_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(path) for path in sorted((ROOT / "statemachine").glob("*.asl.json"))]
    assert main(files) == 0, capsys.readouterr().err
    assert len(files) == 2


def test_a_misspelt_field_is_found() -> None:
    (problem,) = problems(First={"Type": "Pass", "End": True, "Coment": "x"})
    assert problem.startswith("States/First/Coment: Additional properties are not allowed")


def test_a_jsonpath_field_is_found() -> None:
    (problem,) = problems(First={"Type": "Pass", "End": True, "ResultPath": "$.x"})
    assert "ResultPath" in problem


def test_a_transition_to_nowhere_is_found() -> None:
    found = problems(
        First={"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "Gone"}], "Default": "Last"},
        Last={"Type": "Succeed"},
    )
    assert found == ["First leads to Gone, which does not exist"]


def test_a_state_that_nothing_leads_to_is_found() -> None:
    found = problems(First={"Type": "Succeed"}, Lost={"Type": "Succeed"})
    assert found == ["Lost is never reached from First"]


def test_a_loop_without_a_way_out_is_found() -> None:
    found = problems(First={"Type": "Pass", "Next": "Second"}, Second={"Type": "Pass", "Next": "First"})
    assert found == [
        "from First the machine can never come to an end",
        "from Second the machine can never come to an end",
    ]


def test_states_all_must_stand_alone_and_last() -> None:
    rules = [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["Other"]}]
    found = problems(First={"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Retry": rules, "End": True})
    assert found == ["First: States.ALL must stand alone, in the last rule of Retry"]


def test_an_expression_that_does_not_compile_is_found() -> None:
    (problem,) = problems(First={"Type": "Pass", "Output": {"a": ["{% $states.input. %}"]}, "End": True})
    assert problem.startswith("/States/First/Output/a/0: ")


def test_problems_go_to_standard_error_and_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.asl.json"
    file.write_text('{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}')
    assert main([str(file)]) == 1
    assert "A leads to B, which does not exist" in capsys.readouterr().err
