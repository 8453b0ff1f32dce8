"""Real races on both DynamoDB servers: threads that contend at the same moment, and separate processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config

from kiro_worker.errors import LockHeld
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.table import LockTable
from kiro_worker.models import Lease
from tests.support.lock_table import EXECUTION, LEASE_SECONDS, TABLE, create_lock_table

ENDED: Final = EXECUTION.format("ended")
CONTEND: Final = """
import json, sys, boto3
from kiro_worker.errors import LockHeld
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.table import LockTable
aws, table, owner = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
locks = LockTable(boto3.client("dynamodb", **aws), table, 7200, lambda name: True)
print("ready", flush=True)
sys.stdin.readline()
try:
    print(locks.acquire(BASE_KEY, owner).fence)
except LockHeld:
    print("held")
"""


@pytest.fixture
def locks(aws_of_each: dict[str, Any]) -> LockTable:
    client = boto3.client("dynamodb", **aws_of_each, config=Config(max_pool_connections=64))
    create_lock_table(client)
    return LockTable(client, TABLE, LEASE_SECONDS, lambda owner: owner != ENDED)


@pytest.mark.parametrize("held", [False, True], ids=["free lock", "lock of an ended holder"])
@pytest.mark.parametrize("contenders", [16, 64])
def test_one_of_many_threads_wins(locks: LockTable, contenders: int, held: bool) -> None:
    for attempt in range(3):
        if held:
            locks.acquire(BASE_KEY, ENDED)
        barrier, won, lost = threading.Barrier(contenders), list[Lease](), list[str]()

        def contend(
            owner: str, barrier: threading.Barrier = barrier, won: list[Lease] = won, lost: list[str] = lost
        ) -> None:
            barrier.wait(timeout=30)
            try:
                won.append(locks.acquire(BASE_KEY, owner))
            except LockHeld:
                lost.append(owner)

        threads = [threading.Thread(target=contend, args=(f"{attempt}:{number}",)) for number in range(contenders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert (len(won), len(lost)) == (1, contenders - 1)
        assert locks.release(won[0])


def test_one_of_many_processes_wins(locks: LockTable, aws_of_each: dict[str, Any]) -> None:
    command = [sys.executable, "-c", CONTEND, json.dumps(aws_of_each), TABLE]
    root = Path(__file__).parents[3]
    processes = [
        subprocess.Popen(
            [*command, f"process:{number}"], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    answers = [process.communicate("go\n", timeout=60)[0].strip() for process in processes]
    assert sorted(answers)[1:] == ["held"] * 3
    assert locks.read(BASE_KEY).fence == int(min(answers))


@pytest.mark.exhaustive
def test_fence_rises_a_thousand_times(locks: LockTable) -> None:
    fences = []
    for number in range(1000):
        lease = locks.acquire(BASE_KEY, f"execution:{number % 7}")
        fences.append(lease.fence)
        assert locks.release(lease)
    assert all(earlier < later for earlier, later in pairwise(fences))
