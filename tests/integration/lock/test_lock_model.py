"""The lock under every order of requests that hypothesis thinks of: several acquire, take over, check, release and
clean up at once, each with a clock of its own, while executions end and are redriven, answers are lost, and a person
deletes and edits the item. After each single request a model says whether that change of the item was allowed.

The same histories run against two DynamoDBs, and against the lock with one of its conditions taken out, which the
model must find.
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
from kiro_worker.lock import table
from kiro_worker.lock.item import Holder, Subject
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.release import release
from kiro_worker.models import Lease
from kiro_worker.state import StateDocument, StepEvent
from tests.support.interleaving import Fate, Operation, SteppedDynamoDB

TABLE: Final = "kiro-worker-test-locks"
KEY: Final = {"lockKey": {"S": BASE_KEY}}
LEASE: Final = 7200
BEGIN: Final = 1_763_900_000.0
EXECUTIONS: Final = tuple(f"arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:{name}" for name in "abc")
BY_HAND: Final = "arn:aws:codebuild:us-east-1:123456789012:build/kiro-worker-test:by-hand"
OWNERS: Final = (*EXECUTIONS, BY_HAND)
STRANGER: Final = "somebody"
# Two for each owner, which is one more than there should be.
BUILDS: Final = tuple(f"kiro-worker-test:{number}" for number in range(2 * len(OWNERS)))
SKEWS: Final = st.sampled_from([-300.0, 0.0, 300.0])
INDEX: Final = st.integers(0, 7)
# How far an operation gets before something else happens; 9 is to its end.
AHEAD: Final = st.sampled_from([0, 1, 2, 9, 9])
FATES: Final = st.sampled_from([Fate.ANSWERED] * 6 + [Fate.SENT_AGAIN, Fate.LOST, Fate.KILLED])


@dataclass
class Under:
    """An operation under way, and what the model has to know to judge it."""

    kind: str
    operation: Operation
    owner: str
    begun: int
    lease: Lease | None = None
    build: str = ""
    ended_at: float = 0
    disturbed: bool = False
    lost: bool = False
    saw: list[Holder] = field(default_factory=list)


@dataclass(frozen=True)
class Event:
    """Step Functions' event that an execution has ended."""

    owner: str
    ended_at: float


