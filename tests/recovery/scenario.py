"""Plays one cell: a run with its fault, then one way of carrying on; and judges what is then to be seen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kiro_local.aws import status_events
from kiro_local.aws.build_run import BuildEnding
from kiro_local.aws.builds import Build
from kiro_local.aws.fault_injection import execution_of
from kiro_local.faults import CLEAN_UP, ENDINGS, parse_fault
from kiro_local.github.model import Item
from kiro_worker.executions.history import Run
from tests.recovery.fault_matrix import LATE, LOST, NOTHING, REDRIVE, REPLAY, TICK, TWICE, Cell
from tests.recovery.observer import Observer
from tests.support.world import World, names

BRANCH = "feature/sum"
CHECKPOINT = f"kiro-worker/checkpoint/{BRANCH}"
PATIENCE = 120.0
AGENT = """
import pathlib, sys
sys.stdin.read()
with open({turns!r}, "a") as turns:
    turns.write("x")
pathlib.Path("sums.py").write_text("def add(a, b):\\n    return a + b\\n")
"""
DONE = "def add(a, b):\n    return a + b\n"
_FIRST_ENDS = {"RunBuild:TestsFailed": "TestsFailed"}
REDRIVABLE = ("FAILED", "ABORTED", "TIMED_OUT")


@dataclass
class Play:
    """One world, one card, and what was seen of it."""

    world: World
    observer: Observer
    cell: Cell
    card: Item
    run: Run
    late: list[Callable[[], None]]
    wrong: list[str] = field(default_factory=list)

    @property
    def turns(self) -> int:
        """How often the agent was paid."""
        return len(turns_of(self.world))

    @property
    def pushed(self) -> bool:
        return "def add" in self.world.file("sums.py", BRANCH)

    def require(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(what)


def turns_of(world: World) -> str:
    file = world.folder / "turns"
    return file.read_text() if file.exists() else ""


def count_turns(world: World) -> None:
    """Lets the agent note its turns, in a file for the users of all builds: each may have another."""
    turns = world.folder / "turns"
    turns.touch()
    turns.chmod(0o666)
    world.agent(AGENT.format(turns=str(turns)))


def play(world: World, observer: Observer, cell: Cell) -> Play:
    """The run with the fault, to its end and to that of the clean-up."""
    count_turns(world)
    faults = world.local.aws.faults
    if cell.state == "RejectWorkItem":
        world.bare_card("feature/missing")
    card = world.card(BRANCH, status="Todo" if cell.state == "NothingToDo" else "For Implementation")
    if cell.state not in ("RunBuild", "NothingToDo") and not cell.first:
        world.entered["RunBuild"] = partial(_succeed_without_building, world)
    late: list[Callable[[], None]] = []
    faults.deliver = partial(_deliver, cell.event, late)
    if cell.first:
        faults.add(parse_fault(cell.first))
    if cell.state == "ResumePoint":
        run = settled(world, world.local.tick())
        faults.add(parse_fault(cell.fault))
        world.local.redrive(run.arn)
    else:
        faults.add(parse_fault(cell.fault))
        run = world.read(world.local.tick())
    run = settled(world, run.arn)
    here = Play(world, observer, cell, card, run, late)
    if not any(fault.state == cell.state.removeprefix(CLEAN_UP) for fault in faults.happened):
        here.wrong.append(f"the fault did not happen: the run passed {names(run)}")
    late += faults.take_late()
    faults.clear()
    world.entered.clear()
    world.local.aws.builds.end_next_as(None)
    return here


def _succeed_without_building(world: World) -> None:
    """Where the build is not what the cell is about: its work is on the branch, in no time."""
    tasks = f".kiro/specs/{BRANCH.replace('/', '-')}/tasks.md"
    files = {"sums.py": DONE, tasks: world.file(tasks, BRANCH).replace("[ ]", "[x]")}
    commit = world.repository.git.commit(BRANCH, files, "Implement 1 Write the function")
    exported = {"OUTCOME": "Succeeded", "RESULT_COMMIT": commit, "TASKS_DONE": "1", "TASKS_OPEN": "0"}
    world.local.aws.builds.end_next_as(BuildEnding("SUCCEEDED", exported))


def settled(world: World, arn: str) -> Run:
    """When that execution and everything that it set off has ended."""
    execution = execution_of(arn)
    assert execution._drive is not None
    assert execution._drive.concluded.wait(PATIENCE), f"{arn} still runs"
    quiet(world)
    return world.read(arn)


def quiet(world: World, *but: str) -> None:
    """Until no execution and no build runs, ``but`` those."""
    deadline = time.monotonic() + PATIENCE
    while set(busy(world)) - set(but):
        assert time.monotonic() < deadline, f"still busy: {busy(world)}"
        time.sleep(0.01)


def busy(world: World) -> list[str]:
    aws = world.local.aws
    live = [execution.exec_arn for execution in list(aws.executions._live)]
    return live + [build for build, found in list(aws.builds._builds.items()) if not found.run.finished.is_set()]


def carry_on(here: Play, way: str) -> dict[str, Any]:
    """Carry on, judge, and say what was seen."""
    if way != REDRIVE:
        do_late(here)
    before, turns = here.pushed, here.turns
    WAYS[way](here)
    quiet(here.world)
    if before:
        here.require(here.turns == turns, "a build that had succeeded was repeated")
    judge(here, way)
    seen = look(here)
    if way == REDRIVE:
        seen["redrives"] = here.run.redrives - (here.cell.state == "ResumePoint")
    else:
        del seen["run"]
    return seen


def do_late(here: Play, *running: str) -> None:
    """What comes too late: the work of a function that was given up, the event of an end."""
    while here.late:
        here.late.pop()()
    quiet(here.world, *running)


def _deliver(how: str, late: list[Callable[[], None]], event: Mapping[str, Any]) -> None:
    if how == LATE and event["detail"]["status"] in REDRIVABLE:
        late.append(partial(status_events.deliver, event))
    elif how != LOST:
        status_events.deliver(event)
        if how == TWICE:
            status_events.deliver(event)


def nothing(here: Play) -> None:
    """The clean-up has had its chance, and nobody does anything."""


def tick(here: Play) -> None:
    settled(here.world, here.world.local.tick())


def replay(here: Play) -> None:
    run = settled(here.world, here.world.local.start({"trigger": "replay", "itemId": here.card.id}))
    finished = ("WorkItemRefused", "WorkItemMoved")
    here.require(
        run.status == "SUCCEEDED" or ((here.pushed or here.cell.state == "NothingToDo") and run.error in finished),
        f"the replay ended as {run.status} {run.error}: {run.cause[:200]}",
    )
    settled(here.world, here.world.local.tick())


def redrive(here: Play) -> None:
    """Redrive until it succeeds, with a tick while it builds. Once is enough, or the first says again why it failed."""
    world, run = here.world, here.run
    if run.status not in REDRIVABLE:
        return
    errors = [run.error]
    for _ in range(2):
        meanwhile: list[str] = []
        world.card("feature/other")
        world.entered["RunBuild"] = partial(_tick_into, here, meanwhile)
        world.local.redrive(run.arn)
        run = settled(world, run.arn)
        for arn in meanwhile:
            other = settled(world, arn)
            # Begun again at RunBuild itself, it may find that another has taken the lock, and then says so. A place is
            # anybody's once it is free.
            own = "lockScope" not in world.configuration and (
                run.status == "SUCCEEDED" or here.cell.state != "RunBuild"
            )
            if own and "RunBuild" in names(other):
                here.wrong.append("a tick built while a redrive was under way")
        world.entered.clear()
        errors.append(run.error)
        if run.status == "SUCCEEDED":
            break
    here.run = run
    here.require(run.status == "SUCCEEDED", f"redriven, it ended as {errors}: {run.cause[:300]}")


def _tick_into(here: Play, started: list[str]) -> None:
    """Called when the redriven execution enters RunBuild: late things come now, and the schedule ticks."""
    before = here.world.status(here.card)
    do_late(here, here.run.arn)
    if here.cell.event == LATE:
        here.require(here.world.status(here.card) == before, "a clean-up that came late moved the card of a live run")
    started.append(here.world.local.tick())


WAYS: dict[str, Callable[[Play], None]] = {NOTHING: nothing, TICK: tick, REPLAY: replay, REDRIVE: redrive}


def judge(here: Play, way: str) -> None:
    """The invariants."""
    world, status = here.world, here.world.status(here.card)
    here.wrong += here.observer.violations
    told = not (way == NOTHING and (here.cell.event == LOST or here.cell.state.startswith(CLEAN_UP)))
    if here.cell.kind in ENDINGS and way == NOTHING and here.cell.kind != "build-fault":
        here.require(here.run.status == "FAILED", "a build that failed was not the end of the run")
        # The token would give a retry the same build for five minutes, and a new one after that.
        tried = here.run.transitions == len(here.run.states) and names(here.run).count("RunBuild") == 1
        here.require(tried, "a build that ran was tried again")
    if way != NOTHING:
        lock = world.local.lock()
        here.require(lock is None, f"the lock is still {lock and lock['owner']}'s")
        here.require(status != "In Progress", "the card is in progress, and nobody works on it")
    if here.cell.kind == "start-lost" and way == NOTHING:
        here.require(builds_of(here) == 1, f"a start that was retried made {builds_of(here)} builds")
    if here.cell.is_waited_out and way == NOTHING:
        as_ever = ("SUCCEEDED", "") if not here.cell.first else (here.run.status, _FIRST_ENDS.get(here.cell.first, ""))
        here.require((here.run.status, here.run.error) == as_ever, f"what is retried was not waited out: {look(here)}")
    if status == "In Review":
        here.require(here.pushed, "the card is in review, and the work is not on the branch")
    comments = [[comment.body for comment in pull_request.comments] for pull_request in world.repository.pull_requests]
    here.require(all(len(bodies) <= 1 for bodies in comments), f"more than one comment: {comments}")
    if status == "In Review" and told and comments[0]:
        here.require("✅" in comments[0][0], f"in review, and the comment says {comments[0][0][:80]}")
    if here.turns and not here.pushed:
        kept = world.head(CHECKPOINT) is not None and "def add" in world.file("sums.py", CHECKPOINT)
        stopped = here.cell.kind.endswith("-during")
        here.require(kept or stopped, "the agent's work is neither on the branch nor on the checkpoint")
    known = world.local.aws.executions.undocumented
    # Without either, MarkInProgress cannot know that the card is where its own clean-up has put it: WorkItemMoved.
    sees = known.redrive_evaluates_arguments and known.redrive_refreshes_context
    quiet_end = here.cell.state == "NothingToDo" or here.run.outcome == "WorkInProgressElsewhere"
    if way == REDRIVE and here.run.status == "SUCCEEDED" and not quiet_end and sees:
        here.require(status == "In Review", f"the run succeeded, and the card is in {status}")


def builds_of(here: Play) -> int:
    wanted = {"name": "EXECUTION_ARN", "value": here.run.arn}
    started = [build.request.get("environmentVariablesOverride", ()) for build in _builds(here.world)]
    return sum(any(wanted.items() <= dict(variable).items() for variable in variables) for variables in started)


def _builds(world: World) -> list[Build]:
    return list(world.local.aws.builds._builds.values())


def look(here: Play) -> dict[str, Any]:
    """What decides how it goes on, and what people see."""
    lock = here.world.local.lock()
    return {
        "run": " ".join(filter(None, (here.run.status, here.run.error))),
        "card": here.world.status(here.card),
        "lock": "held" if lock else "free",
        "work": "branch" if here.pushed else "checkpoint" if here.world.head(CHECKPOINT) else "none",
    }


def digest(here: Play, way: str) -> str:
    """All that decides how that way goes."""
    seen = look(here)
    if way in (TICK, REPLAY):
        del seen["run"]
    seen["comment"] = [body[:40].partition("*")[0] for body in here.world.comments()]
    seen["cards"] = len(here.world.project.items)
    seen["reportPending"] = (
        [key for key in lock_items(here.world)[0] if key == "reportPending"] if lock_items(here.world) else []
    )
    if here.late:
        seen["late"] = here.cell.event or here.cell.state
    if way == REDRIVE:
        last = here.run.states[-1]
        failure = last.document.get("failure") or {}
        seen["at"] = [last.name, sorted(last.document), failure.get("state"), failure.get("redriveCount")]
    if way == NOTHING:
        seen["cell"] = here.cell.id
    return json.dumps(seen, sort_keys=True)


def lock_items(world: World) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = world.local.client("dynamodb").scan(TableName="kiro-worker-test-locks")["Items"]
    return items
