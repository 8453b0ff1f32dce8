"""The main job: a ready card becomes pushed code, and any other card gets a comment or stays as it is."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from kiro_worker.executions.history import read_events
from tests.support.world import IMPLEMENT, TOKEN, World, names

pytestmark = pytest.mark.e2e

FULL_RUN = [
    "FetchWorkItem",
    "WorkItemFound",
    "ValidateWorkItem",
    "AcquireLock",
    "MarkInProgress",
    "ParallelRunAllowed",
    "RunBuild",
    "MarkInReview",
    "ReleaseLock",
    "WorkItemBuilt",
    "StartNextRun",
    "Done",
]


def test_ready_card_becomes_pushed_code(world: World) -> None:
    card = world.card()
    before = world.head()
    run = world.tick()
    assert (run.status, run.outcome, names(run)) == ("SUCCEEDED", "Succeeded", FULL_RUN)
    assert run.transitions <= 12
    assert world.status(card) == "In Review"
    assert world.head() != before
    assert run.output["commit"] == world.head()
    assert world.file("sums.py") == "def add(a, b):\n    return a + b\n"
    assert world.file(".kiro/specs/feature-sum/tasks.md").endswith("- [x] 1. Write the function\n")
    assert (
        f"Kiro-Worker-Execution: {run.arn.rpartition(':')[2]}"
        in world.repository.git.run("log", "-1", "feature/sum").decode()
    )
    assert world.local.lock() is None
    [comment] = world.comments()
    assert "✅ **Implemented**" in comment
    assert run.arn in comment


def test_finished_card_is_not_built_again(world: World) -> None:
    world.card()
    world.tick()
    head, comments, builds = world.head(), world.comments(), world.builds()
    assert world.tick().outcome == "NothingToDo"
    assert (world.head(), world.comments(), world.builds()) == (head, comments, builds)


def test_idle_tick_is_cheap(world: World) -> None:
    for number in range(130):
        world.github.board.add_card(world.project, f"Idea {number}", status="Todo")
    run = world.tick()
    assert (run.outcome, run.transitions, run.invocations) == ("NothingToDo", 3, 1)
    assert [(request.operation, request.cost) for request in world.github.requests] == [("FetchWorkItem", 1)]


def test_rejected_cards_do_not_block_queue(world: World) -> None:
    missing = world.bare_card("feature/missing")
    world.spec("feature/no-design", without="design.md")
    no_design = world.bare_card("feature/no-design")
    ready = world.card()
    run = world.tick()
    assert names(run).count("RejectWorkItem") == 2
    assert names(run)[-1] == "Done"
    assert [world.status(card) for card in (missing, no_design, ready)] == ["Blocked", "Blocked", "In Review"]
    first, second, third = world.comments()
    assert "the branch feature/missing does not exist" in first
    assert ".kiro/specs/feature-no-design/design.md is missing" in second
    assert "there is no open pull request from feature/no-design" in second
    assert "✅" in third


def test_run_rejects_at_most_ten_cards(world: World) -> None:
    cards = [world.bare_card(f"feature/missing-{number}") for number in range(11)]
    run = world.tick()
    assert (run.outcome, len(run.output["skipped"])) == ("CardsPassedOver", 10)
    assert [world.status(card) for card in cards] == ["Blocked"] * 10 + ["For Implementation"]
    world.tick()
    assert world.status(cards[-1]) == "Blocked"


def test_repeated_rejection_adds_one_comment(world: World) -> None:
    world.configure(blockedStatus=None)
    card = world.bare_card("feature/missing")
    world.tick()
    world.tick()
    assert world.status(card) == "For Implementation"
    assert len(world.comments()) == 1


def test_second_run_ends_while_first_works(world: World) -> None:
    """The second card is not forgotten: the first run starts the run that takes it."""
    first, second = world.card("feature/one"), world.card("feature/two")
    proceed = world.waiting_agent()
    working = world.local.tick()
    world.wait_until(lambda: world.status(first) == "In Progress")
    other = world.tick()
    assert (other.status, other.outcome) == ("SUCCEEDED", "WorkInProgressElsewhere")
    assert working in other.output["reason"]
    assert world.status(second) == "For Implementation"
    proceed.touch()
    assert world.finish(working).outcome == "Succeeded"
    chained, last = world.runs_after(other)
    assert (chained.output["item"], last.outcome) == (second.id, "NothingToDo")


def test_moved_card_is_left_alone(world: World) -> None:
    card = world.card()
    head = world.head()
    world.entered["AcquireLock"] = lambda: world.github.board.move(card, "Done")
    run = world.tick()
    assert (run.status, run.outcome) == ("SUCCEEDED", "WorkItemMoved")
    assert (world.status(card), world.head(), world.comments()) == ("Done", head, [])
    assert world.local.lock() is None


def test_replay_builds_named_card(world: World) -> None:
    world.card("feature/one")
    second = world.card("feature/two", status="Blocked")
    run = world.start({"trigger": "replay", "itemId": second.id})
    assert (run.outcome, run.output["item"]) == ("Succeeded", second.id)


def test_card_in_review_is_not_replayed(world: World) -> None:
    card = world.card(status="In Review")
    run = world.start({"trigger": "replay", "itemId": card.id})
    assert (run.status, run.error) == ("FAILED", "WorkItemMoved")
    assert world.comments() == []


def test_build_artifacts_are_stored(world: World) -> None:
    world.card()
    run = world.tick()
    build = run.states[-1].document["build"]
    prefix = next(variable["Value"] for variable in build["variables"] if variable["Name"] == "ARTIFACTS")
    assert Path(prefix).name
    assert run.arn.rpartition(":")[2] in prefix
    assert "test_add" in world.local.artifact(prefix, "tests.log")
    assert '"outcome": "Succeeded"' in world.local.artifact(prefix, "result.json")


def test_no_secret_is_written_anywhere(world: World) -> None:
    world.agent(f"import os\nprint(sorted(os.environ.items()))\n{IMPLEMENT}")
    world.card()
    run = world.tick()
    assert run.outcome == "Succeeded"
    logs = world.local.client("logs")
    written = [str(read_events(world.local.client("stepfunctions"), run.arn)), *world.comments()]
    for group in logs.describe_log_groups()["logGroups"]:
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
            written += [event["message"] for event in page["events"]]
    s3 = world.local.client("s3")
    bucket = "kiro-worker-test-artifacts-123456789012-us-east-1"
    artifacts = s3.list_objects_v2(Bucket=bucket, Prefix="runs/")["Contents"]
    written += [s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read().decode() for each in artifacts]
    assert any("step started" in text for text in written), "the functions' logs are missing"
    assert any("ran 1 test" in text.lower() for text in written), "the build's log is missing"
    encoded = base64.b64encode(f"git:{TOKEN}".encode()).decode()
    assert [text for text in written if TOKEN in text or encoded in text or "local-agent-key" in text] == []
