from __future__ import annotations

from pathlib import Path

import pytest
from gql import GraphQLRequest
from graphql import GraphQLSchema, build_schema, validate

from kiro_local.github.graphql_api import SCHEMA_PATH, load_schema
from kiro_local.github.subset import deviations
from kiro_worker.github import queries, readiness_queries

GITHUB_SCHEMA = Path(__file__).parents[4] / "build/node/node_modules/@octokit/graphql-schema/schema.graphql"
OPERATIONS = {
    name: each for name, each in (vars(queries) | vars(readiness_queries)).items() if isinstance(each, GraphQLRequest)
}


@pytest.fixture(scope="module")
def github_schema() -> GraphQLSchema:
    assert GITHUB_SCHEMA.exists(), f"GitHub's public schema is missing; 'make test' downloads it to {GITHUB_SCHEMA}"
    return build_schema(
        GITHUB_SCHEMA.read_text(encoding="utf-8"), assume_valid=True, assume_valid_sdl=True, no_location=True
    )


def altered(before: str, after: str) -> GraphQLSchema:
    text = SCHEMA_PATH.read_text(encoding="utf-8")
    assert before in text
    return build_schema(text.replace(before, after, 1))


def test_schema_is_a_subset_of_githubs(github_schema: GraphQLSchema) -> None:
    assert deviations(load_schema(), github_schema) == ()


def test_only_documented_additions_are_tolerated(github_schema: GraphQLSchema) -> None:
    assert deviations(load_schema(), github_schema, additions=frozenset()) == (
        "ProjectV2.items(archivedStates:): no such argument",
        "ProjectV2.items(query:): no such argument",
        "ProjectV2ItemArchivedState: no such type",
    )


@pytest.mark.parametrize(
    ("before", "after", "deviation"),
    [
        ("isArchived: Boolean!", "isArchived: Boolean", "ProjectV2Item.isArchived: Boolean here, Boolean! there"),
        ("number: Int!\n  owner", "number: Int!\n  mood: Int\n  owner", "ProjectV2.mood: no such field"),
        (
            "projectV2(number: Int!)",
            "projectV2(number: Int)",
            "ProjectV2Owner.projectV2(number:): Int here, Int! there",
        ),
        (
            "(followRenames: Boolean = true, name: String!, owner",
            "(followRenames: Boolean = false, name: String!, owner",
            "Query.repository(followRenames:): the default is false here, true there",
        ),
        (
            "  ref(qualifiedName: String!)",
            "  ref",
            "Repository.ref(qualifiedName:): required there, missing here",
        ),
        ("  REDACTED", "  REDACTED\n  SECRET", "ProjectV2ItemType.SECRET: no such value"),
        ("DraftIssue | Issue", "Commit | DraftIssue | Issue", "ProjectV2ItemContent: Commit is not a member there"),
        (
            "type PageInfo {",
            "interface Unknown {\n  x: Int\n}\ntype PageInfo implements Unknown {\n  x: Int",
            "PageInfo: does not implement Unknown there",
        ),
        ("  fieldId: ID!\n", "", "UpdateProjectV2ItemFieldValueInput(fieldId:): required there, missing here"),
        ("scalar URI", "enum URI { A }", "URI: GraphQLEnumType here, GraphQLScalarType there"),
        ("type RateLimit {", "type RateLimit implements Node {\n  id: ID!", "RateLimit: does not implement Node there"),
    ],
)
def test_deviation_is_found(github_schema: GraphQLSchema, before: str, after: str, deviation: str) -> None:
    assert deviation in deviations(altered(before, after), github_schema)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_worker_operation_is_valid(name: str) -> None:
    assert validate(load_schema(), OPERATIONS[name].document) == []
