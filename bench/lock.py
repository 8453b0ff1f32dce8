"""The lock against ``python-dynamodb-lock``, which keeps its locks alive by heartbeats.

Both use the same dynalite server in the same run, and their cycles alternate.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from python_dynamodb_lock.python_dynamodb_lock import DynamoDBLockClient

from bench.figure import Clock, Figure
from kiro_worker.config.model import Configuration
from kiro_worker.errors import LockHeld
from kiro_worker.lock.keys import BASE_KEY, slot_keys
from kiro_worker.lock.slots import acquire_with_slot
from kiro_worker.lock.table import LockTable
from tests.support.dynalite import dynalite

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from kiro_worker.models import Lease

CYCLES: Final = 300
ACQUISITIONS: Final = 1000
SLOTS: Final = 100
CONTENDERS: Final = (1, 8, 64, 256)
_OURS: Final = "ours"
_THEIRS: Final = "theirs"
_EXECUTION: Final = "arn:aws:states:us-east-1:123456789012:execution:bench:{}"
# The other library's default is 30 s. A shorter lease shows the same effect in less time.
_LEASE: Final = timedelta(seconds=3)
_HEARTBEAT: Final = timedelta(seconds=1)


class Contest:
    """Two tables on one server, and a count of the requests to it."""

    def __init__(self, endpoint: str) -> None:
        self.requests: Counter[str] = Counter()
        arguments: dict[str, Any] = {
            "endpoint_url": endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": "bench",
            "aws_secret_access_key": "bench",
            "config": Config(max_pool_connections=max(CONTENDERS)),
        }
        self.client: DynamoDBClient = boto3.client("dynamodb", **arguments)
        self.resource = boto3.resource("dynamodb", **arguments)
        self._table(_OURS, "lockKey")
        self._table(_THEIRS, "lock_key", "sort_key")
        for client in (self.client, self.resource.meta.client):
            client.meta.events.register("before-call.dynamodb", self._count)
        self.ended: set[str] = set()

    def locks(self) -> LockTable:
        """Return our lock table. Owners in ``ended`` no longer run."""
        return LockTable(self.client, _OURS, 7200, lambda owner: owner not in self.ended)

    def theirs(self, heartbeat: timedelta = timedelta(hours=1)) -> DynamoDBLockClient:
        """Return a client of the other library, by default without a heartbeat during the measurement.

        It is never closed, because closing waits for the next heartbeat. Its threads end with the process.
        """
        return DynamoDBLockClient(
            self.resource, table_name=_THEIRS, heartbeat_period=heartbeat, safe_period=_LEASE, lease_duration=_LEASE
        )

    def _count(self, **_: object) -> None:
        self.requests["all"] += 1

    def _table(self, name: str, *keys: str) -> None:
        self.client.create_table(
            TableName=name,
            KeySchema=[
                {"AttributeName": key, "KeyType": "RANGE" if number else "HASH"} for number, key in enumerate(keys)
            ],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        self.client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def measure() -> list[Figure]:
    """Return the lock's figures."""
    logging.getLogger("python_dynamodb_lock").setLevel(logging.ERROR)
    with dynalite() as endpoint:
        contest = Contest(endpoint)
        return [*_cycles(contest), *_death(contest), *_contention(contest), *_slots(contest), _fences(contest)]


def _cycles(contest: Contest) -> list[Figure]:
    locks, other = contest.locks(), contest.theirs()

    def ours() -> None:
        locks.release(locks.acquire(BASE_KEY, _EXECUTION.format("quiet")))

    def theirs() -> None:
        other.release_lock(other.acquire_lock("quiet"))

    def bare() -> None:
        for condition in ("attribute_not_exists(held)", "attribute_exists(held)"):
            contest.client.update_item(
                TableName=_OURS,
                Key={"lockKey": {"S": "bare"}},
                UpdateExpression="SET held = :yes" if "not" in condition else "REMOVE held",
                ConditionExpression=condition,
                **({"ExpressionAttributeValues": {":yes": {"BOOL": True}}} if "not" in condition else {}),  # type: ignore[arg-type]  # the stubs know no optional arguments
            )

    clocks = {work: Clock() for work in (ours, theirs, bare)}
    requests = {}
    for work in clocks:
        contest.requests.clear()
        work()
        requests[work] = contest.requests["all"]
    for _ in range(CYCLES):
        for work, clock in clocks.items():
            with clock.running():
                work()
    ours_seconds, theirs_seconds, bare_seconds = (clocks[work].seconds for work in (ours, theirs, bare))
    return [
        Figure(
            "lock: requests of a quiet cycle",
            str(requests[ours]),
            str(requests[theirs]),
            requests[ours] / requests[theirs],
            at_most=0.67,
        ),
        Figure(
            "lock: time of a quiet cycle",
            _milliseconds(ours_seconds),
            _milliseconds(theirs_seconds),
            ours_seconds / theirs_seconds,
            at_most=0.7,
        ),
        Figure(
            "  two bare conditional writes",
            _milliseconds(bare_seconds),
            _milliseconds(theirs_seconds),
            bare_seconds / theirs_seconds,
        ),
    ]


