"""The session with GitHub: one request, one answer or one error by name.

Queries are retried here for as long as a function can wait, with an eye on GitHub's headers; what needs more patience
is raised and waited out by the state machine. Mutations are never retried here: their effect may have happened
although the answer was lost, and only the step that reads first and writes then is safe to repeat.

https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import ClientTimeout
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import (
    TransportConnectionFailed,
    TransportError,
    TransportProtocolError,
    TransportQueryError,
    TransportServerError,
)

from kiro_worker.errors import (
    GitHubError,
    GitHubForbidden,
    GitHubRateLimited,
    GitHubRefused,
    GitHubScopesInsufficient,
    GitHubTokenInvalid,
    GitHubUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from aiohttp import ClientResponse
    from gql.client import AsyncClientSession

REQUEST_SECONDS: Final = 12.0
"""GitHub itself gives up after 10 s. Three attempts and their waits must fit a function of 60 s."""
_QUERY_ATTEMPTS: Final = 3
_LONGEST_WAIT: Final = 8.0
"""Seconds a query may wait inside a function of 60 s; a longer wait is the state machine's, which does not bill for
it.
"""
_SECONDARY_LIMIT_WAIT: Final = 60.0


@dataclass(frozen=True)
class Answer:
    """What GitHub said. ``errors`` may stand beside partial ``data``; header names are lower case."""

    data: Mapping[str, Any]
    errors: tuple[Mapping[str, Any], ...]
    headers: Mapping[str, str]


class UnknownArgument(Exception):
    """The server's schema does not know an argument of ours. Never leaves this package."""


