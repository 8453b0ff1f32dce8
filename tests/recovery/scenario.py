"""Plays one cell: a run with its fault, then one continuation, and checks the invariants on the result."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
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
from kiro_worker.outcomes import Outcome
from kiro_worker.records.breaker import open_breaker, pause, read_breaker
from kiro_worker.records.cards import read_rejections
from kiro_worker.records.checkpoints import checkpoint_ref
from kiro_worker.records.runs import RunRecord, note_push, read_run
from kiro_worker.state import End
from kiro_worker.work_queue import MAX_SKIPPED
from tests.recovery.fault_matrix import LATE, LOST, NOTHING, REDRIVE, REPLAY, TICK, TWICE, Cell
from tests.recovery.next_runs import PARALLEL, STARTS, NextRuns
from tests.recovery.observer import Observer, variable_of
from tests.support.world import World, names

BRANCH = "feature/sum"
CHECKPOINT = checkpoint_ref(BRANCH)
PATIENCE = 120.0
AGENT = """
import pathlib, sys
sys.stdin.read()
[spec] = pathlib.Path(".kiro/specs").iterdir()
with open({turns!r}, "a") as turns:
    turns.write(spec.name + "\\n")
pathlib.Path("sums.py").write_text("def add(a, b):\\n    return a + b\\n")
"""
DONE = "def add(a, b):\n    return a + b\n"
_FIRST_ENDS = {"RunBuild:TestsFailed": "TestsFailed"}
_NOT_FAILURES = ("build-fault", "upload-failed")
"""The endings of a build that do not end the run: one is repeated, and the work of the other is pushed."""
REDRIVABLE = ("FAILED", "ABORTED", "TIMED_OUT")
_FIRST_STATUS = {"NothingToDo": "Todo", "ReturnToQueue": "Blocked"}
_FINISHED = ("WorkItemRefused", "WorkItemMoved")
"""The failures of a run whose card is in review already."""
_FREES = ("ReleaseLock", "ReleaseLockAfterFailure")
_ACTED = ("ResumePoint", "ReturnToQueue")
"""The states that only a person's redrive or replay leads to."""
_WITHOUT_CARD = tuple(End)
"""The ends of a run that took no card."""
_MOST_TURNS = {NOTHING: 2, TICK: 2, REPLAY: 3, REDRIVE: 3}
"""How often a card's agent may run at one commit: twice without a person's act, and once more for each."""
_BEFORE_AGENT = ("QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE")
"""The phases of a build that come before the runner."""


@dataclass
class Scenario:
    """One world with one card, and what happened to it. ``acts`` counts a person's redrives and replays."""

    world: World
    observer: Observer
    cell: Cell
    card: Item
    run: Run
    delayed: list[Callable[[], None]]
    next_runs: NextRuns
    acts: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def turns(self) -> int:
        """The number of turns that the agent has run."""
        return turns_of(self.world)

    @property
    def pushed(self) -> bool:
        return "def add" in self.world.file("sums.py", BRANCH)

    @property
    def kept(self) -> bool:
        """Whether the checkpoint holds the agent's work. Before the agent starts, it is at the branch's commit."""
        return self.world.checkpoint(BRANCH) is not None and "def add" in self.world.file("sums.py", CHECKPOINT)

    def require(self, holds: bool, problem: str) -> None:
        """Note ``problem`` unless ``holds``."""
        if not holds:
            self.problems.append(problem)


def turns_of(world: World, branch: str = BRANCH) -> int:
    """How many turns of the agent there were for the card of ``branch``."""
    file = world.folder / "turns"
    return file.read_text().split().count(branch.replace("/", "-")) if file.exists() else 0


def count_turns(world: World) -> None:
    """Make the agent note its turns in a file that every user may write, because each build may have another user."""
    turns = world.folder / "turns"
    turns.touch()
    turns.chmod(0o666)
    world.agent(AGENT.format(turns=str(turns)))


