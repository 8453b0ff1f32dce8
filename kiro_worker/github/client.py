"""The session with GitHub: each request returns one answer or raises one named error.

Queries are retried here after the wait that GitHub's headers ask for, as long as a function can wait that long. For a
longer wait, the error is raised and the state machine waits. Mutations are never retried here: one may have taken
effect even though its answer was lost, so only the whole step, which reads before it writes, is safe to repeat.

https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiohttp import ClientError, ClientTimeout
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
    GitHubRateLimited,
    GitHubUnavailable,
)
from kiro_worker.github.request_errors import (
    WAIT_FOR_GITHUB,
    WRONG_URL,
    Response,
    error_for_status,
    raise_for_errors,
    rate_limit_error,
    unreachable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from aiohttp import ClientResponse
    from gql.client import AsyncClientSession

LARGEST_DOCUMENT: Final = 10_000_000
"""How many bytes of an answer of the REST API are read."""
REQUEST_SECONDS: Final = 12.0
"""GitHub itself gives up after 10 s. Three attempts and their waits must fit into a function of 60 s."""
_QUERY_ATTEMPTS: Final = 3
_REST_HEADERS: Final = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_LONGEST_WAIT: Final = 8.0
"""How many seconds a query may wait inside a function of 60 s. The state machine handles longer waits, at no cost."""


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

    async def wait(self, seconds: float) -> None:
        """Wait before another query about a value that GitHub determines in the background."""
        await self._sleep(seconds)

    async def mutate(self, operation: GraphQLRequest, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The data of a mutation, sent once. Raises :class:`GitHubRefused` when the object to write to is missing."""
        return await self._send_once(operation, variables, tolerated=())

    async def get(self, path: str) -> object | None:
        """The JSON document at ``path`` of the REST API; ``None`` if GitHub gives no usable answer.

        Asked once, and without an error: the caller has to be able to do without the answer. A comparison that is too
        large for GitHub fails each time.
        """
        base, session = rest_url(str(self._transport.url)), self._transport.session
        if not base or session is None:
            return None
        try:
            async with session.get(f"{base}/{path}", headers=_REST_HEADERS, allow_redirects=False) as response:
                if response.status != 200:
                    return None
                document: object = json.loads(await _read_at_most(response, LARGEST_DOCUMENT))
                return document
        except (_SecondaryLimit, ClientError, OSError, TimeoutError, ValueError, RecursionError):
            return None

    async def _send_once(
        self,
        operation: GraphQLRequest,
        variables: Mapping[str, Any],
        tolerated: tuple[str, ...],
        optional: tuple[str, ...] = (),
    ) -> Mapping[str, Any]:
        response = await self._send(operation, variables)
        raise_for_errors(response, tolerated, optional)
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
            raise GitHubAnswerInvalid("GitHub's answer has neither data nor errors", WAIT_FOR_GITHUB) from None
        except TransportServerError as error:
            raise error_for_status(str(self._transport.url), error.code, self._headers()) from None
        except TransportProtocolError:
            raise GitHubUnavailable(f"{self._transport.url} does not answer in GraphQL", WRONG_URL) from None
        except (TransportConnectionFailed, TransportError, TimeoutError, OSError) as error:
            if isinstance(error.__cause__, _SecondaryLimit):
                raise rate_limit_error(error.__cause__.headers) from None
            raise unreachable(str(self._transport.url), REQUEST_SECONDS, error) from None
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


def rest_url(graphql_url: str) -> str:
    """The base of the REST API that belongs to a GraphQL endpoint; empty if it is not known.

    GitHub Enterprise Server has ``/api/graphql`` and ``/api/v3``; github.com and ghe.com have a host of their own.
    https://docs.github.com/en/enterprise-server/rest/using-the-rest-api/getting-started-with-the-rest-api
    """
    base, name, rest = graphql_url.rpartition("/graphql")
    if not name or rest.strip("/"):
        return ""
    return f"{base}/v3" if base.endswith("/api") else base


async def _read_at_most(response: ClientResponse, limit: int) -> bytes:
    """The body. Raises :class:`ValueError` if it is larger than ``limit``."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > limit:
            raise ValueError("the answer is too large")
    return bytes(body)


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


def _with_lower_case_names(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}
