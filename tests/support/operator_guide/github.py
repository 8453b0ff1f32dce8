"""Problems with GitHub's API: the network, the token and the board."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gql.transport.exceptions import TransportServerError

from kiro_worker.names import Names
from tests.support.fake_github import Board, FakeCard, FakeGitHub, ready_repository
from tests.support.operator_guide.installation import PARAMETER, PUT_PARAMETER, TOKEN, put_secret
from tests.support.operator_guide.problem import Problem, Seen
from tests.support.operator_guide.step import ITEM, Installation, in_step

NAMES: Final = Names("test")
TOKENS: Final = "https://github.com/settings/tokens"
TICK: Final = "the next scheduled run continues"
API: Final = "127.0.0.1"
"""The host of the API in these tests, which is ``api.github.com`` otherwise."""


def fetching(change: Callable[[Installation], object]) -> Callable[[], Seen]:
    return in_step("FetchWorkItem", change)


def reached_at(url: str) -> Callable[[], Seen]:
    """Return a function that looks for a card, with this address of the API in the parameter."""
    return fetching(lambda it: it.aws.configuration.update(githubApiUrl=url))


def graphql(kind: str, message: str, **headers: str) -> Callable[[], Seen]:
    """Return a function to which GitHub answers with this error."""

    def change(it: Installation) -> None:
        it.github.errors = {"FetchWorkItem": {"type": kind, "message": message}}
        it.github.answer_with_headers(**headers)

    return fetching(change)


def http(status: int, body: str = "", **headers: str) -> Callable[[], Seen]:
    """Return a function to which GitHub's server answers with this status."""

    def change(it: Installation) -> None:
        it.github.outages = {"FetchWorkItem": TransportServerError(body, status)}
        it.github.answer_with_headers(**headers)

    return fetching(change)


def board(**changes: Any) -> Callable[[], Seen]:
    """Return a function that looks for a card on a board with these changes."""
    return fetching(lambda it: setattr(it, "github", FakeGitHub(Board(**changes))))


class OtherBoard(FakeGitHub):
    """A board whose project has these fields instead of its own."""

    def __init__(self, project: dict[str, Any] | None) -> None:
        super().__init__(Board([FakeCard("CARD")]))
        self._project_answer = project

    def _fetch(self, variables: dict[str, Any]) -> dict[str, Any]:
        found = super()._fetch(variables)
        if self._project_answer is None:
            return {"organization": {"projectV2": None}}
        found["organization"]["projectV2"].update(self._project_answer)
        return found


class OddGitHub(FakeGitHub):
    """A server whose answers have another shape."""

    def _fetch(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"organization": [variables["owner"]]}


def other_board(project: dict[str, Any] | None) -> Callable[[], Seen]:
    return fetching(lambda it: setattr(it, "github", OtherBoard(project)))