def play(world: World, observer: Observer, cell: Cell) -> Scenario:
    """Run the card with the cell's fault until the run, its clean-up and all that they started have ended."""
    count_turns(world)
    faults = world.local.aws.faults
    if cell.state == "RejectWorkItem":
        world.bare_card("feature/missing")
    _lead_to(world, cell.state)
    card = world.card(BRANCH, status=_FIRST_STATUS.get(cell.state, "For Implementation"))
    world.backdate(*world.project.items)
    if cell.state != "RunBuild" and cell.state not in _WITHOUT_CARD and not cell.first:
        world.entered["RunBuild"] = partial(_succeed_without_building, world, card)
    delayed: list[Callable[[], None]] = []
    faults.deliver = partial(_deliver, cell.event, delayed)
    if cell.first:
        faults.add(parse_fault(cell.first))
    if cell.state == "ResumePoint":
        run = finish(world, world.local.tick())
        faults.add(parse_fault(cell.fault))
        world.local.redrive(run.arn)
    elif cell.state == "ReturnToQueue":
        run = _replay_behind_other_card(world, observer, card, cell)
    else:
        faults.add(parse_fault(cell.fault))
        run = world.read(world.local.tick())
    run = finish(world, run.arn)
    next_runs = NextRuns(world, observer, cell.state)
    scenario = Scenario(world, observer, cell, card, run, delayed, next_runs, acts=int(cell.state in _ACTED))
    if not any(fault.state == cell.state.removeprefix(CLEAN_UP) for fault in faults.happened):
        scenario.problems.append(f"the fault did not happen: the run entered {names(run)}")
    scenario.problems += next_runs.problems()
    delayed += faults.take_late()
    faults.clear()
    world.entered.clear()
    world.local.aws.builds.end_next_as(None)
    return scenario


def _lead_to(world: World, state: str) -> None:
    """Let the run end in ``state`` without a card, if it is a state for that, or enter it at all."""
    if state == "Paused":
        pause(world.records(), "ann", "release day")
    elif state == "InstallationUnavailable":
        open_breaker(world.records(), "SecretEmpty", "the secret x is empty")
    elif state == "CardsPassedOver":
        world.configure(blockedStatus=None)
        for number in range(MAX_SKIPPED):
            world.bare_card(f"feature/missing-{number}")
    elif state == PARALLEL:
        world.configure(lockScope="branch")


def _replay_behind_other_card(world: World, observer: Observer, card: Item, cell: Cell) -> Run:
    """Replay the card while the run of another card holds the lock, then let that run end."""
    other, replayed = world.card("feature/first"), threading.Event()

    def hold_lock() -> None:
        assert replayed.wait(PATIENCE)
        _succeed_without_building(world, other, "feature/first")
        # The holder starts the next run, which takes the card if it is back in the queue.
        world.entered["RunBuild"] = partial(_succeed_without_building, world, card)

    world.entered["RunBuild"] = hold_lock
    holder = world.local.tick()
    world.wait_until(lambda: observer.has_entered(holder, "RunBuild"))
    world.local.aws.faults.add(parse_fault(cell.fault))
    run = execution_of(world.local.start({"trigger": "replay", "itemId": card.id}))
    assert run._drive is not None
    assert run._drive.concluded.wait(PATIENCE)
    replayed.set()
    finish(world, holder)
    return world.read(run.exec_arn)


def _succeed_without_building(world: World, card: Item, branch: str = BRANCH) -> None:
    """End the build at once with its work on the branch and in the run's record, for cells that are not about the
    build.
    """
    tasks = f".kiro/specs/{branch.replace('/', '-')}/tasks.md"
    files = {"sums.py": DONE, tasks: world.file(tasks, branch).replace("[ ]", "[x]")}
    commit = world.repository.git.commit(branch, files, "Implement 1 Write the function")
    lock = world.local.lock()
    assert lock is not None
    run = RunRecord(lock["owner"]["S"], world.repository.name_with_owner, branch, card.id)
    note_push(world.records(), run, commit)
    exported = {"OUTCOME": "Succeeded", "RESULT_COMMIT": commit, "TASKS_DONE": "1", "TASKS_OPEN": "0"}
    world.local.aws.builds.end_next_as(BuildEnding("SUCCEEDED", exported))


def finish(world: World, arn: str) -> Run:
    """The run, once its execution and everything that it started has ended."""
    execution = execution_of(arn)
    assert execution._drive is not None
    assert execution._drive.concluded.wait(PATIENCE), f"{arn} still runs"
    wait_until_idle(world)
    return world.read(arn)


