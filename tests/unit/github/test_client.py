"""The error that the session raises for each HTTP and GraphQL answer, and how long it waits."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from gql import Client
from gql.transport.exceptions import TransportConnectionFailed, TransportProtocolError, TransportServerError

from kiro_worker.errors import (
    GitHubError,
    GitHubForbidden,
    GitHubRateLimited,
    GitHubRefused,
    GitHubScopesInsufficient,
    GitHubTokenInvalid,
    GitHubUnavailable,
)
from kiro_worker.github.client import LARGEST_DOCUMENT, GitHubSession, github_session, rest_url
from kiro_worker.github.queries import READ_CARD, SET_STATUS
from tests.support.fake_github import Board, FakeCard, FakeGitHub

VARIABLES = {"itemId": "ONE", "statusField": "Status", "branchField": "Branch", "specField": "Spec"}
MOVE = {"projectId": "P", "itemId": "ONE", "fieldId": "F", "optionId": "option-Blocked"}


def ask(fake: FakeGitHub, *, mutation: bool = False, recovers_after: int = 0) -> list[float]:
    """Send one operation. Returns the seconds that the session waited between its attempts."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == recovers_after:
            fake.outages.clear()

    async def act() -> None:
        async with Client(transport=fake) as transport_session:
            session = GitHubSession(transport_session, fake, sleep, jitter=lambda: 0.5)
            if mutation:
                await session.mutate(SET_STATUS, MOVE)
            else:
                await session.query(READ_CARD, VARIABLES)

    asyncio.run(act())
    return waits


def http(code: int, **headers: str) -> FakeGitHub:
    """GitHub answers every request with this HTTP status."""
    fake = FakeGitHub(Board([FakeCard("ONE")]))
    fake.outages = dict.fromkeys(("ReadCard", "SetStatus"), TransportServerError("no", code))
    fake.answer_with_headers(**headers)
    return fake


def graphql(**error: Any) -> FakeGitHub:
    """GitHub answers every request with this GraphQL error."""
    fake = FakeGitHub(Board([FakeCard("ONE")]))
    fake.errors = dict.fromkeys(("ReadCard", "SetStatus"), error)
    return fake


@pytest.mark.parametrize("code", [403, 429])
def test_retry_after_is_a_rate_limit(code: int) -> None:
    with pytest.raises(GitHubRateLimited, match="wait 17 s") as caught:
        ask(http(code, retry_after="17"))
    assert caught.value.retry_after == 17


@pytest.mark.parametrize("code", [403, 429])
def test_primary_limit_waits_until_reset(code: int) -> None:
    with pytest.raises(GitHubRateLimited) as caught:
        ask(http(code, x_ratelimit_remaining="0", x_ratelimit_reset=str(int(time.time()) + 1800)))
    assert 1790 < caught.value.retry_after <= 1800


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "soon"},
        {"retry_after": ""},
        {"retry_after": "nan"},
        {"retry_after": "inf"},
        {"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"},
        {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "tomorrow"},
        {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "nan"},
        {"x_ratelimit_remaining": "0"},
    ],
    ids=str,
)
def test_broken_limit_header_waits_a_minute(headers: dict[str, str]) -> None:
    with pytest.raises(GitHubRateLimited) as caught:
        ask(http(429, **headers))
    assert caught.value.retry_after == pytest.approx(60, abs=1)


def test_broken_retry_after_counts_as_absent() -> None:
    reset = str(int(time.time()) + 1800)
    with pytest.raises(GitHubRateLimited) as caught:
        ask(http(429, retry_after="nan", x_ratelimit_remaining="0", x_ratelimit_reset=reset))
    assert 1790 < caught.value.retry_after <= 1800


def test_reset_in_the_past_waits_no_longer() -> None:
    fake = http(429, x_ratelimit_remaining="0", x_ratelimit_reset="1")
    with pytest.raises(GitHubRateLimited) as caught:
        ask(fake)
    assert caught.value.retry_after == 0
    assert fake.sent() == ["ReadCard"] * 3


@pytest.mark.parametrize(("seconds", "attempts"), [("8", 3), ("9", 1)])
def test_long_wait_is_left_to_state_machine(seconds: str, attempts: int) -> None:
    fake = http(429, retry_after=seconds)
    with pytest.raises(GitHubRateLimited):
        ask(fake)
    assert len(fake.requests) == attempts


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_http_error_without_headers_is_an_outage(code: int) -> None:
    fake = http(code)
    with pytest.raises(GitHubUnavailable, match=f"answers {code}"):
        ask(fake)
    assert fake.sent() == ["ReadCard"] * 3


def test_query_waits_longer_each_time() -> None:
    assert ask(http(502), recovers_after=2) == [1.0, 2.0]
    assert ask(http(429, retry_after="3"), recovers_after=2) == [3.0, 3.0]


@pytest.mark.parametrize(("code", "error"), [(401, GitHubTokenInvalid), (403, GitHubForbidden)])
def test_rejected_token_is_not_tried_again(code: int, error: type[GitHubError]) -> None:
    fake = http(code)
    with pytest.raises(error, match=f"answers {code}"):
        ask(fake)
    assert fake.sent() == ["ReadCard"]


@pytest.mark.parametrize(
    "outage",
    [TransportConnectionFailed("refused"), TransportProtocolError("HTML"), TimeoutError(), OSError("reset")],
    ids=lambda outage: type(outage).__name__,
)
def test_missing_answer_is_an_outage(outage: Exception) -> None:
    fake = FakeGitHub(Board([FakeCard("ONE")]))
    fake.outages["ReadCard"] = outage
    with pytest.raises(GitHubUnavailable):
        ask(fake)


