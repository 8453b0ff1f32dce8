"""The lock under every order of requests that hypothesis generates.

Several owners acquire, take over, check, release and clean up at once, each with its own clock, while executions end
and are redriven, answers are lost, and a person deletes and edits the item. After every request, a model decides
whether that change to the item was allowed.

The same histories run against two DynamoDB servers. They also run against locks that lack one condition each, which
the model must detect.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, ClassVar, Final

import boto3
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from kiro_worker.errors import LockHeld, LockLost
from kiro_worker.lock import store, table
from kiro_worker.lock.item import Holder, Subject
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.release import release
from kiro_worker.models import Lease
from kiro_worker.state import StateDocument, StepEvent
from tests.support.interleaving import Fate, Operation, SteppedDynamoDB
from tests.support.lock_table import EXECUTION, LEASE_SECONDS, NOW, STRANGER, TABLE, create_lock_table

KEY: Final = {"lockKey": {"S": BASE_KEY}}
EXECUTIONS: Final = tuple(EXECUTION.format(name) for name in "abc")
BY_HAND: Final = "arn:aws:codebuild:us-east-1:123456789012:build/kiro-worker-test:by-hand"
OWNERS: Final = (*EXECUTIONS, BY_HAND)
# Two per owner, which is one more than there should be.
BUILDS: Final = tuple(f"kiro-worker-test:{number}" for number in range(2 * len(OWNERS)))
SKEWS: Final = st.sampled_from([-300.0, 0.0, 300.0])
INDEX: Final = st.integers(0, 7)
# How many requests an operation sends before something else happens; 9 means all of them.
AHEAD: Final = st.sampled_from([0, 1, 2, 9, 9])
FATES: Final = st.sampled_from([Fate.ANSWERED] * 6 + [Fate.SENT_AGAIN, Fate.LOST, Fate.KILLED])


@dataclass
class Ongoing:
    """An operation that has started and not ended, with what the model needs in order to judge it."""

    kind: str
    operation: Operation
    owner: str
    started: int
    lease: Lease | None = None
    build: str = ""
    ended_at: float = 0
    disturbed: bool = False
    lost: bool = False
    observed: list[Holder] = field(default_factory=list)


@dataclass(frozen=True)
class Event:
    """The Step Functions event that an execution has ended."""

    owner: str
    ended_at: float


class LockModel(RuleBasedStateMachine):
    """The histories and their model; ``moment`` counts everything that happens.

    ``last_running`` and ``last_stopped`` map each owner and build to the last moment when it ran, and did not run.
    """

    client: Any
    lock_module: ModuleType = table
    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.client.delete_item(TableName=TABLE, Key=KEY)
        self.now, self.moment = NOW, 0
        self.running: set[str] = set(OWNERS)
        self.last_running: dict[str, int] = {}
        self.last_stopped: dict[str, int] = {}
        self.ongoing: list[Ongoing] = []
        self.leases: list[Lease] = []
        self.events: list[Event] = []
        self.item = Holder(BASE_KEY)
        self.held_since = 0
        self.taken_at = 0.0
        self.last_fence = 0
        self.judging = False
        self._pass_moment()

    # ------------------------------------------------------------------------------------ operations that may start
    @rule(owner=st.sampled_from([*OWNERS, "the holder"]), skew=SKEWS, ahead=AHEAD)
    def acquire(self, owner: str, skew: float, ahead: int) -> None:
        if owner == "the holder":
            owner = self.item.owner if self.item.owner in OWNERS else EXECUTIONS[0]
        ongoing = self._start("acquire", owner, skew, lambda locks: locks.acquire(BASE_KEY, owner))
        self._go(ongoing, ahead)

    @precondition(lambda self: self.leases)
    @rule(which=INDEX, second_build=st.booleans(), skew=SKEWS, ahead=AHEAD)
    def ensure(self, which: int, second_build: bool, skew: float, ahead: int) -> None:
        """A build checks the lock under any lease that was ever granted, even a stale one."""
        lease = self.leases[-1 - which % len(self.leases)]
        build = BUILDS[2 * OWNERS.index(lease.owner) + second_build]
        # A build is a single process, which does one thing at a time.
        if any(ongoing.build == build for ongoing in self.ongoing):
            return
        self.running.add(build)
        ongoing = self._start(
            "ensure", lease.owner, skew, lambda locks: locks.ensure(lease, Subject(build_id=build)), lease, build
        )
        self._go(ongoing, ahead)

    @precondition(lambda self: self.leases)
    @rule(which=INDEX, ahead=AHEAD)
    def release(self, which: int, ahead: int) -> None:
        lease = self.leases[-1 - which % len(self.leases)]
        self._go(self._start("release", lease.owner, 0, lambda locks: locks.release(lease), lease), ahead)

    @precondition(lambda self: self.events)
    @rule(which=INDEX, ahead=AHEAD)
    def clean_up_after(self, which: int, ahead: int) -> None:
        self.clean_up(which, ahead)

    def clean_up(self, which: int, ahead: int) -> None:
        """Clean up after any event so far: late, or for the second time."""
        event = self.events[-1 - which % len(self.events)]
        step = StepEvent(event.owner, 0, {}, "ReleaseLock", StateDocument(ended_at=int(event.ended_at * 1000)))
        ongoing = self._start("clean_up", event.owner, 0, lambda locks: release(locks, step))
        if ongoing:
            ongoing.ended_at = event.ended_at
        self._go(ongoing, ahead)

    # ------------------------------------------------------------------------------------ events between requests
    @precondition(lambda self: self.ongoing)
    @rule(steps=st.lists(st.tuples(INDEX, FATES), min_size=1, max_size=8))
    def go_on(self, steps: list[tuple[int, Fate]]) -> None:
        for which, fate in steps:
            if self.ongoing:
                self._step(self.ongoing[which % len(self.ongoing)], fate)

    @precondition(lambda self: self.running & set(OWNERS))
    @rule(which=INDEX)
    def end(self, which: int) -> None:
        """End an execution, or the build that was started by hand."""
        running = sorted(self.running & set(OWNERS))
        self._end(running[which % len(running)])

    @precondition(lambda self: self.item.owner in self.running)
    @rule(at_once=st.booleans())
    def end_holder(self, at_once: bool) -> None:
        self._end(self.item.owner)
        if at_once and self.events:
            self.clean_up(0, 9)

    def _end(self, owner: str) -> None:
        self.running.remove(owner)
        self._disturb_all()
        if owner != BY_HAND:
            self.events.append(Event(owner, self.now))

    @precondition(lambda self: set(EXECUTIONS) - self.running)
    @rule(which=INDEX)
    def redrive(self, which: int) -> None:
        ended = sorted(set(EXECUTIONS) - self.running)
        self.running.add(ended[which % len(ended)])
        self._disturb_all()

    @precondition(lambda self: self.running - set(OWNERS))
    @rule(which=INDEX)
    def end_build(self, which: int) -> None:
        builds = sorted(self.running - set(OWNERS))
        self.running.discard(builds[which % len(builds)])
        self._disturb_all()

    @rule(seconds=st.sampled_from([0.001, 1.0, 240.0, LEASE_SECONDS / 2, LEASE_SECONDS - 100.0, LEASE_SECONDS + 301.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._disturb_all()

    @rule(
        edit=st.sampled_from(
            [
                *("DELETE", "REMOVE #owner", "REMOVE fence", "REMOVE expiresAt", "SET fence = :text"),
                *("SET expiresAt = :text", "SET acquiredAt = :text", "SET #owner = :stranger", "SET expiresAt = :past"),
            ]
        )
    )
    def edit_by_hand(self, edit: str) -> None:
        if edit == "DELETE":
            self.client.delete_item(TableName=TABLE, Key=KEY)
        else:
            values = {
                ":text": {"S": "by hand"},
                ":stranger": {"S": STRANGER},
                ":past": {"N": str(int(self.now * 1000) - 1)},
            }
            used = {name: value for name, value in values.items() if name in edit}
            self.client.update_item(
                TableName=TABLE,
                Key=KEY,
                UpdateExpression=edit,
                **({"ExpressionAttributeNames": {"#owner": "owner"}} if "#owner" in edit else {}),
                **({"ExpressionAttributeValues": used} if used else {}),
            )
        self.item = self._read()
        self.held_since, self.last_fence, self.taken_at = self.moment, 0, 0.0
        self._disturb_all()

    # ------------------------------------------------------------------------------------ what must hold at the end
    def teardown(self) -> None:
        """Let every operation and execution end: after that, a single call acquires the lock."""
        if self.judging:
            for ongoing in self.ongoing:
                if not ongoing.operation.done:
                    ongoing.operation.step(Fate.KILLED)
            return
        while self.ongoing:
            self._step(self.ongoing[0], Fate.ANSWERED)
        self.running.clear()
        if self.item.owner == STRANGER:
            self.now = max(self.now, self.item.expires_at) + 901
        self.running.add(EXECUTIONS[0])
        self._pass_moment()
        self._go(self._start("acquire", EXECUTIONS[0], 0.0, lambda locks: locks.acquire(BASE_KEY, EXECUTIONS[0])), 9)
        assert not self.ongoing
        assert self.item.owner == EXECUTIONS[0]

    # ------------------------------------------------------------------------------------ the model
    def _start(
        self,
        kind: str,
        owner: str,
        skew: float,
        call: Callable[[Any], object],
        lease: Lease | None = None,
        build: str = "",
    ) -> Ongoing | None:
        if len(self.ongoing) >= 4:
            return None

        def run(request: Callable[[Callable[[], Any]], Any]) -> object:
            def is_running(name: str) -> bool | None:
                answer: bool | None = request(lambda: name in self.running if ":" in name else None)
                return answer

            return call(
                self.lock_module.LockTable(
                    SteppedDynamoDB(self.client, request), TABLE, LEASE_SECONDS, is_running, lambda: self.now + skew
                )
            )

        self._pass_moment()
        ongoing = Ongoing(kind, Operation(run), owner, self.moment, lease, build)
        self.ongoing.append(ongoing)
        return ongoing

    def _go(self, ongoing: Ongoing | None, ahead: int) -> None:
        while ongoing and not ongoing.operation.done and ahead:
            self._step(ongoing, Fate.ANSWERED)
            ahead -= 1

    def _step(self, ongoing: Ongoing, fate: Fate) -> None:
        self._pass_moment()
        self.judging = True
        ongoing.lost |= fate is not Fate.ANSWERED
        ongoing.operation.step(fate)
        before, self.item = self.item, self._read()
        ongoing.observed.append(self.item)
        if self.item != before:
            self._judge(ongoing, before, self.item)
            for other in self.ongoing:
                other.disturbed |= other is not ongoing
        if ongoing.operation.done:
            self.ongoing.remove(ongoing)
            self._judge_end(ongoing)
        self.judging = False

    def _judge(self, ongoing: Ongoing, old: Holder, new: Holder) -> None:
        """Assert that ``ongoing`` was allowed to change the item this way."""
        self.counts[ongoing.kind] += 1
        if new.owner:
            assert new.owner == ongoing.owner
        renewed = ongoing.kind == "ensure" and (old.owner, old.fence) == (new.owner, new.fence)
        if ongoing.kind in ("release", "clean_up"):
            assert not new.owner
            # A redriven execution has made the report that its clean-up left pending.
            reported = ongoing.kind == "release" and not old.owner and not new.report_pending
            assert (old.report_pending if reported else old.owner) == ongoing.owner
            assert new.fence == old.fence
            if ongoing.lease:
                assert old.fence == ongoing.lease.fence
            else:
                assert old.acquired_timestamp < ongoing.ended_at
                assert self._was_stopped(ongoing.owner, ongoing.started)
        elif renewed:
            assert ongoing.lease
            assert old.fence == ongoing.lease.fence or old.subject.build_id == ongoing.build
            self._judge_doubles(ongoing, old)
        else:
            assert new.fence > self.last_fence
            if ongoing.kind == "ensure":
                assert ongoing.lease
                assert new.fence > ongoing.lease.fence
                assert old.owner in ("", ongoing.owner)
                assert not old.owner or old.fence < ongoing.lease.fence, "a later attempt of the execution holds it"
                self._judge_doubles(ongoing, replace(old, subject=Subject()))
            elif old.owner not in ("", ongoing.owner):
                self._judge_takeover(ongoing, old)
        if not renewed:
            self.held_since, self.taken_at = self.moment, self.now
            self.last_fence = max(self.last_fence, new.fence)

    def _judge_takeover(self, ongoing: Ongoing, old: Holder) -> None:
        self.counts["takeover"] += 1
        if old.owner == STRANGER:
            assert self.now + 1 >= max(self.taken_at + LEASE_SECONDS if self.taken_at else 0, old.expires_at)
        else:
            assert self._was_stopped(old.owner, max(ongoing.started, self.held_since)), "the holder was active"

    def _judge_doubles(self, ongoing: Ongoing, old: Holder) -> None:
        assert self.last_running.get(ongoing.owner, -1) >= ongoing.started, "the execution of the build had ended"
        other = old.subject.build_id
        if other not in ("", ongoing.build):
            assert self._was_stopped(other, ongoing.started), "two builds of one execution hold the lock"

    def _judge_end(self, ongoing: Ongoing) -> None:
        """Assert that ``ongoing`` was allowed to end this way."""
        result, error = ongoing.operation.result, ongoing.operation.error
        if isinstance(result, Lease):
            if ongoing.kind == "ensure":
                last = ongoing.observed[-1]
                assert (last.owner, last.fence, last.subject.build_id) == (ongoing.owner, result.fence, ongoing.build)
            assert any((holder.owner, holder.fence) == (ongoing.owner, result.fence) for holder in ongoing.observed)
            self.leases.append(result)
            self.counts[f"{ongoing.kind}d"] += 1
        if ongoing.lost:
            return
        assert error is None or isinstance(error, LockHeld | LockLost), error
        if isinstance(error, LockHeld):
            self.counts["LockHeld"] += 1
            assert any(holder.owner not in ("", ongoing.owner) for holder in ongoing.observed)
        if isinstance(error, LockLost):
            self.counts["LockLost"] += 1
        if not ongoing.disturbed:
            self._judge_undisturbed(ongoing)

    def _judge_undisturbed(self, ongoing: Ongoing) -> None:
        """Assert the result of an operation that ran without interference, which is fully determined."""
        error, item = ongoing.operation.error, self.item
        if ongoing.kind == "acquire" and error:
            expired = item.expires_at + 900 < self.now
            assert item.owner in self.running or (item.owner == STRANGER and not expired), "the holder was not active"
        if ongoing.kind == "ensure" and error:
            assert ongoing.lease
            other = item.subject.build_id not in ("", ongoing.build) and item.subject.build_id in self.running
            ours = (item.owner, item.fence) == (ongoing.owner, ongoing.lease.fence) and not other
            assert ongoing.owner not in self.running or (item.owner and not ours)
        if ongoing.kind == "release" and ongoing.lease:
            assert (item.owner, item.fence) != (ongoing.lease.owner, ongoing.lease.fence)

    def _was_stopped(self, name: str, since: int) -> bool:
        return self.last_stopped.get(name, -1) >= since

    def _disturb_all(self) -> None:
        for ongoing in self.ongoing:
            ongoing.disturbed = True
        self._pass_moment()

    def _pass_moment(self) -> None:
        self.moment += 1
        for name in (*OWNERS, *BUILDS):
            (self.last_running if name in self.running else self.last_stopped)[name] = self.moment

    def _read(self) -> Holder:
        item = self.client.get_item(TableName=TABLE, Key=KEY, ConsistentRead=True).get("Item")
        return Holder.from_item(item) if item else Holder(BASE_KEY)


def explore(
    client: Any, examples: int, module: ModuleType = table, phases: tuple[Phase, ...] = tuple(Phase)
) -> Counter[str]:
    """Run the same histories as always against ``client``; returns how often each kind of event occurred."""
    counts: Counter[str] = Counter()
    machine = type("Machine", (LockModel,), {"client": client, "lock_module": module, "counts": counts})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            derandomize=True,
            database=None,
            deadline=None,
            print_blob=False,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return counts


def test_lock_holds_in_every_history(aws_of_each: dict[str, Any]) -> None:
    client = boto3.client("dynamodb", **aws_of_each)
    create_lock_table(client)
    counts = explore(client, examples=30)
    assert counts.keys() >= {"acquired", "takeover", "LockHeld", "LockLost", "release"}


@dataclass(frozen=True)
class Mutant:
    """``original`` occurs once in ``module`` and is replaced with ``replacement``."""

    module: ModuleType
    original: str
    replacement: str


MUTANTS: Final = {
    "release without the fence": Mutant(
        store, '"#owner = :owner AND fence = :fence"', '"#owner = :owner AND :fence = :fence"'
    ),
    "acquire without the fence": Mutant(store, 'fence < :fence)"', ':fence = :fence)"'),
    "fence taken from the clock alone": Mutant(table, "max(int(now * 1000), above + 1)", "int(now * 1000)"),
    "takeover of an active holder": Mutant(table, "and self.still_active_after_stop(taken)", "and False"),
    "ensure takes from another owner": Mutant(
        table, "(holder.owner != lease.owner or holder.fence >", "(holder.fence >"
    ),
}


def load_mutant(mutant: Mutant) -> ModuleType:
    """The lock table's module with ``mutant`` in it or in the store that it uses."""
    planted, lock_table = ModuleType("planted"), ModuleType("lock_table")
    source = inspect.getsource(mutant.module)
    assert source.count(mutant.original) == 1, "the lock has changed, so the mutant must change too"
    exec(source.replace(mutant.original, mutant.replacement), planted.__dict__)  # noqa: S102  # our own source
    if mutant.module is table:
        return planted
    exec(inspect.getsource(table), lock_table.__dict__)  # noqa: S102  # our own source
    lock_table.__dict__["LockStore"] = planted.__dict__["LockStore"]
    return lock_table


@pytest.mark.parametrize("name", MUTANTS)
def test_model_detects_missing_condition(name: str, aws_of_dynalite: dict[str, Any]) -> None:
    client = boto3.client("dynamodb", **aws_of_dynalite)
    create_lock_table(client)
    with pytest.raises(AssertionError):
        explore(client, examples=100, module=load_mutant(MUTANTS[name]), phases=(Phase.generate,))
