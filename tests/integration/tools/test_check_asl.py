"""The checks that run cfn-lint, about a second each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.definition import Definition
from tests.support.definitions import ROOT
from tools.check_asl import check, main


def problems(**states: dict[str, Any]) -> list[str]:
    document = {"QueryLanguage": "JSONata", "StartAt": "First", "States": states}
    return check(Definition("x.asl.json", json.dumps(document), document))


def test_deployed_definitions_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(path) for path in sorted((ROOT / "statemachine").glob("*.asl.json"))]
    assert main(files) == 0, capsys.readouterr().err
    assert len(files) == 2


def test_misspelled_field_is_found() -> None:
    (problem,) = problems(First={"Type": "Pass", "End": True, "Coment": "x"})
    assert problem.startswith("States/First/Coment: Additional properties are not allowed")


@pytest.mark.parametrize(("timeout", "sound"), [("{% $states.input.x * 60 %}", True), ("soon", False), ("{% %", False)])
def test_timeout_is_number_or_expression(timeout: str, sound: bool) -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": timeout, "End": True}
    found = problems(First=task)
    assert (found == []) is sound, found


def test_jsonpath_field_is_found() -> None:
    (problem,) = problems(First={"Type": "Pass", "End": True, "ResultPath": "$.x"})
    assert "ResultPath" in problem


def test_problems_go_to_stderr_with_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.asl.json"
    file.write_text('{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}')
    assert main([str(file)]) == 1
    assert "A leads to B, which does not exist" in capsys.readouterr().err
