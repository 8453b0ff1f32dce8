from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiro_local.aws.server import EmbeddedAws

INVOKE = "arn:aws:states:::lambda:invoke"
# Waits for the gate, if there is one (a folder lets one call pass for each file in it); succeeds once its count has
# come up to what it is told; writes who called it.
COUNTING = """
import pathlib, time
class NotYet(Exception): pass
def is_open(gate):
    if not gate.is_dir():
        return gate.exists()
    for ticket in gate.iterdir():
        ticket.unlink()
        return True
def handler(event, context):
    print("called", event["who"])
    while event["gate"] and not is_open(pathlib.Path(event["gate"])):
        time.sleep(0.01)
    if event["count"] < event["until"]:
        raise NotYet(event["who"])
    return event["who"]
"""


@pytest.fixture(autouse=True)
def counting(function: Callable[..., str]) -> None:
    function("counting", COUNTING)


@pytest.fixture
def calls(function_lines: list[tuple[str, str]]) -> Callable[[], Counter[str]]:
    """How often each caller called the function."""
    return lambda: Counter(line.split()[1] for _, line in function_lines if line.startswith("called "))


def task(who: str, until: int = 0, gate: Path | str = "", **fields: Any) -> dict[str, Any]:
    count = "{% $states.context.Execution.RedriveCount %}"
    payload = {"who": who, "count": count, "until": until, "gate": str(gate)}
    return {
        "Type": "Task",
        "Resource": INVOKE,
        "Arguments": {"FunctionName": "counting", "Payload": payload},
        "Output": "{% $states.result.Payload %}",
        **({} if "Next" in fields else {"End": True}),
        **fields,
    }


