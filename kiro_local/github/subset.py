"""Checks that one schema is a subset of another: every document valid in the first is valid in the second, with the
same meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    is_introspection_type,
    is_specified_scalar_type,
    print_ast,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphql import GraphQLNamedType, GraphQLSchema

DOCUMENTED_ADDITIONS: Final = frozenset(
    {"ProjectV2.items(query:)", "ProjectV2.items(archivedStates:)", "ProjectV2ItemArchivedState"}
)
"""Served by github.com and by GitHub Enterprise Server from 3.20 on, but missing from the published schema.

https://docs.github.com/en/graphql/reference/objects#projectv2
"""


def deviations(
    ours: GraphQLSchema, theirs: GraphQLSchema, additions: frozenset[str] = DOCUMENTED_ADDITIONS
) -> tuple[str, ...]:
    """One sentence for each promise of ``ours`` that ``theirs`` does not keep; empty for a subset.

    ``additions`` are tolerated if ``theirs`` lacks them.
    """
    return tuple(
        sentence
        for name, mine in sorted(ours.type_map.items())
        if not is_introspection_type(mine) and not is_specified_scalar_type(mine)
        for sentence in _type_deviations(mine, theirs.type_map.get(name), additions)
    )


def _type_deviations(mine: GraphQLNamedType, its: GraphQLNamedType | None, additions: frozenset[str]) -> Iterator[str]:
    name = mine.name
    if its is None:
        if name not in additions:
            yield f"{name}: no such type"
    elif type(mine) is not type(its):
        yield f"{name}: {type(mine).__name__} here, {type(its).__name__} there"
    elif isinstance(mine, GraphQLEnumType) and isinstance(its, GraphQLEnumType):
        yield from (f"{name}.{value}: no such value" for value in sorted(set(mine.values) - set(its.values)))
    elif isinstance(mine, GraphQLUnionType) and isinstance(its, GraphQLUnionType):
        members = {member.name for member in its.types}
        yield from (f"{name}: {each.name} is not a member there" for each in mine.types if each.name not in members)
    elif isinstance(mine, GraphQLInputObjectType) and isinstance(its, GraphQLInputObjectType):
        yield from _input_deviations(name, mine.fields, its.fields, frozenset())
    elif isinstance(mine, GraphQLObjectType | GraphQLInterfaceType):
        assert isinstance(its, GraphQLObjectType | GraphQLInterfaceType)  # noqa: S101  # has the same class as `mine`
        yield from _field_deviations(mine, its, additions)


def _field_deviations(
    mine: GraphQLObjectType | GraphQLInterfaceType,
    its: GraphQLObjectType | GraphQLInterfaceType,
    additions: frozenset[str],
) -> Iterator[str]:
    interfaces = {interface.name for interface in its.interfaces}
    yield from (
        f"{mine.name}: does not implement {each.name} there" for each in mine.interfaces if each.name not in interfaces
    )
    for name, field in mine.fields.items():
        where = f"{mine.name}.{name}"
        if name not in its.fields:
            yield f"{where}: no such field"
            continue
        if str(field.type) != str(its.fields[name].type):
            yield f"{where}: {field.type} here, {its.fields[name].type} there"
        yield from _input_deviations(where, field.args, its.fields[name].args, additions)


def _input_deviations(
    where: str,
    mine: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField],
    its: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField],
    additions: frozenset[str],
) -> Iterator[str]:
    """Deviations in the arguments of a field or the fields of an input object."""
    for name, value in mine.items():
        theirs = its.get(name)
        if theirs is None:
            if f"{where}({name}:)" not in additions:
                yield f"{where}({name}:): no such argument"
        elif str(value.type) != str(theirs.type):
            yield f"{where}({name}:): {value.type} here, {theirs.type} there"
        elif _default(value) != _default(theirs):
            yield f"{where}({name}:): the default is {_default(value)} here, {_default(theirs)} there"
    for name, value in its.items():
        if name not in mine and isinstance(value.type, GraphQLNonNull) and _default(value) is None:
            yield f"{where}({name}:): required there, missing here"


def _default(value: GraphQLArgument | GraphQLInputField) -> str | None:
    node = value.ast_node
    return print_ast(node.default_value) if node and node.default_value else None