class LockModel(RuleBasedStateMachine):
    """``moment`` counts everything that happens; ``runs`` and ``stood`` say for a name when it last ran and last did
    not.
    """

    client: Any
    lock_module: ModuleType = table
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.client.delete_item(TableName=TABLE, Key=KEY)
        self.now, self.moment = BEGIN, 0
        self.running: set[str] = set(OWNERS)
        self.runs: dict[str, int] = {}
        self.stood: dict[str, int] = {}
        self.under: list[Under] = []
        self.leases: list[Lease] = []
        self.events: list[Event] = []
        self.item = Holder(BASE_KEY)
        self.held_since = 0
        self.taken_at = 0.0
        self.last_fence = 0
        self.refuted = False
        self._pass_moment()

    # ------------------------------------------------------------------------------------ what may be begun
    @rule(owner=st.sampled_from([*OWNERS, "the holder"]), skew=SKEWS, ahead=AHEAD)
    def acquire(self, owner: str, skew: float, ahead: int) -> None:
        if owner == "the holder":
            owner = self.item.owner if self.item.owner in OWNERS else EXECUTIONS[0]
        under = self._begin("acquire", owner, skew, lambda locks: locks.acquire(BASE_KEY, owner))
        self._go(under, ahead)

    @precondition(lambda self: self.leases)
    @rule(which=INDEX, second=st.booleans(), skew=SKEWS, ahead=AHEAD)
    def ensure(self, which: int, second: bool, skew: float, ahead: int) -> None:
        """A build checks the lock under any lease that was ever given, be it stale by now."""
        lease = self.leases[-1 - which % len(self.leases)]
        build = BUILDS[2 * OWNERS.index(lease.owner) + second]
        # One build is one process, which does one thing after the other.
        if any(under.build == build for under in self.under):
            return
        self.running.add(build)
        under = self._begin(
            "ensure", lease.owner, skew, lambda locks: locks.ensure(lease, Subject(build_id=build)), lease, build
        )
        self._go(under, ahead)

    @precondition(lambda self: self.leases)
    @rule(which=INDEX, ahead=AHEAD)
    def release(self, which: int, ahead: int) -> None:
        lease = self.leases[-1 - which % len(self.leases)]
        self._go(self._begin("release", lease.owner, 0, lambda locks: locks.release(lease), lease), ahead)

    @precondition(lambda self: self.events)
    @rule(which=INDEX, ahead=AHEAD)
    def clean_up_after(self, which: int, ahead: int) -> None:
        self.clean_up(which, ahead)

    def clean_up(self, which: int, ahead: int) -> None:
        """On any event there ever was: late, or for the second time."""
        event = self.events[-1 - which % len(self.events)]
        step = StepEvent(event.owner, 0, {}, "ReleaseLock", StateDocument(ended_at=int(event.ended_at * 1000)))
        under = self._begin("clean_up", event.owner, 0, lambda locks: release(locks, step))
        if under:
            under.ended_at = event.ended_at
        self._go(under, ahead)

    # ------------------------------------------------------------------------------------ what happens meanwhile
    @precondition(lambda self: self.under)
    @rule(steps=st.lists(st.tuples(INDEX, FATES), min_size=1, max_size=8))
    def go_on(self, steps: list[tuple[int, Fate]]) -> None:
        for which, fate in steps:
            if self.under:
                self._step(self.under[which % len(self.under)], fate)

    @precondition(lambda self: self.running & set(OWNERS))
    @rule(which=INDEX)
    def end(self, which: int) -> None:
        """An execution, or the build that was started by hand."""
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
        self._disturb()
        if owner != BY_HAND:
            self.events.append(Event(owner, self.now))

    @precondition(lambda self: set(EXECUTIONS) - self.running)
    @rule(which=INDEX)
    def redrive(self, which: int) -> None:
        ended = sorted(set(EXECUTIONS) - self.running)
        self.running.add(ended[which % len(ended)])
        self._disturb()

    @precondition(lambda self: self.running - set(OWNERS))
    @rule(which=INDEX)
    def end_build(self, which: int) -> None:
        builds = sorted(self.running - set(OWNERS))
        self.running.discard(builds[which % len(builds)])
        self._disturb()

    @rule(seconds=st.sampled_from([0.001, 1.0, 240.0, LEASE / 2, LEASE - 100.0, LEASE + 301.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._disturb()

    @rule(
        edit=st.sampled_from(
            [
                *("DELETE", "REMOVE #owner", "REMOVE fence", "REMOVE expiresAt", "SET fence = :text"),
                *("SET expiresAt = :text", "SET acquiredAt = :text", "SET #owner = :somebody", "SET expiresAt = :past"),
            ]
        )
    )
    def edit_by_hand(self, edit: str) -> None:
        if edit == "DELETE":
            self.client.delete_item(TableName=TABLE, Key=KEY)
        else:
            values = {
                ":text": {"S": "by hand"},
                ":somebody": {"S": STRANGER},
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
        self._disturb()

    # ------------------------------------------------------------------------------------ what must hold
    def teardown(self) -> None:
        """Everything comes to its end, every execution too: whoever asks then gets the lock with one call."""
        if self.refuted:
            for under in self.under:
                if not under.operation.done:
                    under.operation.step(Fate.KILLED)
            return
        while self.under:
            self._step(self.under[0], Fate.ANSWERED)
        self.running.clear()
        if self.item.owner == STRANGER:
            self.now = max(self.now, self.item.expires_at) + 901
        self.running.add(EXECUTIONS[0])
        self._pass_moment()
        self._go(self._begin("acquire", EXECUTIONS[0], 0.0, lambda locks: locks.acquire(BASE_KEY, EXECUTIONS[0])), 9)
        assert not self.under
        assert self.item.owner == EXECUTIONS[0]

    # ------------------------------------------------------------------------------------ the model
    def _begin(
        self,
        kind: str,
        owner: str,
        skew: float,
        call: Callable[[Any], object],
        lease: Lease | None = None,
        build: str = "",
    ) -> Under | None:
        if len(self.under) >= 4:
            return None

        def run(request: Callable[[Callable[[], Any]], Any]) -> object:
            def is_running(name: str) -> bool | None:
                answer: bool | None = request(lambda: name in self.running if ":" in name else None)
                return answer

            return call(
                self.lock_module.LockTable(
                    SteppedDynamoDB(self.client, request), TABLE, LEASE, is_running, lambda: self.now + skew
                )
            )

        self._pass_moment()
        under = Under(kind, Operation(run), owner, self.moment, lease, build)
        self.under.append(under)
        return under

    def _go(self, under: Under | None, ahead: int) -> None:
        while under and not under.operation.done and ahead:
            self._step(under, Fate.ANSWERED)
            ahead -= 1

    def _step(self, under: Under, fate: Fate) -> None:
        self._pass_moment()
        self.refuted = True
        under.lost |= fate is not Fate.ANSWERED
        under.operation.step(fate)
        before, self.item = self.item, self._read()
        under.saw.append(self.item)
        if self.item != before:
            self._judge(under, before, self.item)
            for other in self.under:
                other.disturbed |= other is not under
        if under.operation.done:
            self.under.remove(under)
            self._judge_end(under)
        self.refuted = False

    def _judge(self, under: Under, old: Holder, new: Holder) -> None:
        """Whether ``under`` might change the item so."""
        self.seen[under.kind] += 1
        if new.owner:
            assert new.owner == under.owner
        renewed = under.kind == "ensure" and (old.owner, old.fence) == (new.owner, new.fence)
        if under.kind in ("release", "clean_up"):
            assert not new.owner
            assert old.owner == under.owner
            assert new.fence == old.fence
            if under.lease:
                assert old.fence == under.lease.fence
            else:
                assert old.acquired_instant < under.ended_at
                assert self._stood(under.owner, under.begun)
        elif renewed:
            assert under.lease
            assert old.fence == under.lease.fence or old.subject.build_id == under.build
            self._judge_doubles(under, old)
        else:
            assert new.fence > self.last_fence
            if under.kind == "ensure":
                assert under.lease
                assert new.fence > under.lease.fence
                assert old.owner in ("", under.owner)
                assert not old.owner or old.fence < under.lease.fence, "a later attempt of the same execution has it"
                self._judge_doubles(under, replace(old, subject=Subject()))
            elif old.owner not in ("", under.owner):
                self._judge_takeover(under, old)
        if not renewed:
            self.held_since, self.taken_at = self.moment, self.now
            self.last_fence = max(self.last_fence, new.fence)

    def _judge_takeover(self, under: Under, old: Holder) -> None:
        self.seen["takeover"] += 1
        if old.owner == STRANGER:
            assert self.now + 1 >= max(self.taken_at + LEASE if self.taken_at else 0, old.expires_at)
        else:
            assert self._stood(old.owner, max(under.begun, self.held_since)), "it was live"

    def _judge_doubles(self, under: Under, old: Holder) -> None:
        assert self.runs.get(under.owner, -1) >= under.begun, "its execution had ended"
        other = old.subject.build_id
        if other not in ("", under.build):
            assert self._stood(other, under.begun), "two builds of one execution"

    def _judge_end(self, under: Under) -> None:
        """Whether ``under`` might end so."""
        result, error = under.operation.result, under.operation.error
        if isinstance(result, Lease):
            if under.kind == "ensure":
                last = under.saw[-1]
                assert (last.owner, last.fence, last.subject.build_id) == (under.owner, result.fence, under.build)
            assert any((saw.owner, saw.fence) == (under.owner, result.fence) for saw in under.saw)
            self.leases.append(result)
            self.seen[f"{under.kind}d"] += 1
        if under.lost:
            return
        assert error is None or isinstance(error, LockHeld | LockLost), error
        if isinstance(error, LockHeld):
            self.seen["LockHeld"] += 1
            assert any(saw.owner not in ("", under.owner) for saw in under.saw)
        if isinstance(error, LockLost):
            self.seen["LockLost"] += 1
        if not under.disturbed:
            self._judge_undisturbed(under)

    def _judge_undisturbed(self, under: Under) -> None:
        """Nothing happened beside it: what it comes to is known."""
        error, item = under.operation.error, self.item
        if under.kind == "acquire" and error:
            expired = item.expires_at + 900 < self.now
            assert item.owner in self.running or (item.owner == STRANGER and not expired), "it was not live"
        if under.kind == "ensure" and error:
            assert under.lease
            other = item.subject.build_id not in ("", under.build) and item.subject.build_id in self.running
            mine = (item.owner, item.fence) == (under.owner, under.lease.fence) and not other
            assert under.owner not in self.running or (item.owner and not mine)
        if under.kind == "release" and under.lease:
            assert (item.owner, item.fence) != (under.lease.owner, under.lease.fence)

    def _stood(self, name: str, since: int) -> bool:
        return self.stood.get(name, -1) >= since

    def _disturb(self) -> None:
        for under in self.under:
            under.disturbed = True
        self._pass_moment()

    def _pass_moment(self) -> None:
        self.moment += 1
        for name in (*OWNERS, *BUILDS):
            (self.runs if name in self.running else self.stood)[name] = self.moment

    def _read(self) -> Holder:
        item = self.client.get_item(TableName=TABLE, Key=KEY, ConsistentRead=True).get("Item")
        return Holder.from_item(item) if item else Holder(BASE_KEY)


def explore(
    client: Any, examples: int, module: ModuleType = table, phases: tuple[Phase, ...] = tuple(Phase)
) -> Counter[str]:
    """Run histories against ``client``, always the same ones; what was seen in them."""
    seen: Counter[str] = Counter()
    machine = type("Machine", (LockModel,), {"client": client, "lock_module": module, "seen": seen})
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
    return seen


def create_table(client: Any) -> None:
    client.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "lockKey", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "lockKey", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def test_the_lock_keeps_its_promises_in_every_history(aws_of_each: dict[str, Any]) -> None:
    made = boto3.client("dynamodb", **aws_of_each)
    create_table(made)
    seen = explore(made, examples=30)
    assert seen.keys() >= {"acquired", "takeover", "LockHeld", "LockLost", "release"}


# What stands in the lock, and what a mutant has in its place.
MUTANTS: Final = {
    "release without the fence": ('"#owner = :owner AND fence = :fence"', '"#owner = :owner AND :fence = :fence"'),
    "acquire without the fence": ('fence < :fence)"', ':fence = :fence)"'),
    "a fence that is the clock's": ("fence = max(int(now * 1000), above + 1)", "fence = int(now * 1000)"),
    "takeover of whoever holds": ("and self.still_active_after_stop(taken)", "and False"),
    "ensure takes from another": ("(holder.owner != lease.owner or holder.fence >", "(holder.fence >"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_model_finds_a_lock_that_lacks_a_condition(name: str, aws_of_dynalite: dict[str, Any]) -> None:
    made = boto3.client("dynamodb", **aws_of_dynalite)
    create_table(made)
    source, (original, mutation) = inspect.getsource(table), MUTANTS[name]
    assert source.count(original) == 1, "the lock has changed, and the mutant has to change with it"
    mutant = ModuleType("mutant")
    exec(source.replace(original, mutation), mutant.__dict__)  # noqa: S102  # our own source
    with pytest.raises(AssertionError):
        explore(made, examples=100, module=mutant, phases=(Phase.generate,))
