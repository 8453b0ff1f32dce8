"""Discrete events: runs that work off a queue, with the worker's own code for the queue, the lock and the slots.

The clock is simulated. FetchWorkItem, AcquireLock and ReleaseLock run as they are deployed, on a DynamoDB in memory and
a GitHub that answers from a board in memory. The other steps only take their time and count their requests. Every run
walks through ``statemachine/work_item.asl.json``, whose conditions are evaluated. There are no faults and no retries.
"""

from __future__ import annotations

import itertools
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from bench.queue_meter import Meter
from bench.queue_parameters import MEMORY_GB, MUTATIONS, OPERATIONS
from bench.queue_scenario import EPOCH, LEASE_SECONDS, WORKFLOW, Scenario, SimulatedRun, choose
from bench.queue_services import SimulatedDynamoDB, SimulatedGitHub
from bench.queue_timeline import Functions, Timeline
from kiro_worker.config.model import Configuration
from kiro_worker.errors import KiroWorkerError, WorkItemInvalid, WorkItemMoved
from kiro_worker.github.selection import ExecutionInput
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import lock_key
from kiro_worker.lock.release import release, release_slot
from kiro_worker.lock.slots import acquire_with_slot, keep_slot
from kiro_worker.lock.table import LockTable
from kiro_worker.models import Failure, Lease
from kiro_worker.outcomes import Outcome
from kiro_worker.ownership import owner_of
from kiro_worker.records.table import RecordsTable
from kiro_worker.state import StateDocument, StepEvent, require
from kiro_worker.work_queue import QueueEdges, fetch_work_item

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping

    from bench.queue_services import SimulatedCard
    from kiro_worker.github.client import GitHubSession


class BuildFailed(Exception):
    """The build failed with the outcome TestsFailed."""


