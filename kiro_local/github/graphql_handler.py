"""Answers ``POST /graphql`` over HTTP: parses the body, checks the token, applies the pending fault, and logs."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from kiro_local.github.base_handler import BAD_GATEWAY, JSON_LIMIT
from kiro_local.github.faults import Fault, FaultKind
from kiro_local.github.request_log import LoggedRequest

if TYPE_CHECKING:
    from kiro_local.github.base_handler import BaseHandler
    from kiro_local.github.graphql_api import Answer
    from kiro_local.github.tokens import Token


def answer_graphql(http: BaseHandler) -> None:
    """Answer one GraphQL request, or apply the pending fault to it."""
    body = _parse_body(http)
    if body is None:
        http.send_json(
            400, {"message": "Problems parsing JSON", "documentation_url": "https://docs.github.com/graphql"}
        )
        return
    backend = http.backend
    operation = backend.api.operation_name(body)
    backend.on_request(operation)
    token = http.token()
    fault = backend.faults.take(operation)
    log = partial(_log, http, operation, body, token, fault)
    http.delay(fault)
    match fault.kind if fault else None:
        case FaultKind.RESET:
            log(None, 0)
            http.reset()
            return
        case FaultKind.BAD_GATEWAY:
            log(None, 502)
            http.send_body(502, BAD_GATEWAY, "text/html; charset=utf-8")
            return
    if not http.headers.get("user-agent"):
        log(None, 403)
        http.send_body(
            403,
            b"Request forbidden by administrative rules. Please make sure your request has a User-Agent header\n",
            "text/plain",
        )
        return
    answer = backend.api.answer(token, body, fault) if token else _unauthorized(http)
    if fault and fault.kind is FaultKind.LOST_ANSWER:
        log(answer, 0)
        http.reset()
        return
    log(answer, answer.status)
    http.send_json(answer.status, answer.body, answer.headers)


def _parse_body(http: BaseHandler) -> dict[str, Any] | None:
    try:
        body = json.loads(http.whole_body(JSON_LIMIT))
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _unauthorized(http: BaseHandler) -> Answer:
    has_token = "authorization" in http.headers
    return http.backend.api.unauthorized(
        "Bad credentials" if has_token else "This endpoint requires you to be authenticated."
    )


def _log(
    http: BaseHandler,
    operation: str,
    body: dict[str, Any],
    token: Token | None,
    fault: Fault | None,
    answer: Answer | None,
    status: int,
) -> None:
    http.backend.requests.add(
        LoggedRequest(
            "graphql",
            operation,
            body.get("variables") or {},
            token.login if token else "",
            status,
            answer.cost if answer else 0,
            answer.errors if answer else (),
            str(fault.kind) if fault else "",
        )
    )
