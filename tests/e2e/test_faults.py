"""GitHub's faults and bad input end in a named error or a retry: no write, no leak, and no lock left held."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kiro_local.aws.http import Refusal
from kiro_local.faults import parse_fault
from kiro_local.github.faults import FaultKind
from kiro_local.github.git_repository import Submodule, Symlink
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.executions.history import Run
from tests.e2e.conftest import RequestHook
from tests.support.settings import parameter
from tests.support.world import TOKEN, World, names

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (FaultKind.BAD_GATEWAY, {}),
        (FaultKind.RESET, {}),
        (FaultKind.SECONDARY_LIMIT, {"seconds": 1}),
        (FaultKind.SECONDARY_LIMIT, {"seconds": 1, "status": 200}),
        (FaultKind.RATE_LIMITED, {"seconds": 2}),
        (FaultKind.SLOW, {"seconds": 2}),
    ],
)
def test_temporary_query_fault_is_retried(world: World, kind: FaultKind, more: dict[str, Any]) -> None:
    world.github.faults.add(kind, "FetchWorkItem", **more)
    assert world.tick().outcome == "NothingToDo"


@pytest.mark.parametrize("operation", ["SetStatus", "AddComment"])
@pytest.mark.parametrize("kind", [FaultKind.BAD_GATEWAY, FaultKind.RESET, FaultKind.LOST_ANSWER])
def test_uncertain_write_is_retried(world: World, operation: str, kind: FaultKind) -> None:
    card = world.card()
    world.entered["MarkInReview"] = lambda: world.github.faults.add(kind, operation)
    run = world.tick()
    assert run.outcome == "Succeeded"
    assert world.status(card) == "In Review"
    assert len(world.comments()) == 1


@pytest.mark.parametrize(
    ("kind", "more", "error"),
    [
        (FaultKind.UNAUTHORIZED, {}, "GitHubTokenInvalid"),
        (FaultKind.INSUFFICIENT_SCOPES, {}, "GitHubScopesInsufficient"),
        (FaultKind.FORBIDDEN, {}, "GitHubForbidden"),
        (FaultKind.BAD_GATEWAY, {}, "GitHubUnavailable"),
        (FaultKind.RATE_LIMITED, {"seconds": 1800}, "GitHubRateLimited"),
        (FaultKind.SECONDARY_LIMIT, {"seconds": 0}, "GitHubRateLimited"),
    ],
)
def test_lasting_fault_fails_by_name(world: World, kind: FaultKind, more: dict[str, Any], error: str) -> None:
    card = world.card()
    world.github.faults.add(kind, times=None, **more)
    check_failed_untouched(world, world.tick(), error)
    assert world.status(card) == "For Implementation"


def check_failed_untouched(world: World, run: Run, error: str) -> None:
    """The run failed with that error in its first state, said how to fix it, and changed nothing."""
    assert (run.status, run.error, names(run)) == ("FAILED", error, ["FetchWorkItem"])
    message = json.loads(run.cause)["errorMessage"]
    assert "How to fix:" in message
    assert TOKEN not in run.cause
    assert world.local.lock() is None
    assert world.comments() == []


# State, operation, answer, and a fault of the build that leads to the state.
REFUSALS = [
    ("FetchWorkItem", "DynamoDB_20120810.Scan", Refusal("ProvisionedThroughputExceededException"), ""),
    ("ValidateWorkItem", "secretsmanager.GetSecretValue", Refusal("InternalServiceError", 500), ""),
    ("AcquireLock", "AmazonSSM.GetParameter", Refusal("ThrottlingException"), ""),
    ("ReleaseLock", "DynamoDB_20120810.UpdateItem", Refusal("RequestLimitExceeded"), ""),
    ("ReadBuildResult", "CodeBuild_20161006.BatchGetBuilds", Refusal("ThrottlingException"), "upload-failed"),
    (
        "ReadBuildResult",
        "CodeBuild_20161006.ListBuildsForProject",
        Refusal("ServiceUnavailable", 503),
        "build-service-error:always",
    ),
]
# More than boto3 itself tries, and fewer than it tries in two invocations.
REFUSED_TIMES = 4


@pytest.mark.parametrize(
    ("state", "operation", "refusal", "fault"), REFUSALS, ids=[f"{row[0]}-{row[1]}" for row in REFUSALS]
)
def test_temporary_refusal_by_aws_is_retried(
    world: World,
    request_hook: RequestHook,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    operation: str,
    refusal: Refusal,
    fault: str,
) -> None:
    card, left = world.card(), REFUSED_TIMES

    def refuse(requested: str) -> None:
        nonlocal left
        if requested == operation and left:
            left -= 1
            raise refusal

    if fault:
        world.local.aws.faults.add(parse_fault(f"RunBuild:{fault}"))
        executions = world.local.aws.executions
        # Without the exported variables, so that the Cause is not enough.
        short = replace(executions.undocumented, failed_build_cause_characters=300)
        monkeypatch.setattr(executions, "undocumented", short)
    world.entered[state] = lambda: setattr(request_hook, "hook", refuse)
    run = world.tick()
    world.local.aws.faults.clear()
    assert left == 0
    assert [error for name, error in task_failures(world, run) if name == state] == ["AwsUnavailable"]
    expected = ("For Implementation", "BuildNotStarted") if "List" in operation else ("In Review", "")
    assert (world.status(card), run.error) == expected, run.cause


def task_failures(world: World, run: Run) -> list[tuple[str, str]]:
    """The state and the error of each failure of a Task, also of those that were retried."""
    events = world.local.client("stepfunctions").get_execution_history(executionArn=run.arn, maxResults=1000)["events"]
    found, state = [], ""
    for event in events:
        state = event.get("stateEnteredEventDetails", {}).get("name", state)
        if event["type"] == "TaskFailed":
            found.append((state, event["taskFailedEventDetails"]["error"]))
    return found


CONFIGURATION: list[tuple[str, Callable[[dict[str, Any]], Any], str, str]] = [
    ("no parameter", lambda _: None, "ConfigurationMissing", "aws ssm put-parameter"),
    ("not JSON", lambda _: "{", "ConfigurationInvalid", "is not JSON"),
    ("unknown key", lambda good: good | {"projectNumbr": 1}, "ConfigurationInvalid", 'did you mean "projectNumber"'),
    ("wrong type", lambda good: good | {"projectNumber": "one"}, "ConfigurationInvalid", "projectNumber"),
    ("unknown project", lambda good: good | {"projectNumber": 77}, "ProjectNotFound", "has no project 77"),
    ("unknown owner", lambda good: good | {"organization": "nobody"}, "ProjectNotFound", "nobody"),
    (
        "unknown status",
        lambda good: good | {"targetStatusColumn": "Redy"},
        "StatusNotFound",
        "'In Progress', 'In Review'",
    ),
    ("unknown field", lambda good: good | {"statusField": "Stage"}, "StatusNotFound", '"Stage"'),
    ("unknown review status", lambda good: good | {"reviewStatus": "Reviw"}, "StatusNotFound", "'Reviw'"),
]


@pytest.mark.parametrize(
    ("change", "error", "expected"), [row[1:] for row in CONFIGURATION], ids=[row[0] for row in CONFIGURATION]
)
def test_invalid_configuration_fails_by_name(
    world: World, change: Callable[[dict[str, Any]], Any], error: str, expected: str
) -> None:
    world.card()
    changed = change(world.configuration)
    world.local.configure(parameter(changed) if isinstance(changed, dict) else changed)
    run = world.tick()
    check_failed_untouched(world, run, error)
    assert expected in json.loads(run.cause)["errorMessage"]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (" ", "SecretEmpty"),
        ("placeholder", "SecretPlaceholder"),
        ('{"tokn": "hush"}', "SecretMalformed"),
        ("ghp_" + "0" * 36, "GitHubTokenInvalid"),
    ],
)
def test_invalid_token_fails_by_name(world: World, value: str, error: str) -> None:
    world.card()
    world.local.put_secret("github-token", value)
    check_failed_untouched(world, world.tick(), error)


@pytest.mark.parametrize("value", ["git:hush-hush", '{"username":"git","password":"your_token"}'])
def test_invalid_git_credentials_push_nothing(world: World, value: str) -> None:
    card = world.card()
    head = world.head()
    world.local.put_secret("git-credentials", value)
    run = world.tick()
    assert run.status == "FAILED"
    assert (world.head(), world.status(card)) == (head, "For Implementation")
    assert world.local.lock() is None
    assert world.comments() == []
    assert "put-secret-value --secret-id kiro-worker-test-git-credentials" in run.cause
    assert "hush-hush" not in run.cause


@pytest.mark.parametrize(
    "document",
    [
        {"itemid": "PVTI_1"},
        {"trigger": "cron"},
        {"itemId": 7},
        {"itemId": "x; curl"},
        {"skipped": []},
        [],
        "text",
        7,
        None,
    ],
    ids=str,
)
def test_invalid_input_is_rejected(world: World, document: Any) -> None:
    world.card()
    check_failed_untouched(world, world.start(document), "InvalidExecutionInput")


@pytest.mark.parametrize("item_id", ["PVTI_unknown"])
def test_unknown_card_is_named(world: World, item_id: str) -> None:
    check_failed_untouched(world, world.start({"itemId": item_id}), "WorkItemNotFound")


HOSTILE_BRANCHES = ["x;curl${IFS}h|sh", "--upload-pack=touch x", "-f", "../../x", "fe\u0430ture/x", "a\u202eb", "main"]


def test_hostile_branch_names_are_rejected(world: World) -> None:
    cards = [world.bare_card(branch) for branch in HOSTILE_BRANCHES]
    run = world.tick()
    assert run.outcome == "CardsPassedOver"
    assert [world.status(card) for card in cards] == ["Blocked"] * len(cards)
    assert len(world.comments()) == len(cards)
    assert all("How to fix" in comment for comment in world.comments())


def test_hostile_cards_are_rejected(world: World) -> None:
    board = world.github.board
    world.spec("feature/huge", changes={"tasks.md": "- [ ] 1. x\n" + "x" * 10 * 2**20})
    world.spec("feature/link", changes={"design.md": Symlink("/etc/passwd")})
    world.spec("feature/module", changes={"design.md": Submodule("a" * 40)})
    branches = ["feature/huge", "feature/link", "feature/module"]
    for branch in branches:
        board.add_pull_request(world.repository, branch)
    cards = [world.bare_card(branch) for branch in branches]
    cards.append(board.add_card(world.project, "A draft", status="For Implementation"))
    unlisted = board.add_repository(f"{world.organization}/unlisted")
    cards.append(
        board.add_card(world.project, board.add_issue(unlisted, "x"), status="For Implementation", branch="feature/x")
    )
    hidden = [
        board.add_card(world.project, None, status="For Implementation"),
        board.add_card(world.project, None, type_="ISSUE", status="For Implementation"),
    ]
    run = world.tick()
    assert (run.status, run.outcome, names(run).count("RejectWorkItem")) == ("SUCCEEDED", "CardsPassedOver", len(cards))
    assert [world.status(card) for card in cards] == ["Blocked"] * len(cards)
    assert [world.status(card) for card in hidden] == ["For Implementation"] * len(hidden)
    causes = "\n".join(state.document["failure"]["cause"] for state in run.states if state.name == "RejectWorkItem")
    for reason in ("10.5 MB", "is a symbolic link", "is not a file", "is a draft", "not on the list"):
        assert reason in causes
    assert "RunBuild" not in names(run)


def test_archived_repository_is_rejected(world: World) -> None:
    card = world.card()
    world.repository.is_archived = True
    assert world.tick().outcome == "CardsPassedOver"
    assert world.status(card) == "Blocked"


def test_fork_is_rejected(world: World) -> None:
    world.spec("feature/sum")
    world.github.board.add_repository(f"{world.organization}-volunteer/shop", parent=world.repository)
    world.github.board.add_pull_request(
        world.repository, f"{world.organization}-volunteer:feature/sum", association="NONE", author="volunteer"
    )
    card = world.bare_card("feature/sum")
    assert world.tick().outcome == "CardsPassedOver"
    assert world.status(card) == "Blocked"
    assert "comes from a fork" in "\n".join(world.comments())


def test_older_server_is_read_page_by_page(world: World) -> None:
    with StandInGitHub(before_ghes_3_20=True) as older:
        older.add_token(TOKEN)
        project = older.board.add_project(world.organization, number=1)
        for number in range(120):
            older.board.add_card(project, f"Idea {number}", status="Todo")
        card = older.board.add_card(project, "A draft", status="For Implementation")
        world.configure(githubApiUrl=older.graphql_url)
        run = world.tick()
        assert (run.outcome, [skipped["item"] for skipped in run.output["skipped"]]) == ("CardsPassedOver", [card.id])
        # It reads two pages to find the card, and two more to find no other.
        assert len(older.requests.graphql("FetchPage")) == 4