def wait_until_idle(world: World, *ignored: str) -> None:
    """Wait until no execution and no build runs, except ``ignored``."""
    deadline = time.monotonic() + PATIENCE
    while set(active_work(world)) - set(ignored):
        assert time.monotonic() < deadline, f"still active: {active_work(world)}"
        time.sleep(0.01)


def active_work(world: World) -> list[str]:
    aws = world.local.aws
    live = [execution.exec_arn for execution in list(aws.executions._live)]
    return live + [build for build, found in list(aws.builds._builds.items()) if not found.run.finished.is_set()]


def continue_run(scenario: Scenario, continuation: str) -> dict[str, Any]:
    """Continue as ``continuation`` says, check the invariants, and return what was observed."""
    if continuation != REDRIVE:
        run_delayed_effects(scenario)
    was_pushed, turns = scenario.pushed, scenario.turns
    CONTINUE[continuation](scenario)
    wait_until_idle(scenario.world)
    if was_pushed:
        scenario.require(scenario.turns == turns, "a build that had succeeded was repeated")
    check_invariants(scenario, continuation)
    observed = observe(scenario)
    if continuation == REDRIVE:
        observed["redrives"] = scenario.run.redrives - (scenario.cell.state == "ResumePoint")
    else:
        del observed["run"]
    return observed


def run_delayed_effects(scenario: Scenario, *running: str) -> None:
    """Let the delayed effects happen: the work of a function after its timeout, the event of an execution's end."""
    while scenario.delayed:
        scenario.delayed.pop()()
    wait_until_idle(scenario.world, *running)


def _deliver(how: str, delayed: list[Callable[[], None]], event: Mapping[str, Any]) -> None:
    if how == LATE and event["detail"]["status"] in REDRIVABLE:
        delayed.append(partial(status_events.deliver, event))
    elif how != LOST:
        status_events.deliver(event)
        if how == TWICE:
            status_events.deliver(event)


def do_nothing(scenario: Scenario) -> None:
    """Do nothing: the clean-up has run, and nobody acts."""


def tick(scenario: Scenario) -> None:
    finish(scenario.world, scenario.world.local.tick())


def replay(scenario: Scenario) -> None:
    scenario.acts += 1
    run = finish(scenario.world, scenario.world.local.start({"trigger": "replay", "itemId": scenario.card.id}))
    scenario.require(
        run.status == "SUCCEEDED"
        or ((scenario.pushed or scenario.cell.state in _WITHOUT_CARD) and run.error in _FINISHED),
        f"the replay ended as {run.status} {run.error}: {run.cause[:200]}",
    )
    finish(scenario.world, scenario.world.local.tick())


def redrive(scenario: Scenario) -> None:
    """Redrive until the run succeeds, with a tick while it builds, and another card that waits. One redrive is enough
    unless it only reports the old failure.
    """
    world, run = scenario.world, scenario.run
    if run.status not in REDRIVABLE:
        return
    errors = [run.error]
    # It had returned its card to the queue, and the run that followed has built it.
    built_by_other = scenario.cell.state == "ReturnToQueue" and scenario.pushed
    for number in range(2):
        other, entries = world.card(f"feature/other-{number}"), len(scenario.observer.entries)
        world.entered[run.arn, "RunBuild"] = partial(_tick_during_redrive, scenario)
        world.local.redrive(run.arn)
        scenario.acts += 1
        run = finish(world, run.arn)
        world.entered.clear()
        errors.append(run.error)
        _check_order(scenario, run, scenario.observer.entries[entries:])
        if (run.arn, "StartNextRun") in scenario.observer.entries[entries:]:
            scenario.require(world.status(other) == "In Review", f"the next card waits in {world.status(other)}")
        if run.status == "SUCCEEDED" or built_by_other:
            break
        scenario.problems += scenario.next_runs.problems()
    scenario.run = run
    ended_well = run.status == "SUCCEEDED" or (built_by_other and run.error in _FINISHED)
    scenario.require(ended_well, f"redriven, it ended as {errors}: {run.cause[:300]}")


