"""The session with GitHub: each request returns one answer or raises one named error.

Queries are retried here after the wait that GitHub's headers ask for, as long as a function can wait that long. For a
longer wait, the error is raised and the state machine waits. Mutations are never retried here: one may have taken
effect even though its answer was lost, so only the whole step, which reads before it writes, is safe to repeat.

https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

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
    GitHubAnswerInvalid,
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
"""GitHub itself gives up after 10 s. Three attempts and their waits must fit into a function of 60 s."""
_QUERY_ATTEMPTS: Final = 3
_LONGEST_WAIT: Final = 8.0
"""How many seconds a query may wait inside a function of 60 s. The state machine handles longer waits, at no cost."""
_SECONDARY_LIMIT_WAIT: Final = 60.0
_OUTAGES: Final = frozenset(
    {"INTERNAL", "INTERNAL_ERROR", "INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "LOADING", "TIMEOUT"}
)
"""Kinds of errors that GitHub reports when a part of it does not work. A retry may succeed."""
_WAIT_FOR_GITHUB: Final = "try again when https://www.githubstatus.com reports no incident"
_WRONG_URL: Final = (
    "check that githubApiUrl in the configuration parameter is the address of GitHub's GraphQL API, and that no proxy"
    f" answers in its place; otherwise {_WAIT_FOR_GITHUB}"
)


@dataclass(frozen=True)
class Response:
    """What GitHub returned. ``data`` may be partial when there are ``errors``; header names are in lower case."""

    data: Mapping[str, Any]
    errors: tuple[Mapping[str, Any], ...]
    headers: Mapping[str, str]


class UnknownArgument(Exception):
    """The server's schema lacks an argument that the worker sent. Never raised outside this package."""


