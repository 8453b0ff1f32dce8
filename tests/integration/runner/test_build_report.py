"""What a build reports, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.worker import Worker


def test_result_and_logs_become_artifacts(worker: Worker) -> None:
    finished = worker.run()

    assert json.loads(worker.artifact("result.json")) == finished.result
    assert finished.result["schemaVersion"] == 3
    assert finished.result["job"]["commit"] == worker.commit
    assert finished.result["build"] == {"id": "kiro-worker-test:5f2c", "attempt": "7"}
    assert finished.result["filesChanged"] == [
        ".kiro/specs/feature-discounts/tasks.md",
        "shop/discounts.py",
        "shop/orders.py",
        "tests/test_discounts.py",
        "tests/test_orders.py",
    ]
    assert "scripted stand-in agent" in worker.artifact("agent.log")
    assert "Ran 7 tests" in worker.artifact("tests.log")
    assert "+def apply_discount" in worker.artifact("changes.patch")


def test_failed_upload_does_not_fail_build(worker: Worker) -> None:
    finished = worker.run(ARTIFACTS_BUCKET_NAME="no-such-bucket")

    assert (finished.exit_code, finished.outcome) == (0, "Succeeded")
    assert finished.exports["ARTIFACTS"] == ""
    assert "could not be uploaded" in finished.log


def test_result_needs_no_configuration(worker: Worker) -> None:
    finished = worker.run(CONFIG_PARAMETER_NAME="")

    assert (finished.exit_code, finished.outcome) == (1, "WorkerFailed")
    assert "CONFIG_PARAMETER_NAME" in finished.exports["OUTCOME_REASON"]


def test_invalid_lease_is_named_with_a_remedy(worker: Worker) -> None:
    finished = worker.run(LOCK_LEASE_SECONDS="soon")

    assert (finished.exit_code, finished.outcome) == (1, "WorkerFailed")
    assert "LOCK_LEASE_SECONDS" in finished.result["reason"]
    assert "make deploy" in finished.result["remedy"]


def test_result_is_written_without_aws(worker: Worker) -> None:
    finished = worker.run(AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_MAX_ATTEMPTS="1")

    assert (finished.exit_code, finished.outcome) == (1, "WorkerFailed")
    assert finished.exports["ARTIFACTS"] == ""


WAIT = """
import os, sys, time
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(300)
"""


def test_stopped_build_ends_its_agent(worker: Worker, tmp_path: Path) -> None:
    pid_file = tmp_path / "agent.pid"
    worker.configure(worker.agent(WAIT, str(pid_file)))
    (worker.folder / "src").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "kiro_worker.runner"],
        cwd=worker.folder / "src",
        env=worker.environment(),
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < until:
        time.sleep(0.02)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=60) == 1
    result = json.loads((worker.folder / "src" / "result.json").read_text())
    assert result["outcome"] == "WorkerFailed"
    assert "stopped" in result["reason"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