def _check_order(scenario: Scenario, run: Run, entries: list[tuple[str, str]]) -> None:
    """Require that no other run built before the redriven run freed the lock."""
    # With more than one lock, or once the redriven run has lost the lock while it waited for a redrive, one may.
    if "lockScope" in scenario.world.configuration or (run.status != "SUCCEEDED" and scenario.cell.state == "RunBuild"):
        return
    built = [index for index, (arn, state) in enumerate(entries) if state == "RunBuild" and arn != run.arn]
    freed = [entries.index((run.arn, state)) for state in _FREES if (run.arn, state) in entries]
    if built and freed and built[0] < freed[0]:
        scenario.problems.append("a tick built while a redrive was under way")


def _tick_during_redrive(scenario: Scenario) -> None:
    """Let the delayed effects happen and the schedule tick, when the redriven execution enters RunBuild."""
    world = scenario.world
    status, lock = world.status(scenario.card), world.local.lock()
    run_delayed_effects(scenario, scenario.run.arn)
    if scenario.cell.event == LATE:
        scenario.require(world.status(scenario.card) == status, "a late clean-up moved the card of a live run")
    ticked = execution_of(world.local.tick())
    if lock and lock["owner"]["S"] == scenario.run.arn and "lockScope" not in world.configuration:
        assert ticked._drive is not None
        assert ticked._drive.concluded.wait(PATIENCE)


CONTINUE: dict[str, Callable[[Scenario], None]] = {NOTHING: do_nothing, TICK: tick, REPLAY: replay, REDRIVE: redrive}


def check_invariants(scenario: Scenario, continuation: str) -> None:
    """Note every invariant that does not hold."""
    world, status = scenario.world, scenario.world.status(scenario.card)
    scenario.problems += scenario.observer.violations
    reported = not (
        continuation == NOTHING and (scenario.cell.event == LOST or scenario.cell.state.startswith(CLEAN_UP))
    )
    if scenario.cell.kind in ENDINGS and continuation == NOTHING and scenario.cell.kind not in _NOT_FAILURES:
        scenario.require(scenario.run.status == "FAILED", "a build that failed was not the end of the run")
        # For five minutes the idempotency token would give a retry the same build, and after that a new one.
        tried = scenario.run.transitions == len(scenario.run.states) and names(scenario.run).count("RunBuild") == 1
        scenario.require(tried, "a build that ran was retried")
    if continuation != NOTHING:
        lock = world.local.lock()
        scenario.require(lock is None, f"the lock is still held by {lock and lock['owner']}")
        scenario.require(status != "In Progress", "the card is in progress, and no run works on it")
    if scenario.cell.kind == "start-lost" and continuation == NOTHING:
        scenario.require(builds_of(scenario) == 1, f"a start that was retried made {builds_of(scenario)} builds")
    if scenario.cell.is_retried_away and continuation == NOTHING:
        expected = (
            ("SUCCEEDED", "")
            if not scenario.cell.first
            else (scenario.run.status, _FIRST_ENDS.get(scenario.cell.first, ""))
        )
        scenario.require(
            (scenario.run.status, scenario.run.error) == expected,
            f"the retry did not absorb the fault: {observe(scenario)}",
        )
    if scenario.cell.state in STARTS and not scenario.cell.ends_execution and continuation == NOTHING:
        end = ("FAILED", _FIRST_ENDS[scenario.cell.first]) if scenario.cell.first else ("SUCCEEDED", "")
        changed = (scenario.run.status, scenario.run.error) != end
        scenario.require(not changed, f"a start that failed changed the end of the run: {observe(scenario)}")
    if scenario.cell.kind == "upload-failed" and continuation == NOTHING:
        scenario.require(scenario.run.status == "SUCCEEDED", "a run whose work is pushed failed")
    if status == "In Review":
        scenario.require(scenario.pushed, "the card is in review, and the work is not on the branch")
    elif scenario.pushed and continuation != NOTHING:
        scenario.require(False, f"the work is on the branch, and the card is in {status}")
    most = _MOST_TURNS[continuation]
    scenario.require(scenario.turns <= most, f"the agent ran {scenario.turns} times for one card and commit")
    for commit, number in builds_with_agent(scenario).items():
        scenario.require(number <= 2 + scenario.acts, f"{number} builds for the commit {commit}")
    scenario.problems += scenario.next_runs.problems()
    comments = [[comment.body for comment in pull_request.comments] for pull_request in world.repository.pull_requests]
    scenario.require(all(len(bodies) <= 1 for bodies in comments), f"more than one comment: {comments}")
    if status == "In Review" and reported and comments[0]:
        scenario.require("✅" in comments[0][0], f"in review, and the comment says {comments[0][0][:80]}")
    if scenario.turns and not scenario.pushed:
        stopped = scenario.cell.kind.endswith("-during")
        scenario.require(scenario.kept or stopped, "the agent's work is neither on the branch nor on the checkpoint")
    known = world.local.aws.executions.undocumented
    # Without one of them, MarkInProgress cannot know that its own clean-up moved the card, and raises WorkItemMoved.
    knows_redrive = known.redrive_evaluates_arguments and known.redrive_refreshes_context
    quiet_end = scenario.cell.state in _WITHOUT_CARD or scenario.run.outcome == "WorkInProgressElsewhere"
    if continuation == REDRIVE and scenario.run.status == "SUCCEEDED" and not quiet_end and knows_redrive:
        scenario.require(status == "In Review", f"the run succeeded, and the card is in {status}")


