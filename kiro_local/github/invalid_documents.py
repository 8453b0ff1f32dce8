"""Validation errors as GitHub words them: graphql-core's errors, reworded as by graphql-ruby, which GitHub runs.

Only errors that clients distinguish are reworded: unknown arguments, unknown fields and unused variables.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from graphql import (
    ArgumentNode,
    FieldNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    visit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql import DocumentNode, GraphQLError, Node


def as_github_says(document: DocumentNode, errors: list[GraphQLError]) -> Iterator[dict[str, Any]]:
    """The errors in GitHub's answer to a document that graphql-core found invalid."""
    unknown_arguments: list[ArgumentNode] = []
    for error in errors:
        location = [each.formatted for each in error.locations or ()]
        node = error.nodes[0] if error.nodes else None
        extensions: dict[str, str] = {}
        message = error.message
        if isinstance(node, ArgumentNode) and (
            match := re.match(r"Unknown argument ['\"](\w+)['\"] on field ['\"](\w+)\.(\w+)['\"]", message)
        ):
            argument, _, name = match.groups()
            unknown_arguments.append(node)
            message = f"Field '{name}' doesn't accept argument '{argument}'"
            extensions = {"code": "argumentNotAccepted", "name": name, "typeName": "Field", "argumentName": argument}
        elif match := re.match(r"Cannot query field ['\"](\w+)['\"] on type ['\"](\w+)['\"]", message):
            message = f"Field '{match[1]}' doesn't exist on type '{match[2]}'"
            extensions = {"code": "undefinedField", "typeName": match[2], "fieldName": match[1]}
        formatted: dict[str, Any] = {"message": message, "locations": location}
        if extensions:
            formatted |= {"path": _path_to(document, node), "extensions": extensions}
        yield formatted
    yield from _unused_variables(document, unknown_arguments)


def _unused_variables(document: DocumentNode, unknown_arguments: list[ArgumentNode]) -> Iterator[dict[str, Any]]:
    """graphql-ruby skips the value of an unknown argument, so a variable that is used only there counts as unused."""
    if not unknown_arguments:
        return

    class Uses(Visitor):
        names: set[str] = set()  # noqa: RUF012  # the class exists for one visit only

        def enter_argument(self, node: ArgumentNode, *_: Any) -> Any:
            return self.SKIP if any(node is each for each in unknown_arguments) else None

        def enter_variable_definition(self, _: VariableDefinitionNode, *__: Any) -> Any:
            return self.SKIP

        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            self.names.add(node.name.value)

    uses = Uses()
    visit(document, uses)
    for operation in document.definitions:
        if not isinstance(operation, OperationDefinitionNode):
            continue
        for definition in operation.variable_definitions or ():
            name = definition.variable.name.value
            if name not in uses.names:
                label = operation.name.value if operation.name else "anonymous query"
                yield {
                    "message": f"Variable ${name} is declared by {label} but not used",
                    "locations": [],
                    "path": [f"{operation.operation.value} {label}"],
                    "extensions": {"code": "variableNotUsed", "variableName": name},
                }


def _path_to(document: DocumentNode, node: Node | None) -> list[str]:
    """The path to a node, starting at the operation or fragment that contains it."""
    path: list[str] = []

    class Search(Visitor):
        def enter(self, current: Node, _: Any, __: Any, ___: Any, ancestors: list[Any]) -> Any:
            if current is not node:
                return None
            for each in [*(ancestor for ancestor in ancestors if not isinstance(ancestor, list | tuple)), current]:
                if isinstance(each, OperationDefinitionNode):
                    path.append(each.operation.value + (f" {each.name.value}" if each.name else ""))
                elif isinstance(each, FragmentDefinitionNode):
                    path.append(f"fragment {each.name.value}")
                elif isinstance(each, FieldNode):
                    path.append(each.alias.value if each.alias else each.name.value)
                elif isinstance(each, ArgumentNode):
                    path.append(each.name.value)
            return self.BREAK

    visit(document, Search())
    return path
