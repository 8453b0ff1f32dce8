"""`kiro-worker replay` and `redrive` in their own processes, against the endpoint of the deployment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kiro_worker.executions.history import Run
from tests.support.world import IMPLEMENT, World, names

pytestmark = pytest.mark.e2e

FAILING = "import sys\nsys.exit(3)\n"


class Command:
    """`kiro-worker …` with access to the embedded AWS, without the AWS settings of the machine's user."""

    def __init__(self, world: World, home: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment = {**kept, **world.local.aws.environment, "HOME": str(home), "COLUMNS": "200"}

    def start(self, *arguments: str, **changes: str | None) -> subprocess.Popen[str]:
        variables = {n: v for n, v in {**self.environment, **changes}.items() if v is not None}
        command = [sys.executable, "-m", "kiro_worker.cli", *arguments]
        return subprocess.Popen(command, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *arguments: str, **changes: str | None) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        with self.start(*arguments, **changes) as process:
            output, errors = process.communicate(timeout=120)
        assert "Traceback" not in errors
        return process.returncode, output, errors

    def json(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        code, output, _ = self.run(*arguments, "--json")
        document: dict[str, Any] = json.loads(output)
        return code, document


@pytest.fixture
def command(world: World, tmp_path: Path) -> Command:
    return Command(world, tmp_path)


def failed_run(world: World) -> Run:
    world.agent(FAILING)
    run = world.tick()
    assert run.status == "FAILED"
    world.agent(IMPLEMENT)
    return run


def test_replay_starts_and_follows_new_run(world: World, command: Command) -> None:
    world.card("feature/other", status="Todo")
    card = world.card()
    failed = failed_run(world)
    code, output, errors = command.run("replay", failed.arn, "--wait")
    assert (code, errors) == (0, "")
    assert world.status(card) == "In Review"
    for part in ("started  arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:replay-", card.id):
        assert part in output
    assert [output.count(state) for state in ("ValidateWorkItem", "RunBuild", "Done")] == [1, 1, 1]
    assert "SUCCEEDED" in output


def test_replay_by_name_prints_json(world: World, command: Command) -> None:
    card = world.card()
    failed = failed_run(world)
    code, answer = command.json("replay", failed.arn.rpartition(":")[2], "--environment", "test")
    assert code == 0
    assert (answer["replayed"], answer["itemId"], answer["title"]) == (failed.arn, card.id, card.title)
    run = world.finish(answer["executionArn"])
    assert (run.arn != failed.arn, run.outcome) == (True, "Succeeded")
    described = world.local.client("stepfunctions").describe_execution(executionArn=run.arn)
    assert json.loads(described["input"]) == {"trigger": "replay", "itemId": card.id}


@pytest.mark.parametrize(("status", "error"), [("In Review", "WorkItemMoved"), ("Blocked", "WorkItemRefused")])
def test_finished_card_prints_reason(world: World, command: Command, status: str, error: str) -> None:
    card = world.card()
    failed = failed_run(world)
    world.github.board.move(card, status)
    world.repository.pull_requests[-1].state = "MERGED"
    before = world.comments()
    code, answer = command.json("replay", failed.arn, "--wait")
    assert (code, answer["status"], answer["outcome"]) == (1, "FAILED", error)
    assert "How to fix:" in answer["reason"]
    assert (world.status(card), world.comments()) == (status, before)


@pytest.mark.parametrize("name", ["replay", "redrive"])
def test_held_lock_and_returned_card_are_reported(world: World, command: Command, name: str) -> None:
    card = world.card()
    failed = failed_run(world)
    world.card("feature/two")
    proceed = world.waiting_agent()
    working = world.local.tick()
    world.wait_until(lambda: "RunBuild" in names(world.read(working)))
    code, output, _ = command.run(name, failed.arn, "--wait")
    assert code == 1
    assert "the run built nothing: the lock work-item-processor-lock has been held by" in output
    assert "the card goes to 'For Implementation', and is built in its turn" in output
    assert "  the card is in “For Implementation”\n" in output
    world.github.board.move(card, "Blocked")
    code, answer = command.json("replay", failed.arn, "--wait")
    assert (code, answer["outcome"], answer["cardStatus"]) == (1, "WorkInProgressElsewhere", "For Implementation")
    code, output, errors = command.run("replay", working)
    assert code == 1
    assert "ExecutionStillRuns" in errors
    proceed.touch()
    assert world.finish(working).outcome == "Succeeded"
    assert world.status(card) == "In Review"


def test_redrive_continues_same_run(world: World, command: Command) -> None:
    card = world.card()
    failed = failed_run(world)
    code, answer = command.json("redrive", failed.arn, "--wait")
    assert (code, answer["executionArn"], answer["redrives"]) == (0, failed.arn, 1)
    assert (answer["status"], world.status(card)) == ("SUCCEEDED", "In Review")
    code, _, errors = command.run("redrive", failed.arn)
    assert code == 1
    assert "ExecutionNotRedrivable" in errors
    assert "Execution is SUCCEEDED and cannot be redriven" in errors
    assert f"kiro-worker replay {failed.arn}" in errors


@pytest.fixture
def heeded_sigint() -> Iterator[None]:
    """Child processes react to SIGINT even if the tests run as a background job of a shell, whose processes ignore it
    and pass that on to their children.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_sigint")
def test_interrupted_wait_stops_nothing(world: World, command: Command) -> None:
    world.card()
    failed = failed_run(world)
    proceed = world.waiting_agent()
    with command.start("replay", failed.arn, "--wait", PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        arn = process.stdout.readline().split()[1]
        world.wait_until(lambda: "RunBuild" in names(world.read(arn)))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    proceed.touch()
    assert world.finish(arn).outcome == "Succeeded"


ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:nobody"
NO_CREDENTIALS: Mapping[str, str | None] = {
    f"AWS_{name}": None for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
}
NO_REGION: Mapping[str, str | None] = {"AWS_REGION": None, "AWS_DEFAULT_REGION": None}


@pytest.mark.parametrize("name", ["replay", "redrive"])
@pytest.mark.parametrize(
    ("argument", "changes", "code", "expected"),
    [
        (ARN, {}, 1, ("ExecutionNotFound", "aws stepfunctions list-executions")),
        ("nobody", {}, 1, ("ExecutionNotFound", "kiro-worker-test:nobody")),
        (ARN, {**NO_CREDENTIALS, "AWS_EC2_METADATA_DISABLED": "true"}, 1, ("NoCredentialsError", "aws configure")),
        ("nobody", NO_REGION, 1, ("NoRegionError", "AWS_DEFAULT_REGION")),
        (ARN, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}, 1, ("EndpointConnectionError",)),
        (ARN, {"AWS_PROFILE": "missing"}, 1, ("ProfileNotFound", "aws configure list-profiles")),
        ("arn:aws:states:x;y", {}, 2, ("neither an execution's ARN nor its name",)),
        (ARN.replace("execution", "stateMachine"), {}, 2, ("neither an execution's ARN nor its name",)),
    ],
    ids=["unknown", "unknown name", "no credentials", "no region", "no endpoint", "no profile", "text", "machine"],
)
def test_error_is_named_without_traceback(
    command: Command, name: str, argument: str, changes: Mapping[str, str | None], code: int, expected: tuple[str, ...]
) -> None:
    exit_code, _, errors = command.run(name, argument, **changes)
    assert exit_code == code, errors
    assert [part for part in expected if part not in errors] == []


def test_run_without_card_is_not_replayed(world: World, command: Command) -> None:
    quiet = world.tick()
    code, _, errors = command.run("replay", quiet.arn)
    assert code == 1
    assert "NoCardToReplay" in errors
    assert "it ended as NothingToDo" in errors
    rejected = world.bare_card("feature/missing")
    code, _, errors = command.run("replay", world.tick().arn)
    assert code == 1
    assert f"skipped {rejected.id}" in errors
