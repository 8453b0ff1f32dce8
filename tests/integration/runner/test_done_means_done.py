"""For random plans and random agents, a build succeeds if and only if every required task was asked for and carried
out, and a fresh clone of what it pushed passes the same tests.

What is required, asked and carried out is known here from how the plan was made, from the agent's own notes and from
the files in the commits, and never from the worker.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from tests.support.acting_agent import GATE, ActingAgent, boxes, work_in
from tests.support.worker import Finished, Worker

WORKS = ("work", "work and tick", "work and rewrite")
PARTLY = ("leave in progress", "fail")
CLAIMS = ("only tick", "tick everything", "only rewrite", "idle")
TITLES = ("Task", "Task one", "Task: write tests", "Task with 3 retries")
CHECKS = ("Checkpoint - Ensure all tests pass", "Final checkpoint", "Run the full test suite")


@dataclass(frozen=True)
class Planned:
    """A task as it was made: ``subtasks`` are those of a group."""

    title: str
    mark: str
    optional: bool
    action: str
    is_check: bool = False
    subtasks: tuple[Planned, ...] = ()


@dataclass
class Plan:
    """The text of a plan. ``required`` are the lines of its open tasks without groups, ``checks`` those of checks."""

    text: str
    actions: dict[int, str]
    required: list[int]
    checks: set[int]
    marks: list[str]
    optional: list[bool]


def plans() -> st.SearchStrategy[tuple[Planned, ...]]:
    """Half of the agents do all that they are asked for, and half of them anything."""
    return st.one_of(tasks(WORKS), tasks((*WORKS, *WORKS, *PARTLY, *CLAIMS, "break")))


def tasks(possible: tuple[str, ...]) -> st.SearchStrategy[tuple[Planned, ...]]:
    actions = st.sampled_from(possible)
    work = st.builds(
        Planned, st.sampled_from(TITLES), st.sampled_from("   ~-x"), st.sampled_from((False, False, True)), actions
    )
    check = st.builds(
        Planned, st.sampled_from(CHECKS), st.just(" "), st.just(False), st.sampled_from(("idle", "only tick", "work"))
    ).map(lambda made: replace(made, is_check=True))
    leaf = st.one_of(work, work, work, check)
    group = st.builds(
        Planned,
        st.sampled_from(TITLES),
        st.just(" "),
        st.sampled_from((False, False, True)),
        st.just("work"),
        st.just(False),  # is_check, by position
        st.lists(leaf, min_size=1, max_size=2).map(tuple),
    )
    return st.lists(st.one_of(leaf, leaf, group), min_size=1, max_size=4).map(tuple)


def written(planned: tuple[Planned, ...]) -> Plan:
    plan = Plan("", {}, [], set(), [], [])
    lines = ["# Plan", ""]

    def write(task: Planned, number: str, indent: str, *, optional: bool) -> None:
        lines.append(f"{indent}- [{task.mark}]{'*' if task.optional else ''} {number} {task.title}")
        line, optional = len(lines), optional or task.optional
        plan.marks.append(task.mark)
        plan.optional.append(optional)
        plan.actions[line] = task.action
        # A group whose subtasks are all optional is a task like any other.
        is_group = not optional and any(not subtask.optional for subtask in task.subtasks)
        if not optional and not is_group and task.mark != "x":
            plan.required.append(line)
            if task.is_check:
                plan.checks.add(line)
        for index, subtask in enumerate(task.subtasks, 1):
            write(subtask, f"{number}{index}", f"{indent}  ", optional=optional)

    for index, task in enumerate(planned, 1):
        write(task, f"{index}.", "", optional=False)
    plan.text = "\n".join(lines) + "\n"
    return plan


def carried_out(plan: Plan, asked: list[int]) -> set[int]:
    """The required tasks that the agent did, in full."""
    doing = (*WORKS, "break")
    return {line for line in plan.required if line in asked and (line in plan.checks or plan.actions[line] in doing)}


def passes_in_fresh_clone(worker: Worker, branch: str, folder: Path) -> bool:
    subprocess.run(
        ["git", "clone", "--quiet", "--branch", branch, str(worker.repository.git.path), str(folder)], check=True
    )
    return subprocess.run(["sh", "-c", GATE], cwd=folder, capture_output=True, check=False).returncode == 0


def check_plan(worker: Worker, agent: ActingAgent, planned: tuple[Planned, ...], branch: str) -> None:
    plan = written(planned)
    note(f"{plan.text}\n{plan.actions}")
    commit = agent.plan(plan.text, branch)

    finished = agent.build(commit, plan.actions, branch)

    note(finished.log)
    head = worker.repository.git.head_of(branch)
    done = carried_out(plan, agent.asked)
    is_broken = any(plan.actions[line] == "break" for line in agent.asked)
    assert set(agent.asked) <= set(plan.required), "a task was asked for that is not required"
    assert len(agent.asked) == len(set(agent.asked)), "a task was asked for twice"
    should_succeed = bool(plan.required) and done == set(plan.required) and not is_broken
    assert (finished.outcome == "Succeeded") is should_succeed
    assert finished.exit_code == (0 if should_succeed else 1)
    if should_succeed:
        require_pushed_work(worker, plan, finished, branch)
        assert head == finished.exports["RESULT_COMMIT"]
    else:
        assert head == commit, "nothing was pushed"
        require_kept_work(worker, plan, finished, done, branch)
        if plan.required and not is_broken:
            redriven = agent.build(commit, {}, branch)
            note(redriven.log)
            assert redriven.outcome == "Succeeded", "an agent that works finishes the plan"
            require_pushed_work(worker, plan, redriven, branch)


def require_pushed_work(worker: Worker, plan: Plan, finished: Finished, branch: str) -> None:
    assert passes_in_fresh_clone(worker, branch, worker.folder / f"clone-of-{branch.replace('/', '-')}")
    assert set(plan.required) - plan.checks <= work_in(worker, branch)
    pushed = worker.file(f".kiro/specs/{branch.replace('/', '-')}/tasks.md", branch)
    for before, after, optional in zip(plan.marks, boxes(pushed), plan.optional, strict=True):
        assert after == ("x" if not optional or before == "x" else " ") or (optional and after == before)
    assert finished.result["tasks"]["open"] == 0


def require_kept_work(worker: Worker, plan: Plan, finished: Finished, done: set[int], branch: str) -> None:
    """The checkpoint has the box of every finished task ticked, and no other."""
    checkpoint = worker.repository.git.refs().get(f"refs/kiro-worker/checkpoints/{branch}")
    kept = checkpoint.oid if checkpoint else branch
    lines = worker.file(f".kiro/specs/{branch.replace('/', '-')}/tasks.md", kept).split("\n")
    ticked = {line for line in plan.required if "[x]" in lines[line - 1]}
    assert ticked == done - plan.checks
    open_lines = set(plan.required) - ticked
    assert finished.result["tasks"]["open"] >= len(open_lines)
    if finished.outcome == "Incomplete":
        assert " tasks done: " in finished.exports["OUTCOME_REASON"]


_numbers = count(1)


def run_examples(worker: Worker, examples: int, *, derandomize: bool) -> None:
    agent = ActingAgent(worker)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=derandomize,
        # Every example is a build, and takes seconds.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(plans())
    def hold(planned: tuple[Planned, ...]) -> None:
        check_plan(worker, agent, planned, f"feature/plan-{next(_numbers)}")

    hold()


def test_success_means_every_required_task(worker: Worker) -> None:
    run_examples(worker, 6, derandomize=True)


@pytest.mark.exhaustive
def test_success_means_every_required_task_often(worker: Worker) -> None:
    run_examples(worker, 20, derandomize=False)


def test_plan_is_written_as_intended() -> None:
    leaf = Planned("A", " ", optional=False, action="idle")
    group = Planned("G", " ", optional=False, action="work", subtasks=(leaf, replace(leaf, mark="~", optional=True)))
    check = replace(leaf, title="Final checkpoint", is_check=True)

    plan = written((group, check, replace(leaf, mark="x")))

    assert plan.text == ("# Plan\n\n- [ ] 1. G\n  - [ ] 1.1 A\n  - [~]* 1.2 A\n- [ ] 2. Final checkpoint\n- [x] 3. A\n")
    assert (plan.required, plan.checks) == ([4, 6], {6})