def branch(**states: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Parallel", "Branches": list(branches), "End": True, **fields}


def exited(execution: Any, state: str) -> int:
    """How often."""
    return sum(event.get("stateExitedEventDetails", {}).get("name") == state for event in execution.history())


def redriven(execution: Any) -> Any:
    execution.states.redrive_execution(executionArn=execution.arn)
    return execution.output()


def test_only_the_failed_branch_of_a_parallel_state_goes_on_and_from_its_failed_state(
    machine: Callable[..., str],
    run: Callable[..., Any],
    calls: Callable[[], Counter[str]],
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    second = branch(first=task("first", Next="second"), second=task("second", until=1, gate=gate))
    execution = run(machine({"Both": parallel(branch(done=task("done")), second)}))
    eventually(lambda: exited(execution, "done"))
    gate.touch()
    assert (execution.ended()["status"], execution.ended()["error"]) == ("FAILED", "NotYet")
    before = execution.history()
    assert redriven(execution) == ["done", "second"]
    eventually(lambda: calls()["second"] == 2)
    assert calls() == {"done": 1, "first": 1, "second": 2}
    new = [event["type"] for event in execution.history()[len(before) :]]
    assert new[0] == "ExecutionRedriven"
    assert "ParallelStateEntered" not in new
    assert "TaskStateEntered" not in new
    assert new[-3:] == ["ParallelStateSucceeded", "ParallelStateExited", "ExecutionSucceeded"]
    ids = [event["id"] for event in execution.history()]
    assert ids == list(range(1, len(ids) + 1))


def test_a_branch_that_another_ones_failure_stopped_goes_on_too(
    machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    waits = "{% $states.context.Execution.RedriveCount = 0 ? 60000 : 1 %}"
    slow = {"wait": {"Type": "Wait", "Seconds": waits, "Next": "after"}, "after": task("after")}
    execution = run(machine({"Both": parallel(branch(failing=task("failing", until=1)), branch(**slow))}))
    assert execution.ended()["status"] == "FAILED"
    assert redriven(execution) == ["failing", "after"]


def test_a_parallel_state_within_a_branch_goes_on_where_it_was(
    machine: Callable[..., str], run: Callable[..., Any], calls: Callable[[], Counter[str]]
) -> None:
    inner = parallel(branch(a=task("a")), branch(b=task("b", until=1)))
    before = {"Type": "Pass", "Next": "inner"}
    execution = run(machine({"Outer": parallel(branch(before=before, inner=inner), branch(c=task("c")))}))
    execution.ended()
    assert redriven(execution) == [["a", "b"], "c"]
    assert calls()["b"] == 2


def test_a_branch_fails_under_its_own_name_also_under_one_of_the_services(
    machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% 1 %}", "Next": "end"}], "Default": "end"}
    execution = run(machine({"Both": parallel(branch(choice=choice, end={"Type": "Succeed"}))}))
    assert execution.ended()["error"] == "States.QueryEvaluationError"


def test_the_retries_of_a_parallel_state_run_all_branches_and_count_from_the_beginning(
    machine: Callable[..., str],
    run: Callable[..., Any],
    calls: Callable[[], Counter[str]],
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    tickets = tmp_path / "tickets"
    tickets.mkdir()
    both = parallel(branch(failing=task("failing", until=9, gate=tickets)), branch(done=task("done")), Retry=retry)
    execution = run(machine({"Both": both}))
    for attempt in (1, 2):
        eventually(lambda attempt=attempt: exited(execution, "done") == attempt)
        (tickets / "one").touch()
    execution.ended()
    assert calls() == {"failing": 2, "done": 2}
    execution.states.redrive_execution(executionArn=execution.arn)
    (tickets / "of the failed branch").touch()
    eventually(lambda: exited(execution, "done") == 3)
    (tickets / "of the retry").touch()
    execution.ended()
    assert calls() == {"failing": 4, "done": 3}


def test_a_parallel_state_whose_branches_were_all_done_runs_none_of_them_again(
    machine: Callable[..., str], run: Callable[..., Any], calls: Callable[[], Counter[str]]
) -> None:
    output = "{% $states.context.Execution.RedriveCount > 0 ? $states.result : $error('not yet') %}"
    execution = run(machine({"Both": parallel(branch(a=task("a")), branch(b=task("b")), Output=output)}))
    assert execution.ended()["error"] == "States.QueryEvaluationError"
    assert redriven(execution) == ["a", "b"]
    assert calls() == {"a": 1, "b": 1}


def test_too_large_an_output_runs_the_whole_parallel_state_again(
    machine: Callable[..., str],
    run: Callable[..., Any],
    calls: Callable[[], Counter[str]],
    eventually: Callable[..., Any],
) -> None:
    large = "{% $states.context.Execution.RedriveCount > 0 ? 'small' : $join([1..70000].$string(10000 + $)) %}"
    execution = run(machine({"Both": parallel(branch(a=task("a")), branch(b=task("b")), Output=large)}))
    assert execution.ended()["error"] == "States.DataLimitExceeded"
    assert redriven(execution) == "small"
    eventually(lambda: calls() == {"a": 2, "b": 2})


def mapping(item: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor = {"ProcessorConfig": {"Mode": "INLINE"}, **item}
    return {"Type": "Map", "Items": "{% $states.input %}", "ItemProcessor": processor, "End": True, **fields}


@pytest.mark.parametrize("concurrency", [0, 1])
def test_only_the_failed_iterations_of_an_inline_map_go_on(
    machine: Callable[..., str],
    run: Callable[..., Any],
    calls: Callable[[], Counter[str]],
    eventually: Callable[..., Any],
    tmp_path: Path,
    concurrency: int,
) -> None:
    gate = tmp_path / "gate"
    work = task("")
    work["Arguments"]["Payload"] |= {name: f"{{% $states.input.{name} %}}" for name in ("who", "until", "gate")}
    state = mapping(branch(work=work), MaxConcurrency=concurrency)
    easy = {"until": 0, "gate": ""}
    items = [{"who": "one", **easy}, {"who": "two", **easy}, {"who": "three", "until": 1, "gate": str(gate)}]
    execution = run(machine({"Each": state}), items)
    eventually(lambda: execution.event_types().count("MapIterationSucceeded") == 2)
    gate.touch()
    assert (execution.ended()["status"], execution.ended()["error"]) == ("FAILED", "NotYet")
    assert redriven(execution) == ["one", "two", "three"]
    eventually(lambda: calls()["three"] == 2)
    assert calls() == {"one": 1, "two": 1, "three": 2}


def test_an_iteration_that_another_ones_failure_stopped_works_once(
    machine: Callable[..., str],
    run: Callable[..., Any],
    calls: Callable[[], Counter[str]],
    eventually: Callable[..., Any],
) -> None:
    fails = {"Condition": "{% $states.input %}", "Next": "failing"}
    states = {
        "which": {"Type": "Choice", "Choices": [fails], "Default": "wait"},
        "failing": task("failing", until=1),
        "wait": {"Type": "Wait", "Seconds": 100, "Next": "late"},
        "late": task("late"),
    }
    execution = run(machine({"Each": mapping(branch(**states))}), [True, False])
    execution.ended()
    assert redriven(execution) == ["failing", "late"]
    eventually(lambda: calls()["failing"] == 2)
    assert calls()["late"] == 1


def test_iterations_that_had_not_begun_are_begun(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    condition = "{% $states.input = 1 and $states.context.Execution.RedriveCount = 0 %}"
    choose = {"Type": "Choice", "Choices": [{"Condition": condition, "Next": "bad"}], "Default": "good"}
    bad = {"Type": "Choice", "Choices": [{"Condition": "{% $error('no') %}", "Next": "good"}], "Default": "good"}
    good = {"Type": "Pass", "End": True}
    execution = run(machine({"Each": mapping(branch(choose=choose, bad=bad, good=good), MaxConcurrency=1)}), [1, 2, 3])
    assert execution.ended()["status"] == "FAILED"
    execution.states.redrive_execution(executionArn=execution.arn)
    # The one that failed goes on from `bad`, which fails again: the Choice before it is not made again.
    assert execution.ended()["error"] == "States.QueryEvaluationError"
    starts = [e["mapIterationStartedEventDetails"]["index"] for e in execution.history() if "Started" in e["type"]
              and "mapIterationStartedEventDetails" in e]  # fmt: skip
    assert starts == [0, 0]


def test_a_distributed_map_is_refused_by_name(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    item = branch(end={"Type": "Fail", "Error": "E"})
    state = mapping(item)
    state["ItemProcessor"]["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    execution = run(machine({"Each": state}), {"not": "an array"})
    described = execution.ended()
    assert described["status"] == "FAILED"
    assert "Distributed Map (Each)" in described["redriveStatusReason"]
    with pytest.raises(embedded.client("stepfunctions").exceptions.ExecutionNotRedrivable, match="Distributed Map"):
        execution.states.redrive_execution(executionArn=execution.arn)