NETWORK: Final = (
    Problem(
        "The host of the API has no address (DNS), or cannot be reached",
        "GitHubUnavailable",
        "cannot be reached",
        "github.invalid",
        f"check githubApiUrl in the configuration parameter {PARAMETER}, which is http://github.invalid/graphql",
        reached_at("http://github.invalid/graphql"),
    ),
    Problem(
        "`githubApiUrl` leads to another page",
        "GitHubUnavailable",
        "answers 404",
        API,
        f"check that githubApiUrl in the configuration parameter {PARAMETER} is the address of GitHub's GraphQL API",
        http(404),
    ),
    Problem(
        "GitHub has an incident",
        "GitHubUnavailable",
        "answers 502",
        API,
        "try again when https://www.githubstatus.com reports no incident",
        http(502),
    ),
    Problem(
        "Something answers that is not GitHub's GraphQL API",
        "GitHubAnswerInvalid",
        "GitHub's answer does not follow its schema",
        "organization",
        "githubApiUrl",
        fetching(lambda it: setattr(it, "github", OddGitHub())),
    ),
    Problem(
        "The primary rate limit is exhausted",
        "GitHubRateLimited",
        "rate limit is exhausted: wait",
        "of the GitHub token's account",
        TICK,
        http(403, retry_after="30"),
    ),
    Problem(
        "The secondary rate limit is exhausted",
        "GitHubRateLimited",
        "rate limit is exhausted: wait 60 s",
        "of the GitHub token's account",
        TICK,
        graphql("RATE_LIMITED", "You have exceeded a secondary rate limit"),
    ),
)
TOKEN_PROBLEMS: Final = (
    Problem(
        "GitHub rejects a request",
        "GitHubRefused",
        "GitHub refuses the request (UNPROCESSABLE): the field is closed",
        "the field is closed",
        "check the object that the message names, then redrive the execution",
        graphql("UNPROCESSABLE", "the field is closed"),
    ),
    Problem(
        "The token is invalid or has expired (401)",
        "GitHubTokenInvalid",
        "answers 401: the token is wrong, expired or revoked",
        TOKEN,
        put_secret(TOKEN),
        http(401),
    ),
    Problem(
        "The token may not use the API (403)",
        "GitHubForbidden",
        "answers 403: the token may not use this API",
        TOKEN,
        f"authorize the token for the organization's single sign-on at {TOKENS}",
        http(403),
    ),
    Problem(
        "The token lacks a scope",
        "GitHubScopesInsufficient",
        "lacks a scope; it has: repo",
        TOKEN,
        f"give the token the scopes repo and project at {TOKENS}",
        graphql("INSUFFICIENT_SCOPES", "needs read:project", x_oauth_scopes="repo"),
    ),
    Problem(
        "The organization requires single sign-on",
        "GitHubForbidden",
        "Resource protected by organization SAML enforcement",
        TOKEN,
        f"authorize the token for the organization's single sign-on at {TOKENS} (Configure SSO)",
        graphql("FORBIDDEN", "Resource protected by organization SAML enforcement. You must grant access."),
    ),
    Problem(
        "The token may not see the project",
        "GitHubForbidden",
        "Resource not accessible by personal access token",
        TOKEN,
        f"give the token access to this organization, project and repository at {TOKENS}",
        graphql("FORBIDDEN", "Resource not accessible by personal access token"),
    ),
)
BOARD: Final = (
    Problem(
        "The project is not found",
        "ProjectNotFound",
        "has no project 1 that the token can see",
        "the organization acme",
        PUT_PARAMETER,
        other_board(None),
    ),
    Problem(
        "A configured status is not on the board",
        "StatusNotFound",
        "has no status 'Ready', 'Blocked'; it has 'Todo'",
        'the board "Work"',
        PUT_PARAMETER,
        board(statuses=("Todo", "In Progress", "In Review", "Failed")),
    ),
    Problem(
        "The board has no status field of that name",
        "StatusNotFound",
        'has no single-select field "Status"',
        'the board "Work"',
        PUT_PARAMETER,
        other_board({"statusField": None}),
    ),
    Problem(
        "The card that the input names does not exist",
        "WorkItemNotFound",
        "there is no card 'PVTI_gone' that the token can see",
        "PVTI_gone",
        "start without itemId to take the next card",
        in_step("FetchWorkItem", lambda _: None, execution_input={"itemId": "PVTI_gone"}),
    ),
    Problem(
        "The execution's input is wrong",
        "InvalidExecutionInput",
        "itemid: Extra inputs are not permitted",
        "the execution's input",
        "start it with {} for the next card",
        in_step("FetchWorkItem", lambda _: None, execution_input={"itemid": "PVTI_1"}),
    ),
    Problem(
        "A redriven run's card was moved to another status",
        "WorkItemMoved",
        "is in 'Elsewhere'",
        "the card CARD",
        "move the card to 'Ready'",
        in_step(
            "FetchWorkItem",
            lambda it: it.github.board.cards.append(FakeCard("CARD", "Elsewhere")),
            execution_input={"itemId": "CARD"},
        ),
    ),
    Problem(
        "The card that the input names is not ready",
        "WorkItemRefused",
        "the branch feature/x does not exist",
        "the card CARD was not touched",
        "follow the instruction on each line, then redrive this execution",
        in_step(
            "ValidateWorkItem",
            lambda it: setattr(it.github.board, "repository", ready_repository(ref=None)),
            {"item": {**ITEM, "branch": "feature/x"}},
            {"itemId": "CARD"},
        ),
    ),
)
