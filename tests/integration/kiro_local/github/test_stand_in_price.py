from __future__ import annotations

from typing import Any

import pytest
from gql import GraphQLRequest
from graphql import OperationDefinitionNode, get_variable_values, parse

from kiro_local.github.graphql_api import load_schema
from kiro_local.github.price import Estimate, assess
from kiro_local.github.tokens import Budget, Tokens
from kiro_worker.github import queries, readiness_queries

SCHEMA = load_schema()
SCOPES = frozenset({"repo", "project"})


def estimate(query: str | GraphQLRequest, scopes: frozenset[str] | None = SCOPES, /, **variables: Any) -> Estimate:
    document = parse(query) if isinstance(query, str) else query.document
    operation = next(each for each in document.definitions if isinstance(each, OperationDefinitionNode))
    values = get_variable_values(SCHEMA, operation.variable_definitions or (), variables)
    assert not isinstance(values, list)
    return assess(SCHEMA, document, operation, values, scopes)


FIELDS = {"statusField": "Status", "branchField": "Branch", "specField": "Spec"}
PRIORITY = {"priorityField": "Priority", "byPriority": True}
BOARD = {"owner": "acme", "projectNumber": 1, "query": "", **FIELDS, **PRIORITY}


def test_cost_follows_githubs_formula() -> None:
    # The example on GitHub's page, 1 + 100 + 5,000 requests, with types of the stand-in's subset.
    query = """{ user(login: "a") { projectsV2(first: 100) { nodes { items(first: 50) { nodes { content {
        ... on Issue { comments(first: 60) { nodes { id } } } } } } } } } }"""
    assert estimate(query).requests == 5101
    assert estimate(query).cost == 51


def test_next_card_costs_one_point() -> None:
    assert estimate(queries.FETCH_WORK_ITEM, ofOrganization=True, **BOARD).requests == 101
    assert estimate(queries.FETCH_WORK_ITEM, ofOrganization=False, **BOARD).cost == 1


def test_page_of_cards_costs_one_point() -> None:
    page = estimate(queries.FETCH_PAGE, ofOrganization=True, **{k: v for k, v in BOARD.items() if k != "query"})
    assert (page.requests, page.cost, page.nodes) == (101, 1, 1100)


def test_validation_costs_one_point() -> None:
    variables = {"owner": "acme", "name": "shop", "branch": "x", "ref": "refs/heads/x", "specFolder": "x", "tasks": "x"}
    validation = estimate(readiness_queries.VALIDATE_WORK_ITEM, withMergeable=True, **variables)
    assert (validation.requests, validation.cost) == (53, 1)


def test_spec_folder_of_another_name_costs_one_point_per_request() -> None:
    repository = {"owner": "acme", "name": "shop"}
    roots = {"onBranch": "x", "baseRef": "x", "onBase": "x"}
    assert estimate(readiness_queries.FIND_SPEC, **repository, **roots).cost == 1
    assert estimate(readiness_queries.READ_SPEC, **repository, specFolder="x", tasks="x").cost == 1
    assert estimate(readiness_queries.READ_MERGEABLE, id="x").cost == 1
    assert estimate(readiness_queries.READ_REPOSITORY_FILE, **repository).cost == 1


def test_guard_label_costs_two_points() -> None:
    assert estimate(queries.READ_LABELS, owner="acme", name="shop", number=1).cost == 1
    assert estimate(queries.READ_PERMISSION, owner="acme", name="shop", login="alice").cost == 1


@pytest.mark.parametrize(("requests", "cost"), [(0, 1), (149, 1), (150, 2), (249, 2), (5101, 51)])
def test_requests_are_rounded_to_points(requests: int, cost: int) -> None:
    assert Estimate(requests).cost == cost


@pytest.mark.parametrize(
    ("items", "kind", "words"),
    [
        ("items { totalCount }", "MISSING_PAGINATION_BOUNDARIES", "You must provide a `first` or `last` value"),
        ("items(first: 101) { totalCount }", "EXCESSIVE_PAGINATION", "exceeds the `first` limit of 100 records"),
        ("items(last: 101) { totalCount }", "EXCESSIVE_PAGINATION", "exceeds the `last` limit of 100 records"),
    ],
)
def test_page_size_is_bounded(items: str, kind: str, words: str) -> None:
    (error,) = estimate(f'{{ organization(login: "a") {{ projectV2(number: 1) {{ {items} }} }} }}').errors
    assert (error.extensions or {})["type"] == kind
    assert words in error.message


def test_node_limit_is_enforced() -> None:
    nested = "projectsV2(first: 100) { nodes { items(first: 100) { nodes { content { ... on Issue {"
    query = f'{{ user(login: "a") {{ {nested} comments(first: 100) {{ totalCount }} }} }} }} }} }} }} }} }}'
    assert [(error.extensions or {})["type"] for error in estimate(query).errors] == ["MAX_NODE_LIMIT_EXCEEDED"]


def test_missing_scope_is_named() -> None:
    errors = estimate(queries.READ_CARD, frozenset({"repo"}), itemId="x", **FIELDS).errors
    assert {(error.extensions or {})["type"] for error in errors} == {"INSUFFICIENT_SCOPES"}
    assert (
        "one of the following scopes: ['read:project'], but your token has only been granted the: ['repo'] scopes"
        in (errors[0].message)
    )


def test_read_scope_cannot_write_project() -> None:
    scopes = frozenset({"repo", "read:project"})
    ids = {"projectId": "p", "itemId": "i", "fieldId": "f", "optionId": "o"}
    assert estimate(queries.READ_CARD, scopes, itemId="x", **FIELDS).errors == []
    assert len(estimate(queries.SET_STATUS, scopes, **ids).errors) == 1


def test_comment_needs_repository_scope() -> None:
    assert len(estimate(queries.ADD_COMMENT, frozenset({"project"}), subjectId="s", body="b").errors) == 1
    assert estimate(queries.ADD_COMMENT, None, subjectId="s", body="b").errors == []


def test_points_are_restored_after_an_hour() -> None:
    moment = [1000.0]
    budget = Budget(3, clock=lambda: moment[0])
    first = budget.spend("a", 2)
    assert first is not None
    assert (first.remaining, first.reset) == (1, 4600)
    assert budget.spend("a", 2) is not None
    assert budget.spend("a", 1) is None
    assert budget.look("b").remaining == 3
    moment[0] = 4600.0
    assert budget.look("a").remaining == 3


@pytest.mark.parametrize(
    ("header", "login"),
    [
        ("bearer good", "worker"),
        ("Bearer good", "worker"),
        ("token good", "worker"),
        ("Basic eDpnb29k", "worker"),
        ("Basic eDpiYWQ=", None),
        ("Basic \x00", None),
        ("Basic", None),
        ("bearer bad", None),
        ("digest good", None),
        ("", None),
    ],
)
def test_token_is_found_by_any_scheme(header: str, login: str | None) -> None:
    tokens = Tokens()
    tokens.add("good", "worker")
    token = tokens.from_header(header)
    assert (token.login if token else None) == login


def test_revoked_token_is_unknown() -> None:
    tokens = Tokens()
    tokens.add("good", "worker")
    tokens.remove("good")
    assert tokens.find("good") is None
    assert "good" not in repr(tokens.add("good", "worker"))