class GitHubSession:
    """An open session. ``sleep`` and ``jitter`` are edges: seconds to wait, and a factor in [0, 1)."""

    def __init__(
        self,
        session: AsyncClientSession,
        transport: AIOHTTPTransport,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._session = session
        self._transport = transport
        self._sleep = sleep
        self._jitter = jitter

    async def query(self, operation: GraphQLRequest, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The data of a query, or a :class:`GitHubError` by name. ``NOT_FOUND`` leaves a null in the data and is no
        error.
        """
        attempt = 1
        while True:
            try:
                return await self._once(operation, variables, tolerated=("NOT_FOUND",))
            except (GitHubUnavailable, GitHubRateLimited) as error:
                wait = _wait(error, attempt, self._jitter())
                if attempt == _QUERY_ATTEMPTS or wait > _LONGEST_WAIT:
                    raise
            await self._sleep(wait)
            attempt += 1

    async def mutate(self, operation: GraphQLRequest, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The data of a mutation, tried once. What is not there to be written to is :class:`GitHubRefused`."""
        return await self._once(operation, variables, tolerated=())

    async def _once(
        self, operation: GraphQLRequest, variables: Mapping[str, Any], tolerated: tuple[str, ...]
    ) -> Mapping[str, Any]:
        answer = await self._send(operation, variables)
        _raise_for_errors(answer, tolerated)
        return answer.data

    async def _send(self, operation: GraphQLRequest, variables: Mapping[str, Any]) -> Answer:
        request = GraphQLRequest(operation.document, variable_values=dict(variables))
        try:
            result = await self._session.execute(request, get_execution_result=True)
        except TransportQueryError as error:
            return Answer(error.data or {}, tuple(error.errors or ()), self._headers())
        except TransportServerError as error:
            raise _for_status(error.code, self._headers()) from None
        except TransportProtocolError:
            raise GitHubUnavailable("GitHub's answer was not GraphQL", "https://www.githubstatus.com") from None
        except (TransportConnectionFailed, TransportError, TimeoutError, OSError) as error:
            if isinstance(error.__cause__, _SecondaryLimit):
                raise _rate_limited(error.__cause__.headers) from None
            raise GitHubUnavailable(
                f"no answer from GitHub: {type(error).__name__}", "https://www.githubstatus.com"
            ) from None
        return Answer(result.data or {}, (), self._headers())

    def _headers(self) -> Mapping[str, str]:
        return _lower(self._transport.response_headers or {})


@asynccontextmanager
async def github_session(url: str, token: str) -> AsyncIterator[GitHubSession]:
    """A session with the GraphQL API at ``url``. One a Lambda invocation: a connection kept across event loops does
    not work.
    """
    transport = AIOHTTPTransport(
        url=url,
        headers={"Authorization": f"bearer {token}", "User-Agent": "kiro-codebuild-worker"},
        client_session_args={
            "timeout": ClientTimeout(total=REQUEST_SECONDS),
            "raise_for_status": _tell_secondary_limit_from_forbidden,
        },
    )
    client = Client(transport=transport, execute_timeout=REQUEST_SECONDS + 1)
    async with client as session:
        yield GitHubSession(session, transport)


class _SecondaryLimit(Exception):
    """A 403 whose body speaks of a rate limit."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.headers = _lower(headers)


async def _tell_secondary_limit_from_forbidden(response: ClientResponse) -> None:
    """gql raises for a 403 without its body, and the body alone tells a secondary limit without ``retry-after`` from a
    refusal.
    """
    if response.status == 403 and "rate limit" in (await response.text()).lower():
        raise _SecondaryLimit(response.headers)


def _wait(error: GitHubError, attempt: int, jitter: float) -> float:
    return error.retry_after if isinstance(error, GitHubRateLimited) else jitter * float(2**attempt)


def _for_status(code: int | None, headers: Mapping[str, str]) -> GitHubError:
    if code == 401:
        return GitHubTokenInvalid(
            "GitHub answers 401: the token is wrong, expired or revoked",
            "create a token with the scopes repo and project, then "
            "aws secretsmanager put-secret-value --secret-id kiro-worker-<environment>-github-token"
            " --secret-string 'ghp_…'",
        )
    if code in (403, 429) and ("retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"):
        return _rate_limited(headers)
    if code == 403:
        return GitHubForbidden(
            "GitHub answers 403: the token may not use this API",
            "check the token's organisation access and SSO",
        )
    return GitHubUnavailable(f"GitHub answers {code}", "https://www.githubstatus.com")


def _raise_for_errors(answer: Answer, tolerated: tuple[str, ...]) -> None:
    for error in answer.errors:
        kind, message = str(error.get("type", "")), str(error.get("message", ""))
        if kind in tolerated:
            continue
        if (
            kind in ("RATE_LIMIT", "RATE_LIMITED")
            or answer.headers.get("x-ratelimit-remaining") == "0"
            or "rate limit" in message.lower()
        ):
            raise _rate_limited(answer.headers)
        if kind == "INSUFFICIENT_SCOPES":
            has = answer.headers.get("x-oauth-scopes", "")
            raise GitHubScopesInsufficient(
                f"the GitHub token lacks a scope; it has: {has or 'none'}",
                "give the token the scopes repo and project at https://github.com/settings/tokens",
            )
        if kind in ("FORBIDDEN", "UNAUTHORIZED") or "not accessible by" in message.lower():
            raise GitHubForbidden(
                f"GitHub forbids it: {message}",
                "give the token access to this organisation, project and repository",
            )
        if "argument 'query'" in message or error.get("extensions", {}).get("code") == "argumentNotAccepted":
            raise UnknownArgument(message)
        if kind:
            raise GitHubRefused(
                f"GitHub refuses it ({kind}): {message}", "see what the message names, then redrive the execution"
            )
        raise GitHubUnavailable(f"GitHub reports: {message}", "https://www.githubstatus.com")


def _rate_limited(headers: Mapping[str, str]) -> GitHubRateLimited:
    """A rate limit, with ``retry_after`` seconds: the header's, the time to the primary limit's reset, or a minute."""
    if "retry-after" in headers:
        seconds = _number(headers["retry-after"], _SECONDARY_LIMIT_WAIT)
    elif headers.get("x-ratelimit-remaining") == "0":
        seconds = max(
            _number(headers.get("x-ratelimit-reset", ""), time.time() + _SECONDARY_LIMIT_WAIT) - time.time(),
            0,
        )
    else:
        seconds = _SECONDARY_LIMIT_WAIT
    error = GitHubRateLimited(
        f"GitHub's rate limit is used up; it asks to wait {seconds:.0f} s",
        "wait; the schedule's next tick goes on by itself",
    )
    error.retry_after = seconds
    return error


def _lower(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _number(text: str, otherwise: float) -> float:
    try:
        return float(text)
    except ValueError:
        return otherwise