def _death(contest: Contest) -> list[Figure]:
    """Measure the time from the death of a holder, which releases nothing, until a waiting successor has the lock."""
    dead, locks, ours = _EXECUTION.format("dead"), contest.locks(), Clock()
    for number in range(20):
        locks.acquire(BASE_KEY, dead)
        contest.ended.add(dead)
        with ours.running():
            lease = locks.acquire(BASE_KEY, _EXECUTION.format(number))
        locks.release(lease)
        contest.ended.clear()
    holder, successor = contest.theirs(_HEARTBEAT), contest.theirs(_HEARTBEAT)
    holder.acquire_lock("death")
    holder.close()
    theirs = Clock()
    with theirs.running():
        successor.acquire_lock("death", retry_period=timedelta(milliseconds=100), retry_timeout=_LEASE * 3)
    successor.close(release_locks=True)
    return [
        Figure(
            "lock: from a holder's death to the next holder, which asks at once",
            _milliseconds(ours.seconds),
            f"{theirs.seconds:.1f} s, of a lease of {_LEASE.seconds} s",
            ours.seconds / theirs.seconds,
            at_most=0.1,
        )
    ]


def _contention(contest: Contest) -> list[Figure]:
    return [_contend(contest, contenders) for contenders in CONTENDERS]


def _contend(contest: Contest, contenders: int) -> Figure:
    locks, first, requests, winners = contest.locks(), [], [], []
    for attempt in range(5):
        barrier = threading.Barrier(contenders + 1)
        won: list[tuple[Lease, float]] = []

        def contend(owner: str, barrier: threading.Barrier = barrier, won: list[Any] = won) -> None:
            barrier.wait()
            with suppress(LockHeld):
                won.append((locks.acquire(BASE_KEY, owner), time.perf_counter()))

        threads = [
            threading.Thread(target=contend, args=(_EXECUTION.format(f"{attempt}-{number}"),))
            for number in range(contenders)
        ]
        for thread in threads:
            thread.start()
        contest.requests.clear()
        barrier.wait()
        started = time.perf_counter()
        for thread in threads:
            thread.join()
        first.append(min(at for _, at in won) - started)
        requests.append(contest.requests["all"])
        winners.append(len(won))
        for lease, _ in won:
            locks.release(lease)
    return Figure(
        f"  winners of {contenders} that ask at once",
        f"{_milliseconds(median(first))}, {median(requests):.0f} requests in all",
        value=max(winners, key=lambda count: abs(count - 1)),
        unit="",
        at_most=1,
        at_least=1,
    )


def _slots(contest: Contest) -> list[Figure]:
    """Count the requests that a lock and a slot take, against the best that a walk from slot to slot could do.

    Such a walk reads one slot after the other up to the first free one, and writes to the lock and to that slot.
    """
    document = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Ready"}
    limited = Configuration.model_validate(document | {"lockScope": "branch", "maxConcurrentBuilds": SLOTS})
    locks, keys, figures = contest.locks(), slot_keys(limited), []
    for taken in (0, SLOTS - 1, SLOTS):
        for number, key in enumerate(keys[:taken]):
            locks.acquire(key, _EXECUTION.format(f"slot-{number}"))
        contest.requests.clear()
        with suppress(LockHeld):
            acquire_with_slot(locks, limited, f"{BASE_KEY}#acme/shop", _EXECUTION.format("slots"))
        requests = contest.requests["all"]
        locks.release_owned(_EXECUTION.format("slots"))
        figures.append(
            Figure(
                f"lock: requests of an acquire with {taken} of {SLOTS} slots taken",
                str(requests),
                f"{min(taken + 1, SLOTS) + 2}, slot by slot",
                requests,
                unit="requests",
                at_most=3,
            )
        )
    return figures


def _fences(contest: Contest) -> Figure:
    locks, fences = contest.locks(), []
    for number in range(ACQUISITIONS):
        lease = locks.acquire(BASE_KEY, _EXECUTION.format(number))
        fences.append(lease.fence)
        locks.release(lease)
    wrong = sum(later <= earlier for earlier, later in pairwise(fences))
    return Figure(
        f"  fences of {ACQUISITIONS} acquisitions that did not rise", str(wrong), value=wrong, unit="", at_most=0
    )


def _milliseconds(value: float) -> str:
    return f"{value * 1000:.1f} ms"