def builds_of(scenario: Scenario) -> int:
    wanted = {"name": "EXECUTION_ARN", "value": scenario.run.arn}
    started = [build.request.get("environmentVariablesOverride", ()) for build in _builds(scenario.world)]
    return sum(any(wanted.items() <= dict(variable).items() for variable in variables) for variables in started)


def builds_with_agent(scenario: Scenario) -> Counter[str]:
    """How many builds of the card have given an agent the spec, by commit."""
    return Counter(
        variable_of(build, "COMMIT_SHA")
        for build in _builds(scenario.world)
        if variable_of(build, "WORK_ITEM_ID") == scenario.card.id
        and (build.facts.build_id in scenario.observer.with_agent or _ends_after_agent(build.run.plan.ending))
    )


def _ends_after_agent(ending: BuildEnding | None) -> bool:
    """Whether a build that ran nothing stands for one whose agent has worked."""
    if ending is None:
        return False
    return ending.phase not in _BEFORE_AGENT and ending.exported.get("OUTCOME") != Outcome.AGENT_UNAVAILABLE


def _builds(world: World) -> list[Build]:
    return list(world.local.aws.builds._builds.values())


def observe(scenario: Scenario) -> dict[str, Any]:
    """The result as people see it."""
    lock = scenario.world.local.lock()
    return {
        "run": " ".join(filter(None, (scenario.run.status, scenario.run.error))),
        "card": scenario.world.status(scenario.card),
        "lock": "held" if lock else "free",
        "work": "branch" if scenario.pushed else "checkpoint" if scenario.kept else "none",
    }


def fingerprint(scenario: Scenario, continuation: str) -> str:
    """Everything that decides the result of this continuation: equal fingerprints have equal results."""
    observed = observe(scenario)
    if continuation in (TICK, REPLAY):
        del observed["run"]
    observed["comment"] = [body[:40].partition("*")[0] for body in scenario.world.comments()]
    observed["cards"] = len(scenario.world.project.items)
    observed["scope"] = scenario.world.configuration.get("lockScope")
    observed["reportPending"] = (
        [key for key in lock_items(scenario.world)[0] if key == "reportPending"] if lock_items(scenario.world) else []
    )
    breaker = read_breaker(scenario.world.records())
    observed["stopped"] = [breaker.is_open, breaker.is_paused]
    observed["rejected"] = sorted(read_rejections(scenario.world.records(), [scenario.card.id]))
    observed["recorded"] = read_run(scenario.world.records(), scenario.run.arn) is not None
    if scenario.delayed:
        observed["late"] = scenario.cell.event or scenario.cell.state
    if continuation == REDRIVE:
        last = scenario.run.states[-1]
        failure = last.document.get("failure") or {}
        observed["at"] = [last.name, sorted(last.document), failure.get("state"), failure.get("redriveCount")]
    if continuation == NOTHING:
        observed["cell"] = scenario.cell.id
    return json.dumps(observed, sort_keys=True)


def lock_items(world: World) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = world.local.client("dynamodb").scan(TableName="kiro-worker-test-locks")["Items"]
    return items