class GitHubSession:
    """An open session. ``sleep`` waits for a number of seconds, ``jitter`` returns a factor in [0, 1)."""

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

    async def query(
        self, operation: GraphQLRequest, variables: Mapping[str, Any], optional: tuple[str, ...] = ()
    ) -> Mapping[str, Any]:
        """The data of a query, retried if necessary. Raises a :class:`GitHubError`.

        ``NOT_FOUND`` is not an error: GitHub returns null for the missing object. Neither is an error below one of
        the ``optional`` fields, which GitHub returns as null if the token may not read them, except for an outage.
        """
        attempt = 1
        while True:
            try:
                return await self._send_once(operation, variables, tolerated=("NOT_FOUND",), optional=optional)
            except (GitHubUnavailable, GitHubRateLimited) as error:
                wait = _seconds_before_retry(error, attempt, self._jitter())
                if attempt == _QUERY_ATTEMPTS or wait > _LONGEST_WAIT:
                    raise
            await self._sleep(wait)
            attempt += 1

    async def mutate(self, operation: GraphQLRequest, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The data of a mutation, sent once. Raises :class:`GitHubRefused` when the object to write to is missing."""
        return await self._send_once(operation, variables, tolerated=())

    async def _send_once(
        self,
        operation: GraphQLRequest,
        variables: Mapping[str, Any],
        tolerated: tuple[str, ...],
        optional: tuple[str, ...] = (),
    ) -> Mapping[str, Any]:
        response = await self._send(operation, variables)
        _raise_for_errors(response, tolerated, optional)
        return response.data

    async def _send(self, operation: GraphQLRequest, variables: Mapping[str, Any]) -> Response:
        request = GraphQLRequest(operation.document, variable_values=dict(variables))
        try:
            result = await self._session.execute(request, get_execution_result=True)
        except TransportQueryError as error:
            listed = error.errors if isinstance(error.errors, list) else []
            errors = tuple(found for found in listed if isinstance(found, dict))
            return Response(error.data or {}, errors or ({},), self._headers())
        except AssertionError:  # gql's, about an answer that has neither
            raise GitHubAnswerInvalid("GitHub's answer has neither data nor errors", _WAIT_FOR_GITHUB) from None
        except TransportServerError as error:
            raise _error_for_status(error.code, self._headers()) from None
        except TransportProtocolError:
            raise GitHubUnavailable(f"{self._transport.url} does not answer in GraphQL", _WRONG_URL) from None
        except (TransportConnectionFailed, TransportError, TimeoutError, OSError) as error:
            if isinstance(error.__cause__, _SecondaryLimit):
                raise _rate_limit_error(error.__cause__.headers) from None
            raise _unreachable(str(self._transport.url), error) from None
        return Response(result.data or {}, (), self._headers())

    def _headers(self) -> Mapping[str, str]:
        return _with_lower_case_names(self._transport.response_headers or {})


@asynccontextmanager
async def github_session(url: str, token: str) -> AsyncIterator[GitHubSession]:
    """A session with the GraphQL API at ``url``.

    Open one per Lambda invocation, because a connection does not survive its event loop.
    """
    transport = AIOHTTPTransport(
        url=url,
        headers={"Authorization": f"bearer {token}", "User-Agent": "kiro-codebuild-worker"},
        client_session_args={
            "timeout": ClientTimeout(total=REQUEST_SECONDS),
            "raise_for_status": _raise_for_secondary_limit,
        },
    )
    client = Client(transport=transport, execute_timeout=REQUEST_SECONDS + 1)
    async with client as session:
        yield GitHubSession(session, transport)


def _unreachable(url: str, error: BaseException) -> GitHubUnavailable:
    """The error for a request that got no answer, with the cause that the operating system or the library names."""
    host = urlsplit(url).hostname or url
    cause: BaseException | None = error
    while isinstance(cause, TransportError) and cause.__cause__:
        cause = cause.__cause__
    if isinstance(cause, TimeoutError):
        reason = f"no answer within {REQUEST_SECONDS:g} s"
    elif isinstance(cause, OSError) and cause.strerror:
        reason = cause.strerror
    else:
        reason = str(cause) or type(cause).__name__
    return GitHubUnavailable(
        f"{host} cannot be reached: {reason}",
        f"check githubApiUrl in the configuration parameter, which is {url}, and that DNS, the proxy and the routes of"
        f" the network lead to that host; otherwise {_WAIT_FOR_GITHUB}",
    )


class _SecondaryLimit(Exception):
    """A 403 whose body mentions a rate limit."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.headers = _with_lower_case_names(headers)


async def _raise_for_secondary_limit(response: ClientResponse) -> None:
    """Raise :class:`_SecondaryLimit` for a rate limit that GitHub reports as 403.

    The error that gql raises lacks the body, and only the body distinguishes a secondary limit without ``retry-after``
    from missing access.
    """
    if response.status == 403 and "rate limit" in (await response.text()).lower():
        raise _SecondaryLimit(response.headers)


def _seconds_before_retry(error: GitHubError, attempt: int, jitter: float) -> float:
    return error.retry_after if isinstance(error, GitHubRateLimited) else jitter * float(2**attempt)


def _error_for_status(code: int | None, headers: Mapping[str, str]) -> GitHubError:
    if code == 401:
        return GitHubTokenInvalid(
            "GitHub answers 401: the token is wrong, expired or revoked",
            "create a token with the scopes repo and project, then store it: "
            "aws secretsmanager put-secret-value --secret-id kiro-worker-<environment>-github-token"
            " --secret-string 'ghp_…'",
        )
    if code in (403, 429) and ("retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"):
        return _rate_limit_error(headers)
    if code == 403:
        return GitHubForbidden(
            "GitHub answers 403: the token may not use this API",
            "check the token's access to the organization, and authorize the token for single sign-on",
        )
    return GitHubUnavailable(f"GitHub answers {code}", _WRONG_URL if code in (404, 405) else _WAIT_FOR_GITHUB)


def _raise_for_errors(response: Response, tolerated: tuple[str, ...], optional: tuple[str, ...]) -> None:
    for error in response.errors:
        kind, message = str(error.get("type") or ""), str(error.get("message") or "no message")
        if kind in tolerated:
            continue
        if (
            kind in ("RATE_LIMIT", "RATE_LIMITED")
            or response.headers.get("x-ratelimit-remaining") == "0"
            or "rate limit" in message.lower()
        ):
            raise _rate_limit_error(response.headers)
        if kind in _OUTAGES:
            raise GitHubUnavailable(f"GitHub reports an error ({kind}): {message}", _WAIT_FOR_GITHUB)
        if _is_below(optional, error.get("path")) and response.data:
            continue
        raise _error_of_kind(kind, message, response)


def _error_of_kind(kind: str, message: str, response: Response) -> Exception:
    if kind == "INSUFFICIENT_SCOPES":
        present = response.headers.get("x-oauth-scopes", "")
        return GitHubScopesInsufficient(
            f"the GitHub token lacks a scope; it has: {present or 'none'}",
            "give the token the scopes repo and project at https://github.com/settings/tokens",
        )
    if kind in ("FORBIDDEN", "UNAUTHORIZED") or "not accessible by" in message.lower():
        return GitHubForbidden(
            f"GitHub denies access: {message}", "give the token access to this organization, project and repository"
        )
    if "argument 'query'" in message:
        return UnknownArgument(message)
    if kind:
        return GitHubRefused(
            f"GitHub refuses the request ({kind}): {message}",
            "check the object that the message names, then redrive the execution",
        )
    return GitHubUnavailable(f"GitHub reports an error: {message}", _WAIT_FOR_GITHUB)


def _is_below(fields: tuple[str, ...], path: object) -> bool:
    """Whether an error's path leads into one of the fields, so that the rest of the answer is there."""
    return isinstance(path, list) and not set(fields).isdisjoint(map(str, path))


def _rate_limit_error(headers: Mapping[str, str]) -> GitHubRateLimited:
    seconds = _seconds_until_limit_ends(headers)
    error = GitHubRateLimited(
        f"GitHub's rate limit is exhausted: wait {seconds:.0f} s",
        "nothing to fix: the next scheduled run continues",
    )
    error.retry_after = seconds
    return error


def _seconds_until_limit_ends(headers: Mapping[str, str]) -> float:
    """The seconds to wait: what ``retry-after`` says, else until the primary limit resets, else a minute."""
    retry_after = _finite_number(headers, "retry-after")
    if retry_after is not None:
        return retry_after
    reset = _finite_number(headers, "x-ratelimit-reset")
    if reset is not None and headers.get("x-ratelimit-remaining") == "0":
        return max(reset - time.time(), 0)
    return _SECONDARY_LIMIT_WAIT


def _finite_number(headers: Mapping[str, str], name: str) -> float | None:
    """The header's number; ``None`` if the header is absent or not a finite number."""
    try:
        number = float(headers.get(name, ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _with_lower_case_names(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}
