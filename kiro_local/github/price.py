"""Checks before a query is executed: its cost, its size and the scopes it needs.

GitHub documents the cost as follows: each connection takes one request per possible parent node, where ``first`` or
``last`` gives the number of possible nodes. The sum is divided by 100, rounded, and is at least 1. Fields that
``@skip`` or ``@include`` leave out are not counted.

https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLObjectType,
    InlineFragmentNode,
    get_argument_values,
    get_directive_values,
    get_named_type,
    is_composite_type,
)
from graphql import GraphQLIncludeDirective as Include
from graphql import GraphQLSkipDirective as Skip

if TYPE_CHECKING:
    from graphql import GraphQLSchema, OperationDefinitionNode, SelectionNode, SelectionSetNode

LARGEST_PAGE: Final = 100
MOST_NODES: Final = 500_000
_PROJECT_MUTATIONS: Final = frozenset({"updateProjectV2ItemFieldValue"})
_REPOSITORY_MUTATIONS: Final = frozenset({"addComment", "updateIssueComment"})


@dataclass
class Estimate:
    """The number of ``requests`` and possible ``nodes`` of one operation, and the ``errors`` found in advance."""

    requests: int = 0
    nodes: int = 0
    errors: list[GraphQLError] = field(default_factory=list)

    @property
    def cost(self) -> int:
        return max(1, (self.requests + 50) // 100)


def assess(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Any,
    scopes: frozenset[str] | None,
) -> Estimate:
    """The estimate for a valid document.

    ``variables`` are graphql-core's coerced values. ``scopes`` is ``None`` for a fine-grained token.
    """
    root = schema.get_root_type(operation.operation)
    assert root is not None  # noqa: S101  # a valid document has a root type
    estimate = Estimate()
    _Walk(schema, document, variables, scopes, estimate).selections(operation.selection_set, root, 1)
    if estimate.nodes > MOST_NODES:
        message = (
            f"This query requests up to {estimate.nodes:,} possible nodes "
            f"which exceeds the maximum limit of {MOST_NODES:,}."
        )
        estimate.errors.append(GraphQLError(message, operation, extensions={"type": "MAX_NODE_LIMIT_EXCEEDED"}))
    return estimate


class _Walk:
    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        variables: Any,
        scopes: frozenset[str] | None,
        estimate: Estimate,
    ) -> None:
        self._schema = schema
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._variables = variables
        self._scopes = scopes
        self._estimate = estimate

    def selections(self, selection_set: SelectionSetNode, parent: GraphQLCompositeType, parents: int) -> None:
        """Add the fields of a selection set to the estimate. ``parents`` is the number of possible parent nodes."""
        for node in selection_set.selections:
            if self._left_out(node):
                continue
            if isinstance(node, FieldNode):
                self._field(node, parent, parents)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
                self.selections(fragment.selection_set, self._composite(fragment.type_condition.name.value), parents)
            elif isinstance(node, InlineFragmentNode):
                inner = self._composite(node.type_condition.name.value) if node.type_condition else parent
                self.selections(node.selection_set, inner, parents)

    def _field(self, node: FieldNode, parent: GraphQLCompositeType, parents: int) -> None:
        name = node.name.value
        if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) or name not in parent.fields:
            return  # __typename and introspection
        definition = parent.fields[name]
        inner = get_named_type(definition.type)
        self._check_scopes(node, parent.name)
        if inner.name.endswith("Connection"):
            arguments = get_argument_values(definition, node, self._variables)
            self._estimate.requests += parents
            parents *= self._page(node, arguments.get("first"), arguments.get("last"))
            self._estimate.nodes += parents
        if node.selection_set and is_composite_type(inner):
            self.selections(node.selection_set, inner, parents)

    def _page(self, node: FieldNode, first: int | None, last: int | None) -> int:
        name = node.name.value
        which, size = ("first", first) if first is not None else ("last", last)
        if size is None:
            message = f"You must provide a `first` or `last` value to properly paginate the `{name}` connection."
            self._error(node, "MISSING_PAGINATION_BOUNDARIES", message)
            return 0
        if size > LARGEST_PAGE:
            message = (
                f"Requesting {size} records on the `{name}` connection "
                f"exceeds the `{which}` limit of {LARGEST_PAGE} records."
            )
            self._error(node, "EXCESSIVE_PAGINATION", message)
        if size < 0:
            self._error(node, "INVALID_PAGINATION", f"`{which}` on the `{name}` connection cannot be less than zero.")
        return max(size, 0)

    def _check_scopes(self, node: FieldNode, parent: str) -> None:
        if self._scopes is None:
            return
        name = node.name.value
        if parent.startswith("ProjectV2") or (parent == "Mutation" and name in _PROJECT_MUTATIONS):
            needed = ["project"] if parent == "Mutation" else ["read:project"]
            enough = {"project", *needed}
        elif parent == "Mutation" and name in _REPOSITORY_MUTATIONS:
            needed = ["public_repo"]
            enough = {"repo", "public_repo"}
        else:
            return
        if not enough & self._scopes:
            self._error(
                node,
                "INSUFFICIENT_SCOPES",
                "Your token has not been granted the required scopes to execute this query. "
                f"The '{name}' field requires one of the following scopes: {needed}, "
                f"but your token has only been granted the: {sorted(self._scopes) or ['']} scopes. "
                "Please modify your token's scopes at: https://github.com/settings/tokens.",
            )

    def _error(self, node: FieldNode, kind: str, message: str) -> None:
        self._estimate.errors.append(GraphQLError(message, node, extensions={"type": kind}))

    def _composite(self, name: str) -> GraphQLCompositeType:
        named_type = self._schema.type_map[name]
        assert is_composite_type(named_type)  # noqa: S101  # type conditions of a valid document are composite
        return named_type

    def _left_out(self, node: SelectionNode) -> bool:
        skip = get_directive_values(Skip, node, self._variables)
        include = get_directive_values(Include, node, self._variables)
        return bool(skip and skip["if"]) or bool(include and not include["if"])
