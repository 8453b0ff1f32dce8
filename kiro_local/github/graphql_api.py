"""``POST /graphql``: from a token and a body to GitHub's answer."""

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

from kiro_local.github import resolvers_conversations, resolvers_git, resolvers_projects
from kiro_local.github.faults import Fault, FaultKind
from kiro_local.github.invalid_documents import as_github_says
from kiro_local.github.price import Request, assess
from kiro_local.github.resolvers import Context, field_resolver, resolve_type
from kiro_local.github.tokens import Balance, Budget, Token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import GraphQLSchema

    from kiro_local.github.board import Board

SCHEMA_PATH: Final = Path(__file__).with_name("schema.graphql")
_RESOLVE_FIELD: Final = field_resolver(resolvers_projects.TABLE, resolvers_conversations.TABLE, resolvers_git.TABLE)
_ADDED_IN_GHES_3_20: Final = ("query", "archivedStates")
_SECONDARY_LIMIT: Final = {
    "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
    "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
}


@functools.cache
def load_schema(*, before_ghes_3_20: bool = False) -> GraphQLSchema:
    """Our subset of GitHub's schema; or as GitHub Enterprise Server had it before items could be filtered."""
    schema = build_schema(SCHEMA_PATH.read_text(encoding="utf-8"))
    if before_ghes_3_20:
        project = schema.type_map["ProjectV2"]
        assert isinstance(project, GraphQLObjectType)  # noqa: S101  # it is one in our schema
        for name in _ADDED_IN_GHES_3_20:
            del project.fields["items"].args[name]
    return schema


@dataclass
class Answer:
    """``operation``, ``cost`` and ``errors`` (their types) are for the record."""

    status: int
    body: dict[str, Any]
    operation: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cost: int = 0

    @property
    def errors(self) -> tuple[str, ...]:
        return tuple(str(each.get("type", "")) for each in self.body.get("errors", ()))


class GraphQLApi:
    """Safe to call from many threads: operations are executed one after the other, under the board's lock."""

    def __init__(self, board: Board, budget: Budget, *, before_ghes_3_20: bool = False) -> None:
        self._board = board
        self._budget = budget
        self._schema = load_schema(before_ghes_3_20=before_ghes_3_20)
        self._checked = functools.lru_cache(maxsize=256)(self._check)
        self._serial = itertools.count(0x1000)

    def operation_name(self, body: Mapping[str, Any]) -> str:
        """The name of the operation that would be executed; empty where there is none."""
        try:
            found = get_operation_ast(self._checked(str(body.get("query", "")))[0], body.get("operationName"))
        except GraphQLSyntaxError:
            return ""
        return found.name.value if found and found.name else ""

    def unauthorized(self, message: str = "Bad credentials") -> Answer:
        body = {"message": message, "documentation_url": "https://docs.github.com/graphql", "status": "401"}
        return Answer(401, body, headers={"x-github-request-id": self._request_id()})

    def answer(self, token: Token, body: Mapping[str, Any], fault: Fault | None = None) -> Answer:
        """The answer to a request, as far as a fault leaves one. Slowness and lost connections are the handler's."""
        kind = fault.kind if fault else None
        name = self.operation_name(body)
        if kind is FaultKind.UNAUTHORIZED:
            return replace(self.unauthorized(), operation=name)
        if kind is FaultKind.INSUFFICIENT_SCOPES:
            token = replace(token, scopes=frozenset({"repo"}))
        if fault and kind is FaultKind.SECONDARY_LIMIT:
            answer = Answer(fault.status, dict(_SECONDARY_LIMIT), name)
            if fault.status == 200:
                answer.body = {
                    "data": None,
                    "errors": [{"type": "RATE_LIMITED", "message": _SECONDARY_LIMIT["message"]}],
                }
            answer.headers = self._headers(token, self._budget.look(token.login))
            if fault.seconds:
                answer.headers["retry-after"] = f"{fault.seconds:.0f}"
            return answer
        if fault and kind is FaultKind.RATE_LIMITED:
            used_up = Balance(self._budget.limit, self._budget.limit, int(time.time() + fault.seconds))
            return self._rate_limited(token, used_up, name)
        if kind is FaultKind.FORBIDDEN:
            body_ = {"errors": [{"type": "FORBIDDEN", "message": "Resource not accessible by personal access token"}]}
            return Answer(200, body_, name, self._headers(token, self._budget.look(token.login)))
        return self._execute(token, body, name)

    def _execute(self, token: Token, body: Mapping[str, Any], name: str) -> Answer:
        def refused(errors: list[dict[str, Any]]) -> Answer:
            return Answer(200, {"errors": errors}, name, self._headers(token, self._budget.look(token.login)))

        query, given = body.get("query"), body.get("variables") or {}
        if not isinstance(query, str) or not isinstance(given, dict):
            return refused([{"message": "A query attribute must be specified and must be a string."}])
        try:
            document, problems = self._checked(query)
        except GraphQLSyntaxError as error:
            return refused([_formatted(error)])
        if problems:
            return refused([dict(each) for each in problems])
        operation = get_operation_ast(document, body.get("operationName"))
        if operation is None:
            return refused([{"message": "An operation name is required"}])
        variables = get_variable_values(self._schema, operation.variable_definitions or (), given)
        if isinstance(variables, list):
            return refused([_formatted(error) for error in variables])
        request = assess(self._schema, document, operation, variables, token.scopes)
        if request.errors:
            return refused([_formatted(error) for error in request.errors])
        balance = self._budget.spend(token.login, request.cost)
        if balance is None:
            return self._rate_limited(token, self._budget.look(token.login), name)
        payload = self._run(token, document, given, operation, request, balance)
        return Answer(200, payload, name, self._headers(token, balance), request.cost)

    def _run(
        self,
        token: Token,
        document: DocumentNode,
        given: dict[str, Any],
        operation: OperationDefinitionNode,
        request: Request,
        balance: Balance,
    ) -> dict[str, Any]:
        context = Context(self._board, token, request, balance)
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
    """GitHub puts the type beside the message. What is no error of GitHub's is one of the stand-in, and says so."""
    formatted: dict[str, Any] = dict(error.formatted)
    extensions = formatted.pop("extensions", {})
    if error.original_error and not isinstance(error.original_error, GraphQLError):
        extensions = {"type": "INTERNAL"}
        formatted["message"] = f"the stand-in failed: {type(error.original_error).__name__}: {error.message}"
    return {**extensions, **formatted}