@pytest.mark.parametrize(
    "fake", [http(502), http(429, retry_after="1"), graphql(message="something went wrong")], ids=["502", "429", "text"]
)
def test_mutation_is_sent_once(fake: FakeGitHub) -> None:
    with pytest.raises(GitHubError):
        ask(fake, mutation=True)
    assert fake.sent() == ["SetStatus"]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ({"type": "RATE_LIMITED", "message": "slow down"}, GitHubRateLimited),
        ({"message": "You have exceeded a secondary rate limit"}, GitHubRateLimited),
        ({"type": "INSUFFICIENT_SCOPES", "message": "no"}, GitHubScopesInsufficient),
        ({"type": "FORBIDDEN", "message": "no"}, GitHubForbidden),
        ({"message": "Resource not accessible by personal access token"}, GitHubForbidden),
        ({"type": "UNPROCESSABLE", "message": "no"}, GitHubRefused),
        ({"message": "something went wrong"}, GitHubUnavailable),
    ],
    ids=lambda value: str(value.get("type") or value["message"])[:20] if isinstance(value, dict) else "",
)
def test_graphql_error_has_its_name(error: dict[str, Any], raised: type[GitHubError]) -> None:
    with pytest.raises(raised) as caught:
        ask(graphql(**error))
    assert type(caught.value) is raised


def test_spent_limit_names_any_error() -> None:
    fake = graphql(type="FORBIDDEN", message="no")
    fake.answer_with_headers(x_ratelimit_remaining="0", x_ratelimit_reset="broken")
    with pytest.raises(GitHubRateLimited):
        ask(fake)


def test_missing_scope_names_present_ones() -> None:
    fake = graphql(type="INSUFFICIENT_SCOPES", message="no")
    fake.answer_with_headers(X_OAuth_Scopes="gist, repo")
    with pytest.raises(GitHubScopesInsufficient, match="it has: gist, repo"):
        ask(fake)


def test_missing_object_is_null_for_query_only() -> None:
    error = {"type": "NOT_FOUND", "message": "no"}
    assert ask(graphql(**error)) == []
    with pytest.raises(GitHubRefused, match="NOT_FOUND"):
        ask(graphql(**error), mutation=True)


@pytest.mark.parametrize("kind", ["INTERNAL", "SERVICE_UNAVAILABLE"])
def test_typed_outage_is_tried_again(kind: str) -> None:
    fake = graphql(type=kind, message="Something went wrong", path=["organization", "projectV2", "items"])
    with pytest.raises(GitHubUnavailable, match=kind):
        ask(fake)
    assert fake.sent() == ["ReadCard"] * 3


@pytest.mark.parametrize("errors", [7, "text", {}, [None], ["text"], [{"message": None}], [{"type": 7}]], ids=repr)
def test_odd_errors_are_named(errors: object) -> None:
    fake = FakeGitHub(Board([FakeCard("ONE")]))
    fake.answer_with_errors(errors)
    with pytest.raises(GitHubError):
        ask(fake)


def unreachable(url: str) -> GitHubUnavailable:
    """The error of a request to ``url``, over the real transport."""

    async def no_wait(_seconds: float) -> None:
        return None

    async def act() -> None:
        async with github_session(url, "token") as session:
            session._sleep = no_wait
            await session.query(READ_CARD, VARIABLES)

    with pytest.raises(GitHubUnavailable) as caught:
        asyncio.run(act())
    return caught.value


def test_unreachable_host_is_named() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    error = unreachable(f"http://127.0.0.1:{port}/graphql")
    assert error.reason.startswith("127.0.0.1 cannot be reached: ")
    assert "Connect call failed" in error.reason
    assert f"/github-project-config, which is http://127.0.0.1:{port}/graphql" in error.remedy


def test_unknown_host_is_named() -> None:
    assert unreachable("http://github.invalid/graphql").reason.startswith("github.invalid cannot be reached: ")


@pytest.mark.parametrize(
    ("graphql", "rest"),
    [
        ("https://api.github.com/graphql", "https://api.github.com"),
        ("https://api.acme.ghe.com/graphql", "https://api.acme.ghe.com"),
        ("https://github.acme.example/api/graphql", "https://github.acme.example/api/v3"),
        ("https://github.acme.example:8443/api/graphql/", "https://github.acme.example:8443/api/v3"),
        ("http://127.0.0.1:4000/graphql", "http://127.0.0.1:4000"),
        ("https://proxy.example/github", ""),
        ("https://proxy.example/graphql/x", ""),
    ],
)
def test_rest_api_is_beside_graphql(graphql: str, rest: str) -> None:
    assert rest_url(graphql) == rest


def document(fake: FakeGitHub) -> object:
    async def act() -> object:
        async with fake.open_session() as session:
            return await session.get("repos/acme/shop/compare/a...b")

    return asyncio.run(act())


def test_rest_document_is_read() -> None:
    fake = FakeGitHub(Board(comparison={"files": ["ü" * 10_000]}))
    assert document(fake) == {"files": ["ü" * 10_000]}
    assert fake.rest == ["https://github.invalid/repos/acme/shop/compare/a...b"]


def test_unusable_rest_answer_is_none() -> None:
    assert document(FakeGitHub()) is None
    assert document(FakeGitHub(Board(comparison="x" * LARGEST_DOCUMENT))) is None
