"""A failure reaches the people who can fix it: the breaker, the pause, and cards that must not stop the others."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiro_local.faults import parse_fault
from kiro_local.github.model import Item
from kiro_worker.executions.history import Run
from kiro_worker.records.breaker import pause, read_breaker, resume
from tests.support.world import TOKEN, World, names

pytestmark = pytest.mark.e2e

PLACEHOLDER = json.dumps({"username": "git", "password": "placeholder"})
CREDENTIALS = json.dumps({"username": "git", "password": TOKEN})


def statuses(world: World, cards: list[Item]) -> list[str | None]:
    return [world.status(card) for card in cards]


def outcomes_after(world: World, run: Run) -> list[str]:
    return [each.outcome for each in world.runs_after(run)]


def check_queue_is_worked_off(world: World, cards: list[Item]) -> None:
    """One tick is enough: the probe closes the breaker, and starts the run that takes the next card."""
    probe = world.tick()
    assert [probe.outcome, *outcomes_after(world, probe)] == ["Succeeded"] * len(cards) + ["NothingToDo"]
    assert statuses(world, cards) == ["In Review"] * len(cards)


def test_placeholder_secret_stops_queue_and_touches_no_card(world: World) -> None:
    cards = [world.card(f"feature/sum-{number}") for number in range(3)]
    world.local.put_secret("git-credentials", PLACEHOLDER)
    before = len(world.builds())

    failed = world.tick()
    assert (failed.status, failed.error) == ("FAILED", "SecretPlaceholder")
    assert "aws secretsmanager put-secret-value --secret-id kiro-worker-test-git-credentials" in failed.cause
    assert statuses(world, cards) == ["For Implementation"] * 3
    assert world.comments() == []
    assert len(world.builds()) == before + 1

    requests = len(world.github.requests.graphql())
    for _ in range(2):
        idle = world.tick()
        assert names(idle) == ["FetchWorkItem", "WorkItemFound", "InstallationUnavailable"]
        assert (idle.status, idle.outcome) == ("SUCCEEDED", "InstallationUnavailable")
        assert "SecretPlaceholder" in idle.output["reason"]
    assert len(world.github.requests.graphql()) == requests
    assert len(world.builds()) == before + 1

    world.end_wait_of_breaker()
    probe = world.tick()
    assert (probe.status, probe.error) == ("FAILED", "SecretPlaceholder"), "it is not repaired yet"
    assert statuses(world, cards) == ["For Implementation"] * 3

    world.local.put_secret("git-credentials", CREDENTIALS)
    world.end_wait_of_breaker()
    check_queue_is_worked_off(world, cards)
    assert not read_breaker(world.records()).is_open


REJECTING_KIRO = """#!/bin/sh
cat > /dev/null
echo 'Access denied: The bearer token included in the request is invalid.' >&2
"""
WORKING_KIRO = r"""#!/bin/sh
cat > /dev/null
printf 'def add(a, b):\n    return a + b\n' > sums.py
printf ' ▸ Credits: 0.42 • Time: 5s\n' >&2
"""


@pytest.fixture
def kiro_cli(world: World, open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The Kiro CLI that builds find, beside git."""
    folder = open_folder / "bin"
    folder.mkdir()
    folder.chmod(0o755)
    git = shutil.which("git")
    assert git
    (folder / "git").symlink_to(git)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    image_before = world.local.set_build_image("registry.example/image-with-kiro:1")
    yield folder / "kiro-cli"
    world.local.set_build_image(image_before)


def test_rejected_agent_key_stops_queue_and_touches_no_card(world: World, kiro_cli: Path) -> None:
    cards = [world.card(f"feature/sum-{number}") for number in range(3)]
    kiro_cli.write_text(REJECTING_KIRO)
    kiro_cli.chmod(0o755)
    world.configure(agent="kiro")

    failed = world.tick()
    assert (failed.status, failed.error) == ("FAILED", "AgentUnavailable"), failed.cause
    assert "kiro-worker-test-kiro-api-key" in failed.cause
    assert world.tick().outcome == "InstallationUnavailable"
    assert statuses(world, cards) == ["For Implementation"] * 3
    assert world.comments() == []

    kiro_cli.write_text(WORKING_KIRO)
    world.end_wait_of_breaker()
    check_queue_is_worked_off(world, cards)


def test_wrong_configuration_opens_breaker_and_redrive_passes_it(world: World) -> None:
    card = world.card()
    world.configure(reviewStatus="Missing")
    failed = world.tick()
    assert (failed.status, failed.error) == ("FAILED", "StatusNotFound")
    assert world.tick().outcome == "InstallationUnavailable"
    world.configure(reviewStatus="In Review")
    replayed = world.start({"trigger": "replay", "itemId": card.id})
    assert replayed.outcome == "Succeeded"
    assert not read_breaker(world.records()).is_open
    assert world.redrive(failed).outcome == "NothingToDo"


