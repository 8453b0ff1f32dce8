"""Resolves schema fields, and provides the context, errors and pagination that all resolvers use.

A field without a resolver is read from the object's attribute of that name in snake case. Errors have GitHub's types
and wording. A field that fails is null, and its siblings are still resolved.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from kiro_local.github.git_reader import GitReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql import GraphQLResolveInfo

    from kiro_local.github.board import Board
    from kiro_local.github.model import Owner, Repository
    from kiro_local.github.price import Estimate
    from kiro_local.github.tokens import Balance, Token

Resolver = Callable[..., Any]
"""Called with the parent object, the :class:`Context`, and the field's arguments by name."""


@dataclass
class Context:
    """The context of one request. ``close`` ends its git readers."""

    board: Board
    token: Token
    estimate: Estimate
    balance: Balance
    readers: dict[str, GitReader] = field(default_factory=dict)

    def reader(self, repository: Repository) -> GitReader:
        return self.readers.setdefault(repository.id, GitReader(repository.git))

    def viewer(self) -> Owner:
        return self.board.add_owner(self.token.login, organization=False)

    def visible(self, repository: Repository | None) -> Repository | None:
        return repository if repository and (self.token.reaches_repositories or not repository.is_private) else None

    def close(self) -> None:
        for reader in self.readers.values():
            reader.close()


class Table(dict[str, Resolver]):
    """Resolvers by ``Type.field``."""

    def of(self, *names: str) -> Callable[[Resolver], Resolver]:
        """Decorates a resolver: registers it under these names."""

        def register(resolver: Resolver) -> Resolver:
            self.update(dict.fromkeys(names, resolver))
            return resolver

        return register


def field_resolver(*tables: Table) -> Resolver:
    """The ``field_resolver`` that graphql-core calls for every field."""
    resolvers = {name: resolver for table in tables for name, resolver in table.items()}

    def resolve(source: Any, info: GraphQLResolveInfo[Context], **arguments: Any) -> Any:
        resolver = resolvers.get(f"{info.parent_type.name}.{info.field_name}")
        if resolver is not None:
            return resolver(source, info.context, **arguments)
        if info.field_name == "url":
            return info.context.board.url(source.path)
        name = re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", info.field_name)
        value = source[info.field_name] if isinstance(source, dict) else getattr(source, name)
        return timestamp(value) if isinstance(value, datetime) else value

    return resolve


def resolve_type(value: Any, *_: Any) -> str:
    """The ``type_resolver`` that graphql-core calls for every interface and union."""
    return str(value.typename)


def github_error(kind: str, message: str) -> GraphQLError:
    """An error in GitHub's form, with a ``type`` beside the message."""
    return GraphQLError(message, extensions={"type": kind})


def not_found(message: str) -> GraphQLError:
    return github_error("NOT_FOUND", message)


def timestamp(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def node_of_kind(context: Context, node_id: str, kind: type[Any]) -> Any:
    """The node with that ID; a NOT_FOUND error if it does not exist or is of another kind."""
    node = context.board.node(node_id)
    if not isinstance(node, kind):
        raise not_found(f"Could not resolve to a node with the global id of '{node_id}'")
    return node


def cursor(node: Any) -> str:
    return base64.urlsafe_b64encode(f"cursor:v2:{node.id}".encode()).decode()


def connection(
    ordered: Sequence[Any],
    *,
    keep: Callable[[Any], bool] = lambda _: True,
    first: int | None = None,
    last: int | None = None,
    after: str | None = None,
    before: str | None = None,
) -> dict[str, Any]:
    """One page of a connection.

    A cursor is a position among all nodes, so it stays valid if the filter no longer matches the node it came from.
    """
    matching = [(position, node) for position, node in enumerate(ordered) if keep(node)]
    start, end = _position(ordered, after, -1), _position(ordered, before, len(ordered))
    window = [(position, node) for position, node in matching if start < position < end]
    page = window[:first] if first is not None else window[max(len(window) - (last or 0), 0) :]
    nodes = [node for _, node in page]
    shown = [None if getattr(node, "hides", "") == "node" else node for node in nodes]
    return {
        "nodes": shown,
        "edges": [{"cursor": cursor(node), "node": node} for node in nodes],
        "totalCount": len(matching),
        "pageInfo": {
            "startCursor": cursor(nodes[0]) if nodes else None,
            "endCursor": cursor(nodes[-1]) if nodes else None,
            "hasNextPage": bool(page) and page[-1][0] < max(position for position, _ in matching),
            "hasPreviousPage": bool(page) and page[0][0] > min(position for position, _ in matching),
        },
    }


def _position(ordered: Sequence[Any], wanted: str | None, default: int) -> int:
    if wanted is None:
        return default
    for position, node in enumerate(ordered):
        if cursor(node) == wanted:
            return position
    raise github_error("INVALID_CURSOR_ARGUMENTS", f"`{wanted}` does not appear to be a valid cursor.")
