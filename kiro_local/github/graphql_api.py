"""The GraphQL API without HTTP: a token and a request body in, GitHub's answer out."""

from __future__ import annotations

import functools
import itertools
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    build_schema,
    execute_sync,
    get_operation_ast,
    get_variable_values,
    parse,
    validate,
)

from kiro_local.github import resolvers_conversations, resolvers_git, resolvers_projects, resolvers_rules
from kiro_local.github.faults import Fault, FaultKind
from kiro_local.github.invalid_documents import as_github_says
from kiro_local.github.price import Estimate, assess
from kiro_local.github.resolvers import Context, field_resolver, resolve_type
from kiro_local.github.tokens import Balance, Budget, Token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import GraphQLSchema

    from kiro_local.github.board import Board

SCHEMA_PATH: Final = Path(__file__).with_name("schema.graphql")
_RESOLVE_FIELD: Final = field_resolver(
    resolvers_projects.TABLE, resolvers_conversations.TABLE, resolvers_git.TABLE, resolvers_rules.TABLE
)
_ADDED_IN_GHES_3_20: Final = ("query", "archivedStates")
_SECONDARY_LIMIT: Final = {
    "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
    "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
}


@functools.cache
def load_schema(*, before_ghes_3_20: bool = False) -> GraphQLSchema:
    """The stand-in's subset of GitHub's schema. Before 3.20, GitHub Enterprise Server had no item filters."""
    schema = build_schema(SCHEMA_PATH.read_text(encoding="utf-8"))
    if before_ghes_3_20:
        project = schema.type_map["ProjectV2"]
        assert isinstance(project, GraphQLObjectType)  # noqa: S101  # schema.graphql defines it
        for name in _ADDED_IN_GHES_3_20:
            del project.fields["items"].args[name]
    return schema


@dataclass
class Answer:
    """An answer. ``operation``, ``cost`` and ``errors`` (their types) are for the request log."""

    status: int
    body: dict[str, Any]
    operation: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cost: int = 0

    @property
    def errors(self) -> tuple[str, ...]:
        return tuple(str(each.get("type", "")) for each in self.body.get("errors", ()))