def test_failure_of_service_is_tried_again_once(world: World) -> None:
    card = world.card()
    for status, comments in (("For Implementation", 0), ("Blocked", 1)):
        world.local.aws.faults.add(parse_fault("RunBuild:WorkerFailed"))
        run = world.tick()
        assert (run.status, run.error) == ("FAILED", "WorkerFailed")
        assert (world.status(card), len(world.comments())) == (status, comments)
    assert world.tick().outcome == "NothingToDo"
    assert not read_breaker(world.records()).is_open


def test_pause_stops_queue_until_resume(world: World) -> None:
    card = world.card()
    pause(world.records(), "ann@example.com", "release day")
    paused = world.tick()
    assert names(paused) == ["FetchWorkItem", "WorkItemFound", "Paused"]
    assert "ann@example.com" in paused.output["reason"]
    assert "release day" in paused.output["reason"]
    resume(world.records())
    assert world.tick().outcome == "Succeeded"
    assert world.status(card) == "In Review"


@pytest.mark.parametrize(
    "kind",
    [
        "function-timed-out",
        *(
            pytest.param(kind, marks=pytest.mark.exhaustive)
            for kind in ("state-timed-out", "killed", "GitHubAnswerInvalid")
        ),
    ],
)
@pytest.mark.parametrize("state", ["ValidateWorkItem", "RejectWorkItem"])
def test_card_that_breaks_its_check_does_not_stop_board(world: World, state: str, kind: str) -> None:
    poison = world.bare_card("feature/missing") if state == "RejectWorkItem" else world.card("feature/poison")
    ready = world.card("feature/ready")
    world.backdate(poison)
    world.local.aws.faults.add(parse_fault(f"{state}:{kind}"))
    run = world.tick()
    assert run.outcome == "Succeeded"
    assert names(run).count("FetchWorkItem") == 2
    assert world.status(ready) == "In Review"
    [skipped] = next(entered.document["skipped"] for entered in run.states if entered.name == "AcquireLock")
    assert skipped["item"] == poison.id
    assert skipped["reason"]
    # A function that times out may have done its work.
    left = "NothingToDo" if world.status(poison) == "Blocked" else "CardsPassedOver"
    assert outcomes_after(world, run) == [left], "it comes last, and not before a while has passed"


def test_failed_check_of_pinned_card_is_not_hidden(world: World) -> None:
    card = world.card()
    world.local.aws.faults.add(parse_fault("ValidateWorkItem:GitHubAnswerInvalid"))
    run = world.start({"trigger": "replay", "itemId": card.id})
    assert (run.status, run.error) == ("FAILED", "GitHubAnswerInvalid")
    assert world.redrive(run).outcome == "Succeeded"


def test_rejected_cards_without_blocked_status_do_not_starve_the_rest(world: World) -> None:
    world.configure(blockedStatus=None)
    rejected = [world.bare_card(f"feature/missing-{number}") for number in range(12)]
    ready = world.card()
    world.backdate(*rejected)
    first = world.tick()
    assert (first.outcome, len(first.output["skipped"])) == ("CardsPassedOver", 10)
    assert all("does not exist" in skipped["reason"] for skipped in first.output["skipped"])
    assert "the run tried 10 cards" in first.output["reason"]
    second = world.tick()
    assert second.outcome == "Succeeded"
    assert names(second).count("RejectWorkItem") == 2
    assert world.status(ready) == "In Review"
    comments = len(world.comments())
    [third] = world.runs_after(second)
    assert (third.outcome, names(third).count("RejectWorkItem")) == ("CardsPassedOver", 0)
    assert "12 rejected" in third.output["reason"]
    assert third.output["passedOver"]["counts"] == {"Rejected": 12}
    assert len(world.comments()) == comments
    assert set(statuses(world, rejected)) == {"For Implementation"}


def test_moved_card_is_checked_at_once(world: World) -> None:
    world.configure(blockedStatus=None)
    card = world.bare_card("feature/sum")
    world.backdate(card)
    assert names(world.tick())[-1] == "CardsPassedOver"
    world.spec("feature/sum")
    world.github.board.add_pull_request(world.repository, "feature/sum")
    assert names(world.tick()) == ["FetchWorkItem", "WorkItemFound", "CardsPassedOver"]
    world.github.board.move(card, "Todo")
    world.github.board.move(card, "For Implementation")
    assert world.tick().outcome == "Succeeded"


def test_draft_gets_its_reason_in_the_output(world: World) -> None:
    draft = world.github.board.add_card(world.project, "An idea", status="For Implementation")
    run = world.tick()
    [skipped] = run.output["skipped"]
    assert skipped["item"] == draft.id
    assert "convert the draft to an issue" in skipped["reason"]
    assert world.comments() == []
