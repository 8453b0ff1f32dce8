"""How a field of the schema finds its answer, and what all resolvers share: the context, errors, pages.

A field that no table names is the attribute of its object, in snake case. Errors carry the type and the words that
GitHub uses; a field that fails is null and its siblings are answered all the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from kiro_local.github.git_repository import GitReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql import GraphQLResolveInfo

    from kiro_local.github.board import Board
    from kiro_local.github.model import Owner, Repository
    from kiro_local.github.price import Request
    from kiro_local.github.tokens import Balance, Token

Resolver = Callable[..., Any]
"""Takes the object that has the field, the :class:`Context`, and the field's arguments by their names."""


@dataclass
class Context:
    """Of one request. ``close`` ends its readers of git."""

    board: Board
    token: Token
    request: Request
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
        """Registers the function below under these names."""

        def register(resolver: Resolver) -> Resolver:
            self.update(dict.fromkeys(names, resolver))
            return resolver

        return register


def field_resolver(*tables: Table) -> Resolver:
    """graphql-core's field resolver for the whole schema."""
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
    """graphql-core's type resolver for every interface and union."""
    return str(value.typename)


def refuse(kind: str, message: str) -> GraphQLError:
    """An error of GitHub's: ``type`` beside the message."""
    return GraphQLError(message, extensions={"type": kind})


def not_found(message: str) -> GraphQLError:
    return refuse("NOT_FOUND", message)


def timestamp(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def kept(context: Context, node_id: str, kind: type[Any]) -> Any:
    found = context.board.node(node_id)
    if not isinstance(found, kind):
        raise not_found(f"Could not resolve to a node with the global id of '{node_id}'")
    return found


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
    """A page. A cursor stands for a place among all nodes, so it still holds when the filter drops its own node."""
    matching = [(place, node) for place, node in enumerate(ordered) if keep(node)]
    start, end = _place(ordered, after, -1), _place(ordered, before, len(ordered))
    window = [(place, node) for place, node in matching if start < place < end]
    page = window[:first] if first is not None else window[max(len(window) - (last or 0), 0) :]
    nodes = [node for _, node in page]
    return {
        "nodes": nodes,
        "edges": [{"cursor": cursor(node), "node": node} for node in nodes],
        "totalCount": len(matching),
        "pageInfo": {
            "startCursor": cursor(nodes[0]) if nodes else None,
            "endCursor": cursor(nodes[-1]) if nodes else None,
            "hasNextPage": bool(page) and page[-1][0] < max(place for place, _ in matching),
            "hasPreviousPage": bool(page) and page[0][0] > min(place for place, _ in matching),
        },
    }


def _place(ordered: Sequence[Any], wanted: str | None, otherwise: int) -> int:
    if wanted is None:
        return otherwise
    for place, node in enumerate(ordered):
        if cursor(node) == wanted:
            return place
    raise refuse("INVALID_CURSOR_ARGUMENTS", f"`{wanted}` does not appear to be a valid cursor.")