class Simulation:
    """One scenario. ``meter`` has what happened, ``runs`` the runs, and ``waits`` how long each card waited."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.meter = Meter()
        self.runs: list[SimulatedRun] = []
        self.built: list[str] = []
        self.waits: list[float] = []
        configuration = self.configuration = scenario.configuration
        self.latencies = scenario.latencies
        self.locked, self.recorded = SimulatedDynamoDB(self.count), SimulatedDynamoDB(self.count)
        self.github = SimulatedGitHub(
            scenario.cards,
            self.count,
            [status for status in configuration.statuses if status],
            configuration.target_status_column,
        )
        self._running: set[str] = set()
        self._building: set[str] = set()
        self._timeline = Timeline()
        self._functions = Functions(scenario.latencies.keep_warm)
        self._serial = itertools.count(1)
        self._open = {card.id for card in scenario.cards if card.ready}
        for card in scenario.cards:
            card.moved_at = EPOCH
        dynamodb: Any = self.locked
        self.locks = LockTable(dynamodb, "locks", LEASE_SECONDS, self._is_running, self._epoch, lambda _: None)
        dynamodb = self.recorded
        self.records = RecordsTable(dynamodb, "records", self._epoch)
        stepfunctions: Any = self
        self._edges = QueueEdges(self.locks, self.records, stepfunctions, lambda: configuration, self._session)

    @property
    def makespan(self) -> float:
        """How long it took from the moment when the cards were moved until the last build ended, or until now."""
        ends = self.meter.times("builds")[-1:]
        return min([self.now, *ends])

    @property
    def slot_use(self) -> float:
        """The share of the slots' time in which a build ran."""
        slots = self.configuration.max_concurrent_builds or len({card.repository for card in self.scenario.cards})
        slots = 1 if self.configuration.lock_scope == "environment" else slots
        return self.meter.duration("builds", self.makespan) / (slots * self.makespan)

    @property
    def now(self) -> float:
        """Seconds since the start, with those that the step which runs now has spent on requests."""
        return self._timeline.now

    def run(self) -> None:
        """Tick and follow what happens until every card that can be built is done and no run is left."""
        self._timeline.add(self._ticks(), self.scenario.first_tick)
        most = self.scenario.builds
        self.follow(lambda: most is not None and len(self.built) >= most)

    def follow(self, is_enough: Callable[[], bool] = lambda: False) -> None:
        """Follow what happens until nothing more does, or it ``is_enough``."""
        self._timeline.follow(is_enough)

    def occupy(self, key: str, card: str = "") -> None:
        """Let an execution that never ends hold the lock or slot ``key``, perhaps for a card."""
        owner = f"arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:holder-{next(self._serial)}"
        self._running.add(owner)
        self.locks.acquire(key, owner, Subject(card))
        self._timeline.take_spent()

    def start(self, trigger: str) -> SimulatedRun:
        """Start an execution."""
        arn = f"arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:{next(self._serial)}"
        run = SimulatedRun(arn, trigger)
        self.runs.append(run)
        self._running.add(arn)
        self.meter.note("starts", self.now)
        self._timeline.add(self._execute(run), self.latencies.start)
        return run

    def count(self, series: str, amount: float) -> None:
        """Count a request of the step that runs now, which waits for the answer."""
        self.meter.note(series, self.now, amount)
        if series in ("dynamodb", "describes"):
            self._timeline.spent += self.latencies.aws
        elif series == "github":
            self._timeline.spent += self.latencies.github

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803  # boto3's name
        """Step Functions' answer about an execution."""
        self.count("describes", 1)
        return {"status": "RUNNING" if executionArn in self._running else "SUCCEEDED", "redriveCount": 0}

    def _is_running(self, owner: str) -> bool:
        if ":build:" in owner:
            return owner in self._building
        return bool(self.describe_execution(executionArn=owner)["status"] == "RUNNING")

    def _epoch(self) -> float:
        return EPOCH + self.now

    @asynccontextmanager
    async def _session(self, _: Configuration) -> AsyncIterator[GitHubSession]:
        yield cast("GitHubSession", self.github)

    def _ticks(self) -> Generator[float, None, None]:
        while self._open:
            self.start("schedule")
            yield self.scenario.schedule_minutes * 60

    def _execute(self, run: SimulatedRun) -> Generator[float, None, None]:
        """Walk through the workflow."""
        name = WORKFLOW["StartAt"]
        while name:
            state = WORKFLOW["States"][name]
            run.states.append(name)
            self.meter.note("transitions", self.now)
            yield self.latencies.transition
            match state["Type"]:
                case "Choice":
                    name = choose(name, json.dumps(run.for_choice(), sort_keys=True))
                case "Task":
                    name = yield from self._task(name, state, run)
                case _:
                    name = ""
        self._running.discard(run.arn)

    def _task(self, name: str, state: Mapping[str, Any], run: SimulatedRun) -> Generator[float, None, str]:
        """Do the work of a Task, and return the name of the next state; empty if the run failed."""
        try:
            if state["Resource"].endswith(":lambda:invoke"):
                yield from self._invoke(name, state["Arguments"]["FunctionName"], run)
            elif state["Resource"].endswith(":states:startExecution"):
                yield self.latencies.aws
                if self.scenario.chains:
                    self.start(state["Arguments"]["Input"]["trigger"])
            else:
                yield from self._build(run)
        except (KiroWorkerError, BuildFailed) as error:
            return self._caught(name, state, run, error)
        return str(state["Next"])

    def _caught(self, name: str, state: Mapping[str, Any], run: SimulatedRun, error: Exception) -> str:
        failed = Outcome.TESTS_FAILED if isinstance(error, BuildFailed) else type(error).__name__
        for catch in state.get("Catch", ()):
            if {failed, "States.ALL"} & set(catch["ErrorEquals"]):
                failure = Failure(name, failed, json.dumps({"errorMessage": str(error)}))
                run.document = replace(run.document, failure=failure)
                return str(catch["Next"])
        return ""

    def _invoke(self, name: str, function: str, run: SimulatedRun) -> Generator[float, None, None]:
        """Run a step's code at one moment, after the start of its function and before the time of its requests."""
        started = self.now
        is_warm = self._functions.take(function, started)
        yield self.latencies.warm + (0 if is_warm else self.latencies.cold)
        raised: Exception | None = None
        try:
            self._steps[name](self, run)
        except KiroWorkerError as error:
            raised = error
        yield self._timeline.take_spent()
        self._functions.give_back(function, self.now)
        self.meter.note("invocations", started)
        self.meter.during("functions", started, self.now)
        self.meter.note("gigabyte seconds", started, (self.now - started) * MEMORY_GB)
        if raised:
            raise raised

    def _fetch(self, run: SimulatedRun) -> None:
        request = {"trigger": run.trigger}
        event = StepEvent(run.arn, 0, request, "FetchWorkItem", run.document)
        fetched = _result(fetch_work_item(event, ExecutionInput.parse(request), self._edges))
        run.document = StateDocument(request, fetched.skipped, fetched.item)
        run.end = fetched.end

    def _validate(self, run: SimulatedRun) -> None:
        self._send("ValidateWorkItem")
        if not self._card(run).ready:
            raise WorkItemInvalid("the branch does not exist", "push it")

    def _reject(self, run: SimulatedRun) -> None:
        self._report("RejectWorkItem", run, self.configuration.blocked_status)

    def _acquire(self, run: SimulatedRun) -> None:
        card = self._card(run)
        key = lock_key(self.configuration, card.repository, card.branch)
        subject = Subject(card.id, card.repository, card.branch)
        lease = acquire_with_slot(self.locks, self.configuration, key, run.arn, subject)
        run.document = replace(run.document, lease=lease)

    def _mark_in_progress(self, run: SimulatedRun) -> None:
        card = self._card(run)
        if card.status != self.configuration.target_status_column:
            self._send("MarkInProgress")
            raise WorkItemMoved(f"the card {card.id} is in {card.status}", "leave it")
        self.waits.append(self._epoch() - card.moved_at)
        self._report("MarkInProgress", run, self.configuration.in_progress_status)

    def _build(self, run: SimulatedRun) -> Generator[float, None, None]:
        card, lease = self._card(run), require(run.document.lease, "lease")
        build = f"kiro-worker-test:build:{next(self._serial)}"
        self._building.add(build)
        self.built.append(card.id)
        self.meter.during("builds", self.now, self.now + card.seconds)
        self._hold(lease, card, build)
        yield card.seconds
        self._building.discard(build)
        yield self.latencies.notice
        if card.fails:
            raise BuildFailed("the tests failed")

    def _hold(self, lease: Lease, card: SimulatedCard, build: str) -> None:
        """What the runner does first: it records the build in the lock and in the slot."""
        subject = Subject(card.id, card.repository, card.branch, build)
        self.locks.ensure(lease, subject)
        keep_slot(self.locks, self.configuration, lease, subject)
        self._timeline.take_spent()  # the build's own time includes it

    def _mark_in_review(self, run: SimulatedRun) -> None:
        self._report("MarkInReview", run, self.configuration.review_status)
        run.is_reported = True

    def _mark_failed(self, run: SimulatedRun) -> None:
        self._report("MarkFailed", run, self.configuration.failed_status)

    def _release(self, run: SimulatedRun) -> None:
        self.describe_execution(executionArn=run.arn)
        event = StepEvent(run.arn, 0, {}, run.states[-1], run.document)
        release_slot(self.locks, event)
        release(self.locks, event)
        if run.document.failure:
            run.owner = owner_of(run.document.failure) or ""

    def _fail(self, run: SimulatedRun) -> None:
        raise WorkItemInvalid(require(run.document.failure, "failure").error, "see the card")

    def _report(self, state: str, run: SimulatedRun, status: str | None) -> None:
        self._send(state)
        card = self._card(run)
        if status is not None:
            self.github.move(card, status, self._epoch())
            if status not in (self.configuration.target_status_column, self.configuration.in_progress_status):
                self._open.discard(card.id)

    def _send(self, state: str) -> None:
        self.github.send(OPERATIONS[state], MUTATIONS)

    def _card(self, run: SimulatedRun) -> SimulatedCard:
        return self.github.cards[require(run.document.item, "item").id]

    _steps: Final[Mapping[str, Callable[[Simulation, SimulatedRun], None]]] = {
        "FetchWorkItem": _fetch,
        "ValidateWorkItem": _validate,
        "RejectWorkItem": _reject,
        "AcquireLock": _acquire,
        "MarkInProgress": _mark_in_progress,
        "ReadBuildResult": lambda _, __: None,
        "MarkInReview": _mark_in_review,
        "MarkFailed": _mark_failed,
        "ReleaseLock": _release,
        "ReleaseLockAfterFailure": _release,
        "FailRun": _fail,
    }


def _result(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        return stopped.value
    raise RuntimeError("the simulated GitHub answers at once")
