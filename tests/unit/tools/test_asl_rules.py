from __future__ import annotations

from typing import Any

from tools.asl_rules import problems


def found(**states: dict[str, Any]) -> list[str]:
    return problems({"QueryLanguage": "JSONata", "StartAt": "First", "States": states})


def test_transition_to_missing_state_is_found() -> None:
    assert found(
        First={"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "Gone"}], "Default": "Last"},
        Last={"Type": "Succeed"},
    ) == ["First leads to Gone, which does not exist"]


def test_unreachable_state_is_found() -> None:
    assert found(First={"Type": "Succeed"}, Lost={"Type": "Succeed"}) == ["Lost is never reached from First"]


def test_endless_loop_is_found() -> None:
    assert found(First={"Type": "Pass", "Next": "Second"}, Second={"Type": "Pass", "Next": "First"}) == [
        "First can never reach an end of the state machine",
        "Second can never reach an end of the state machine",
    ]


def test_states_all_must_be_last() -> None:
    rules = [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["Other"]}]
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Retry": rules, "End": True}
    assert found(First=task) == ["First: States.ALL must stand alone, in the last rule of Retry"]


def test_invalid_expression_is_found() -> None:
    (problem,) = found(First={"Type": "Pass", "Output": {"a": ["{% $states.input. %}"]}, "End": True})
    assert problem.startswith("/States/First/Output/a/0: ")
