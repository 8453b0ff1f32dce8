"""The error for each kind of answer that GitHub gives instead of data, and for no answer.

https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from gql.transport.exceptions import TransportError

from kiro_worker.errors import (
    GitHubError,
    GitHubForbidden,
    GitHubRateLimited,
    GitHubRefused,
    GitHubScopesInsufficient,
    GitHubTokenInvalid,
    GitHubUnavailable,
)
from kiro_worker.names import ANY_NAMES
from kiro_worker.outcomes import FaultOwner

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDARY_LIMIT_WAIT: Final = 60.0
_OUTAGES: Final = frozenset(
    {"INTERNAL", "INTERNAL_ERROR", "INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "LOADING", "TIMEOUT"}
)
"""Kinds of errors that GitHub reports when a part of it does not work. A retry may succeed."""
WAIT_FOR_GITHUB: Final = "try again when https://www.githubstatus.com reports no incident"
_PARAMETER: Final = f"the configuration parameter {ANY_NAMES.configuration_parameter}"
WRONG_URL: Final = (
    f"check that githubApiUrl in {_PARAMETER} is the address of GitHub's GraphQL API, and that no proxy answers in its"
    f" place; otherwise {WAIT_FOR_GITHUB}"
)
_TOKEN: Final = f"the GitHub token (secret {ANY_NAMES.github_token_secret})"
_STORE_TOKEN: Final = (
    f"aws secretsmanager put-secret-value --secret-id {ANY_NAMES.github_token_secret} --secret-string 'ghp_…'"
)
_TOKENS: Final = "https://github.com/settings/tokens"
_SINGLE_SIGN_ON: Final = f"authorize the token for the organization's single sign-on at {_TOKENS} (Configure SSO)"


@dataclass(frozen=True)
class Response:
    """What GitHub returned. ``data`` may be partial when there are ``errors``; header names are in lower case."""

    data: Mapping[str, Any]
    errors: tuple[Mapping[str, Any], ...]
    headers: Mapping[str, str]


class UnknownArgument(Exception):
    """The server's schema lacks an argument that the worker sent. Never raised outside this package."""


def unreachable(url: str, seconds: float, error: BaseException) -> GitHubUnavailable:
    """The error for a request that got no answer, with the cause that the operating system or the library names."""
    host = urlsplit(url).hostname or url
    cause: BaseException | None = error
    while isinstance(cause, TransportError) and cause.__cause__:
        cause = cause.__cause__
    if isinstance(cause, TimeoutError):
        reason = f"no answer within {seconds:g} s"
    elif isinstance(cause, OSError) and cause.strerror:
        reason = cause.strerror
    else:
        reason = str(cause) or type(cause).__name__
    return GitHubUnavailable(
        f"{host} cannot be reached: {reason}",
        f"check githubApiUrl in {_PARAMETER}, which is {url}, and that DNS, the proxy and the routes of the network"
        f" lead to that host; otherwise {WAIT_FOR_GITHUB}",
    )


def error_for_status(url: str, code: int | None, headers: Mapping[str, str]) -> GitHubError:
    """The error for an HTTP status that is not a success. ``code`` is ``None`` if it is not known."""
    host = urlsplit(url).hostname or url
    if code == 401:
        return GitHubTokenInvalid(
            f"{host} answers 401: the token is wrong, expired or revoked",
            f"create a token with the scopes repo and project at {_TOKENS}, then store it: {_STORE_TOKEN}",
        )
    if code in (403, 429) and ("retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"):
        return rate_limit_error(headers)
    if code == 403:
        forbidden = GitHubForbidden(
            f"{host} answers 403: the token may not use this API",
            f"check the organization's access of {_TOKEN}, and {_SINGLE_SIGN_ON}",
        )
        forbidden.owner = FaultOwner.INSTALLATION
        return forbidden
    return GitHubUnavailable(f"{host} answers {code}", WRONG_URL if code in (404, 405) else WAIT_FOR_GITHUB)


def raise_for_errors(response: Response, tolerated: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Raise the first error that is neither of a ``tolerated`` kind nor below an ``optional`` field."""
    for error in response.errors:
        kind, message = str(error.get("type") or ""), str(error.get("message") or "no message")
        if kind in tolerated:
            continue
        if (
            kind in ("RATE_LIMIT", "RATE_LIMITED")
            or response.headers.get("x-ratelimit-remaining") == "0"
            or "rate limit" in message.lower()
        ):
            raise rate_limit_error(response.headers)
        if kind in _OUTAGES:
            raise GitHubUnavailable(f"GitHub reports an error ({kind}): {message}", WAIT_FOR_GITHUB)
        if _is_below(optional, error.get("path")) and response.data:
            continue
        raise _error_of_kind(kind, message, response)


def _error_of_kind(kind: str, message: str, response: Response) -> Exception:
    if kind == "INSUFFICIENT_SCOPES":
        present = response.headers.get("x-oauth-scopes", "")
        return GitHubScopesInsufficient(
            f"{_TOKEN} lacks a scope; it has: {present or 'none'}",
            f"give the token the scopes repo and project at {_TOKENS}",
        )
    if kind in ("FORBIDDEN", "UNAUTHORIZED") or "not accessible by" in message.lower():
        give = f"give the token access to this organization, project and repository at {_TOKENS}"
        is_single_sign_on = re.search(r"\bSAML\b|single sign-on", message, re.IGNORECASE)
        return GitHubForbidden(
            f"GitHub denies access to {_TOKEN}: {message}", _SINGLE_SIGN_ON if is_single_sign_on else give
        )
    if "argument 'query'" in message:
        return UnknownArgument(message)
    if kind:
        return GitHubRefused(
            f"GitHub refuses the request ({kind}): {message}",
            "check the object that the message names, then redrive the execution",
        )
    return GitHubUnavailable(f"GitHub reports an error: {message}", WAIT_FOR_GITHUB)


def _is_below(fields: tuple[str, ...], path: object) -> bool:
    """Whether an error's path leads into one of the fields, so that the rest of the answer is there."""
    return isinstance(path, list) and not set(fields).isdisjoint(map(str, path))


def rate_limit_error(headers: Mapping[str, str]) -> GitHubRateLimited:
    """The error for an exhausted rate limit, with the seconds to wait."""
    seconds = _seconds_until_limit_ends(headers)
    error = GitHubRateLimited(
        f"GitHub's rate limit is exhausted: wait {seconds:.0f} s. It is that of the GitHub token's account, which"
        " other programs may use, too",
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