class GraphQLApi:
    """Safe to call from many threads: operations run one at a time, under the board's lock."""

    def __init__(self, board: Board, budget: Budget, *, before_ghes_3_20: bool = False) -> None:
        self._board = board
        self._budget = budget
        self._schema = load_schema(before_ghes_3_20=before_ghes_3_20)
        self._checked = functools.lru_cache(maxsize=256)(self._check)
        self._serial = itertools.count(0x1000)

    def operation_name(self, body: Mapping[str, Any]) -> str:
        """The name of the operation that the body selects; empty if it has none."""
        try:
            operation = get_operation_ast(self._checked(str(body.get("query", "")))[0], body.get("operationName"))
        except GraphQLSyntaxError:
            return ""
        return operation.name.value if operation and operation.name else ""

    def unauthorized(self, message: str = "Bad credentials") -> Answer:
        body = {"message": message, "documentation_url": "https://docs.github.com/graphql", "status": "401"}
        return Answer(401, body, headers={"x-github-request-id": self._request_id()})

    def answer(self, token: Token, body: Mapping[str, Any], fault: Fault | None = None) -> Answer:
        """The answer to a request, with ``fault`` applied. The handler itself applies delays and broken connections."""
        name = self.operation_name(body)
        if fault is None:
            return self._execute(token, body, name)
        match fault.kind:
            case FaultKind.UNAUTHORIZED:
                return replace(self.unauthorized(), operation=name)
            case FaultKind.INSUFFICIENT_SCOPES:
                return self._execute(replace(token, scopes=frozenset({"repo"})), body, name)
            case FaultKind.SECONDARY_LIMIT:
                return self._secondary_limit(token, fault, name)
            case FaultKind.RATE_LIMITED:
                used_up = Balance(self._budget.limit, self._budget.limit, int(time.time() + fault.seconds))
                return self._rate_limited(token, used_up, name)
            case FaultKind.FORBIDDEN:
                message = "Resource not accessible by personal access token"
                return self._failed(token, name, [{"type": "FORBIDDEN", "message": message}])
            case _:
                return self._execute(token, body, name)

    def _execute(self, token: Token, body: Mapping[str, Any], name: str) -> Answer:
        query, given = body.get("query"), body.get("variables") or {}
        if not isinstance(query, str) or not isinstance(given, dict):
            message = "A query attribute must be specified and must be a string."
            return self._failed(token, name, [{"message": message}])
        try:
            document, problems = self._checked(query)
        except GraphQLSyntaxError as error:
            return self._failed(token, name, [_formatted(error)])
        if problems:
            return self._failed(token, name, [dict(each) for each in problems])
        operation = get_operation_ast(document, body.get("operationName"))
        if operation is None:
            return self._failed(token, name, [{"message": "An operation name is required"}])
        variables = get_variable_values(self._schema, operation.variable_definitions or (), given)
        if isinstance(variables, list):
            return self._failed(token, name, [_formatted(error) for error in variables])
        estimate = assess(self._schema, document, operation, variables, token.scopes)
        if estimate.errors:
            return self._failed(token, name, [_formatted(error) for error in estimate.errors])
        balance = self._budget.spend(token.login, estimate.cost)
        if balance is None:
            return self._rate_limited(token, self._budget.look(token.login), name)
        payload = self._run(token, document, given, operation, estimate, balance)
        return Answer(200, payload, name, self._headers(token, balance), estimate.cost)

    def _run(
        self,
        token: Token,
        document: DocumentNode,
        given: dict[str, Any],
        operation: OperationDefinitionNode,
        estimate: Estimate,
        balance: Balance,
    ) -> dict[str, Any]:
        context = Context(self._board, token, estimate, balance)
        with self._board.lock:
            try:
                result = execute_sync(
                    self._schema,
                    document,
                    context_value=context,
                    variable_values=given,
                    operation_name=operation.name.value if operation.name else None,
                    field_resolver=_RESOLVE_FIELD,
                    type_resolver=resolve_type,
                )
            finally:
                context.close()
        payload: dict[str, Any] = {"data": result.data}
        if result.errors:
            payload["errors"] = [_formatted(error) for error in result.errors]
        return payload

    def _failed(self, token: Token, name: str, errors: list[dict[str, Any]]) -> Answer:
        """An answer with errors only, which costs no points."""
        return Answer(200, {"errors": errors}, name, self._headers(token, self._budget.look(token.login)))

    def _secondary_limit(self, token: Token, fault: Fault, name: str) -> Answer:
        answer = Answer(fault.status, dict(_SECONDARY_LIMIT), name)
        if fault.status == 200:
            answer.body = {"data": None, "errors": [{"type": "RATE_LIMITED", "message": _SECONDARY_LIMIT["message"]}]}
        answer.headers = self._headers(token, self._budget.look(token.login))
        if fault.seconds:
            answer.headers["retry-after"] = f"{fault.seconds:.0f}"
        return answer

    def _rate_limited(self, token: Token, balance: Balance, name: str) -> Answer:
        message = f"API rate limit already exceeded for user ID {token.login}."
        error = {"type": "RATE_LIMIT", "code": "graphql_rate_limit", "message": message}
        return Answer(200, {"errors": [error]}, name, self._headers(token, balance))

    def _headers(self, token: Token, balance: Balance) -> dict[str, str]:
        headers = {
            "x-github-request-id": self._request_id(),
            "x-ratelimit-limit": str(balance.limit),
            "x-ratelimit-remaining": str(balance.remaining),
            "x-ratelimit-used": str(balance.used),
            "x-ratelimit-reset": str(balance.reset),
            "x-ratelimit-resource": "graphql",
        }
        if token.scopes is not None:
            headers |= {"x-oauth-scopes": ", ".join(sorted(token.scopes)), "x-accepted-oauth-scopes": "repo"}
        return headers

    def _request_id(self) -> str:
        return f"57A1:D191:{next(self._serial):06X}"

    def _check(self, query: str) -> tuple[DocumentNode, tuple[dict[str, Any], ...]]:
        document = parse(query)
        return document, tuple(as_github_says(document, validate(self._schema, document)))


def _formatted(error: GraphQLError) -> dict[str, Any]:
    """An error in GitHub's form, with the type beside the message.

    An exception in a resolver is a defect of the stand-in, and the message says so.
    """
    formatted: dict[str, Any] = dict(error.formatted)
    extensions = formatted.pop("extensions", {})
    if error.original_error and not isinstance(error.original_error, GraphQLError):
        extensions = {"type": "INTERNAL"}
        formatted["message"] = f"the stand-in failed: {type(error.original_error).__name__}: {error.message}"
    return {**extensions, **formatted}
