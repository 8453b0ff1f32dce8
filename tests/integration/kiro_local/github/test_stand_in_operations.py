"""Every operation of the product, sent over HTTP as the product sends it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from gql import Client
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError

from kiro_local.github.git_repository import Executable, Submodule, Symlink
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.github import queries

if TYPE_CHECKING:
    from tests.integration.kiro_local.github.conftest import Shop

FOR_IMPLEMENTATION = 'status:"For Implementation"'
PROJECT = 'query ($n: Int!) { organization(login: "acme") { projectV2(number: $n) { id } } rateLimit { cost } }'


def fetch(shop: Shop, query: str = FOR_IMPLEMENTATION) -> dict[str, Any]:
    project: dict[str, Any] = shop.ask(queries.FETCH_WORK_ITEM, **shop.board_variables, query=query)["organization"][
        "projectV2"
    ]
    return project


def test_the_next_card_comes_with_everything_that_selects_it(shop: Shop) -> None:
    project = fetch(shop)
    (node,) = project["items"]["nodes"]
    assert node["status"]["name"] == "For Implementation"
    assert node["branch"] is None
    assert node["content"]["repository"] == {"nameWithOwner": "acme/shop"}
    assert node["content"]["linkedBranches"]["nodes"] == [{"ref": {"name": "feature/checkout"}}]
    assert node["content"]["url"] == f"{shop.github.base_url}/acme/shop/issues/1"
    assert [option["name"] for option in project["statusField"]["options"]][:2] == ["Todo", "For Implementation"]


def test_a_status_that_does_not_exist_matches_nothing_and_is_no_error(shop: Shop) -> None:
    assert fetch(shop, 'status:"For Implementatio"')["items"]["nodes"] == []


def test_archived_cards_are_left_out(shop: Shop) -> None:
    shop.card.is_archived = True
    assert fetch(shop)["items"]["nodes"] == []
    query = """{ organization(login: "acme") { projectV2(number: 1) {
        items(first: 1, archivedStates: [ARCHIVED, NOT_ARCHIVED]) { totalCount } } } }"""
    assert shop.post(query).json["data"]["organization"]["projectV2"]["items"] == {"totalCount": 1}


def test_cards_keep_their_kinds(shop: Shop) -> None:
    board, project = shop.github.board, shop.project
    board.add_card(project, shop.pull_request, status="For Implementation", branch="other")
    board.add_card(project, "An idea", status="For Implementation")
    board.add_card(project, None, status="For Implementation")
    board.add_card(project, None, status="For Implementation", type_="ISSUE")
    nodes = fetch(shop)["items"]["nodes"]
    assert [node["type"] for node in nodes] == ["ISSUE", "PULL_REQUEST", "DRAFT_ISSUE", "REDACTED", "ISSUE"]
    assert [node["content"] and node["content"]["__typename"] for node in nodes] == [
        "Issue", "PullRequest", "DraftIssue", None, None,
    ]  # fmt: skip
    assert nodes[1]["branch"] == {"text": "other"}
    assert nodes[1]["content"]["headRefName"] == "feature/checkout"


def test_a_users_board_is_read_as_an_organisations(shop: Shop) -> None:
    board = shop.github.board
    board.add_card(board.add_project("alice", organization=False), "Mine", status="Todo")
    variables = shop.board_variables | {"owner": "alice", "ofOrganization": False, "query": ""}
    answer = shop.ask(queries.FETCH_WORK_ITEM, **variables)
    assert answer["user"]["projectV2"]["items"]["nodes"][0]["content"]["title"] == "Mine"


def test_250_cards_are_three_pages_in_the_boards_order(shop: Shop) -> None:
    for number in range(249):
        shop.github.board.add_card(shop.project, f"Card {number}", status="Todo")
    titles, after, pages = [], None, 0
    while True:
        answer = shop.ask(queries.FETCH_PAGE, **shop.board_variables, after=after)
        items = answer["organization"]["projectV2"]["items"]
        titles += [node["content"]["title"] for node in items["nodes"]]
        after, pages = items["pageInfo"]["endCursor"], pages + 1
        assert answer["rateLimit"]["cost"] == 1
        if not items["pageInfo"]["hasNextPage"]:
            break
    assert pages == 3
    assert titles == ["A checkout", *(f"Card {number}" for number in range(249))]
    assert shop.github.requests.points == 3


def test_a_card_that_moves_away_between_pages_keeps_its_place(shop: Shop) -> None:
    board = shop.github.board
    cards = [board.add_card(shop.project, title, status="Todo") for title in ("a", "b", "c")]
    query = """query ($after: String) { organization(login: "acme") { projectV2(number: 1) {
        items(first: 2, after: $after, query: "status:Todo") {
            pageInfo { endCursor hasNextPage } nodes { id } } } } }"""
    items = shop.post(query).json["data"]["organization"]["projectV2"]["items"]
    board.move(cards[1], "Done")
    rest = shop.post(query, after=items["pageInfo"]["endCursor"]).json["data"]["organization"]["projectV2"]["items"]
    assert [node["id"] for node in rest["nodes"]] == [cards[2].id]
    assert not rest["pageInfo"]["hasNextPage"]


def test_an_invented_cursor_is_refused(untouched_shop: Shop) -> None:
    with pytest.raises(TransportQueryError, match="does not appear to be a valid cursor"):
        untouched_shop.ask(queries.FETCH_PAGE, **untouched_shop.board_variables, after="nonsense")


def test_one_card_is_read_with_its_board(untouched_shop: Shop) -> None:
    node = untouched_shop.ask(
        queries.READ_CARD, itemId=untouched_shop.card.id, statusField="status", branchField="branch"
    )["node"]
    assert node["project"]["number"] == 1
    assert node["project"]["statusField"]["__typename"] == "ProjectV2SingleSelectField"
    assert node["status"]["name"] == "For Implementation"


def test_a_text_field_is_no_status_field(untouched_shop: Shop) -> None:
    node = untouched_shop.ask(
        queries.READ_CARD, itemId=untouched_shop.card.id, statusField="Branch", branchField="None"
    )["node"]
    assert node["project"]["statusField"] == {"__typename": "ProjectV2Field"}


def test_a_branch_is_read_from_git(untouched_shop: Shop) -> None:
    found = untouched_shop.validate()
    tip = untouched_shop.repository.git.head_of("feature/checkout")
    assert found["defaultBranchRef"] == {"name": "main"}
    target = {"__typename": "Commit", "oid": tip, "message": "Add the spec"}
    assert found["ref"] == {"name": "feature/checkout", "target": target}
    assert [entry["name"] for entry in found["specFolder"]["entries"]] == ["design.md", "requirements.md", "tasks.md"]
    assert found["tasks"]["text"] == "- [ ] 1. Add the checkout\n"
    (pull_request,) = found["pullRequests"]["nodes"]
    assert (pull_request["headRefOid"], pull_request["baseRefName"]) == (tip, "main")
    assert not pull_request["isCrossRepository"]


def test_a_new_commit_is_seen_by_the_next_query(shop: Shop) -> None:
    new = shop.repository.git.commit("feature/checkout", {"new.txt": "new"})
    found = shop.validate()
    assert found["ref"]["target"]["oid"] == found["pullRequests"]["nodes"][0]["headRefOid"] == new


def test_what_is_not_there_is_null(untouched_shop: Shop) -> None:
    found = untouched_shop.validate("feature/nowhere")
    assert (found["ref"], found["specFolder"], found["tasks"]) == (None, None, None)
    assert found["pullRequests"]["nodes"] == []


def test_tree_modes_tell_links_submodules_executables_and_folders_apart(shop: Shop) -> None:
    shop.repository.git.commit(
        "feature/checkout",
        {
            f"{shop.spec}/link.md": Symlink("/etc/passwd"),
            f"{shop.spec}/module": Submodule("1" * 40),
            f"{shop.spec}/run.sh": Executable("#!/bin/sh\n"),
            f"{shop.spec}/folder/a": "a",
            f"{shop.spec}/image": b"\x89PNG\0",
            f'{shop.spec}/qu"o\\te ü.md': "odd name",
        },
    )
    entries = {entry["name"]: entry for entry in shop.validate()["specFolder"]["entries"]}
    assert {name: entry["mode"] for name, entry in entries.items()} == {
        "design.md": 0o100644,
        "requirements.md": 0o100644,
        "tasks.md": 0o100644,
        "link.md": 40960,
        "module": 57344,
        "run.sh": 0o100755,
        "folder": 0o40000,
        "image": 0o100644,
        'qu"o\\te ü.md': 0o100644,
    }
    assert entries["module"]["object"] is None
    assert entries["module"]["type"] == "commit"
    assert entries["folder"]["object"] == {"__typename": "Tree"}
    assert entries["image"]["object"] == {"__typename": "Blob", "byteSize": 5, "isBinary": True}


def test_a_file_of_ten_megabytes_is_cut_and_says_so(shop: Shop) -> None:
    shop.repository.git.commit("feature/checkout", {f"{shop.spec}/tasks.md": "- [ ] 1. Do it\n" * 700_000})
    tasks = shop.validate()["tasks"]
    assert (tasks["byteSize"], tasks["isTruncated"], tasks["isBinary"]) == (10_500_000, True, False)
    assert len(tasks["text"]) == 512_000


def test_a_binary_file_has_no_text(shop: Shop) -> None:
    shop.repository.git.commit("feature/checkout", {f"{shop.spec}/tasks.md": b"a\0b"})
    assert shop.validate()["tasks"] == {
        "__typename": "Blob", "byteSize": 3, "isBinary": True, "isTruncated": False, "text": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "expression", ["", "a\nb", "\0", "refs/heads/main:../../etc/passwd", "--help", "x y z", "ü" * 500]
)
def test_a_strange_expression_finds_nothing(untouched_shop: Shop, expression: str) -> None:
    assert untouched_shop.validate(tasks=expression)["tasks"] is None


def test_a_tag_does_not_hide_a_branch(shop: Shop) -> None:
    git = shop.repository.git
    git.run("tag", "feature/checkout", "main")
    assert shop.validate()["ref"]["target"]["oid"] == git.head_of("feature/checkout")
    short = '{ repository(owner: "acme", name: "shop") { object(expression: "feature/checkout") { oid } } }'
    assert shop.post(short).json["data"]["repository"]["object"]["oid"] == git.head_of("main")


def test_a_forks_branch_of_the_same_name_is_found_and_told_apart(shop: Shop) -> None:
    board = shop.github.board
    fork = board.add_repository("mallory/shop", parent=shop.repository)
    fork.git.commit("feature/checkout", {"evil": "evil"})
    board.add_pull_request(shop.repository, "mallory:feature/checkout", author="mallory", association="NONE")
    nodes = shop.validate()["pullRequests"]["nodes"]
    assert [(node["isCrossRepository"], node["authorAssociation"]) for node in nodes] == [
        (False, "MEMBER"),
        (True, "NONE"),
    ]
    assert nodes[1]["headRefOid"] == fork.git.head_of("feature/checkout")


def test_closed_pull_requests_are_left_out_and_keep_their_head(shop: Shop) -> None:
    before = shop.validate()["pullRequests"]["nodes"][0]["headRefOid"]
    shop.pull_request.state = "MERGED"
    shop.repository.git.delete_branch("feature/checkout")
    assert shop.validate()["pullRequests"]["nodes"] == []
    query = """{ repository(owner: "acme", name: "shop") { pullRequest(number: 2) {
        merged headRefOid headRef { name } headRepositoryOwner { login } baseRef { name } } } }"""
    assert shop.post(query).json["data"]["repository"]["pullRequest"] == {
        "merged": True, "headRefOid": before, "headRef": None, "headRepositoryOwner": {"login": "acme"},
        "baseRef": {"name": "main"},
    }  # fmt: skip


def test_a_deleted_linked_branch_is_null(shop: Shop) -> None:
    shop.repository.git.delete_branch("feature/checkout")
    assert fetch(shop)["items"]["nodes"][0]["content"]["linkedBranches"]["nodes"] == [{"ref": None}]


def set_status(shop: Shop, **changes: str) -> dict[str, Any]:
    field = shop.project.field_named("Status")
    assert field is not None
    ids = {"projectId": shop.project.id, "itemId": shop.card.id, "fieldId": field.id}
    return shop.ask(queries.SET_STATUS, **ids | {"optionId": field.option("In Review").id} | changes)


def test_the_status_is_set(shop: Shop) -> None:
    assert set_status(shop) == {"updateProjectV2ItemFieldValue": {"projectV2Item": {"id": shop.card.id}}}
    assert shop.card.value("Status") == "In Review"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optionId": "nonsense"}, "The single select option Id does not belong to the field"),
        ({"itemId": "PVTI_nonsense"}, "Could not resolve to a node with the global id of 'PVTI_nonsense'"),
        ({"projectId": "PVT_nonsense"}, "Could not resolve to a node with the global id of 'PVT_nonsense'"),
    ],
)
def test_a_status_that_cannot_be_set_is_an_error(shop: Shop, changes: dict[str, str], words: str) -> None:
    with pytest.raises(TransportQueryError, match=words):
        set_status(shop, **changes)
    assert shop.card.value("Status") == "For Implementation"


def test_another_boards_card_is_refused(shop: Shop) -> None:
    other = shop.github.board.add_card(shop.github.board.add_project("acme"), "Elsewhere")
    with pytest.raises(TransportQueryError, match="The item does not exist in the project"):
        set_status(shop, itemId=other.id)


def test_a_comment_is_added_found_and_updated(shop: Shop) -> None:
    subject = shop.pull_request.id
    node = shop.ask(queries.ADD_COMMENT, subjectId=subject, body="First")["addComment"]["commentEdge"]["node"]
    shop.ask(queries.UPDATE_COMMENT, commentId=node["id"], body="Second")
    comments = shop.ask(queries.FIND_COMMENTS, subjectId=subject, before=None)["node"]["comments"]
    assert comments["nodes"] == [{**node, "body": "Second", "viewerDidAuthor": True}]
    assert node["url"].startswith(f"{shop.github.base_url}/acme/shop/pull/2#issuecomment-")


def test_comments_are_read_from_the_last_backwards(shop: Shop) -> None:
    for number in range(150):
        shop.github.board.add_comment(shop.pull_request, "alice", f"Comment {number}")
    last = shop.ask(queries.FIND_COMMENTS, subjectId=shop.pull_request.id, before=None)["node"]["comments"]
    assert [last["nodes"][place]["body"] for place in (0, -1)] == ["Comment 50", "Comment 149"]
    assert last["pageInfo"]["hasPreviousPage"]
    assert not last["nodes"][0]["viewerDidAuthor"]
    before = last["pageInfo"]["startCursor"]
    first = shop.ask(queries.FIND_COMMENTS, subjectId=shop.pull_request.id, before=before)["node"]["comments"]
    assert [first["nodes"][place]["body"] for place in (0, -1)] == ["Comment 0", "Comment 49"]
    assert not first["pageInfo"]["hasPreviousPage"]


@pytest.mark.parametrize(("body", "words"), [(" ", "cannot be blank"), ("x" * 65_537, "too long")])
def test_a_comment_has_a_length(untouched_shop: Shop, body: str, words: str) -> None:
    with pytest.raises(TransportQueryError, match=words):
        untouched_shop.ask(queries.ADD_COMMENT, subjectId=untouched_shop.pull_request.id, body=body)


def test_nobody_comments_in_an_archived_repository(shop: Shop) -> None:
    shop.repository.is_archived = True
    with pytest.raises(TransportQueryError, match="archived so is read-only"):
        shop.ask(queries.ADD_COMMENT, subjectId=shop.pull_request.id, body="Hello")
    assert shop.validate()["isArchived"]


def test_unknown_things_are_null_beside_the_rest_with_githubs_words(untouched_shop: Shop) -> None:
    answer = untouched_shop.post(PROJECT, n=7)
    assert answer.status == 200
    assert answer.json["data"] == {"organization": {"projectV2": None}, "rateLimit": {"cost": 1}}
    assert answer.json["errors"] == [
        {
            "type": "NOT_FOUND",
            "path": ["organization", "projectV2"],
            "locations": [{"line": 1, "column": 50}],
            "message": "Could not resolve to a ProjectV2 with the number 7.",
        }
    ]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ('{ organization(login: "no") { id } }', "Could not resolve to an Organization with the login of 'no'."),
        ('{ user(login: "acme") { id } }', "Could not resolve to a User with the login of 'acme'."),
        (
            '{ repository(owner: "acme", name: "no") { id } }',
            "Could not resolve to a Repository with the name 'acme/no'.",
        ),
        ('{ node(id: "I_no") { id } }', "Could not resolve to a node with the global id of 'I_no'"),
    ],
)
def test_what_is_unknown_is_not_found(untouched_shop: Shop, query: str, words: str) -> None:
    (error,) = untouched_shop.post(query).json["errors"]
    assert (error["type"], error["message"]) == ("NOT_FOUND", words)


def test_names_ignore_case(untouched_shop: Shop) -> None:
    query = '{ repository(owner: "ACME", name: "Shop") { nameWithOwner } }'
    assert untouched_shop.post(query).json["data"]["repository"]["nameWithOwner"] == "acme/shop"


def test_an_older_enterprise_server_does_not_know_the_filter(untouched_shop: Shop) -> None:
    with StandInGitHub(before_ghes_3_20=True) as older:
        older.add_token(untouched_shop.token)
        with pytest.raises(TransportQueryError) as caught:
            type(untouched_shop)(
                older,
                untouched_shop.repository,
                untouched_shop.pull_request,
                untouched_shop.project,
                untouched_shop.card,
            ).ask(queries.FETCH_WORK_ITEM, **untouched_shop.board_variables, query="")
    assert caught.value.errors is not None
    first, second = caught.value.errors
    assert first["message"] == "Field 'items' doesn't accept argument 'query'"
    assert first["path"] == ["fragment Items", "items", "query"]
    assert first["extensions"] == {
        "code": "argumentNotAccepted", "name": "items", "typeName": "Field", "argumentName": "query",
    }  # fmt: skip
    assert second["message"] == "Variable $query is declared by FetchWorkItem but not used"


def test_an_unknown_field_is_worded_as_github_does(untouched_shop: Shop) -> None:
    (error,) = untouched_shop.post("query Mine { viewer { login, mood } }").json["errors"]
    assert error == {
        "message": "Field 'mood' doesn't exist on type 'User'",
        "locations": [{"line": 1, "column": 30}],
        "path": ["query Mine", "viewer", "mood"],
        "extensions": {"code": "undefinedField", "typeName": "User", "fieldName": "mood"},
    }


@pytest.mark.parametrize("query", ["{ viewer {", "", "query A { viewer { id } } query B { viewer { id } }"])
def test_a_document_that_cannot_be_executed_is_an_error(untouched_shop: Shop, query: str) -> None:
    answer = untouched_shop.post(query)
    assert answer.status == 200
    assert answer.json["errors"]
    assert "data" not in answer.json


def test_a_variable_of_the_wrong_type_is_an_error(untouched_shop: Shop) -> None:
    assert "$n" in untouched_shop.post(PROJECT, n="seven").json["errors"][0]["message"]


def test_the_headers_and_the_field_tell_the_same_balance(shop: Shop) -> None:
    shop.post("{ viewer { login } }")
    answer = shop.post("{ viewer { login } rateLimit { cost limit remaining used nodeCount resetAt } }")
    limit = answer.json["data"]["rateLimit"]
    assert (limit["cost"], limit["limit"], limit["remaining"], limit["used"], limit["nodeCount"]) == (
        1,
        5000,
        4998,
        2,
        0,
    )
    reset = datetime.fromisoformat(limit["resetAt"]).timestamp()
    assert answer.headers["x-ratelimit-reset"] == f"{reset:.0f}"
    names = ("limit", "remaining", "used", "resource")
    assert [answer.headers[f"x-ratelimit-{name}"] for name in names] == ["5000", "4998", "2", "graphql"]
    assert answer.headers["x-oauth-scopes"] == "project, repo"
    assert answer.headers["x-github-request-id"]


def test_the_last_point_is_the_last(shop: Shop) -> None:
    with StandInGitHub(points_an_hour=1) as poor:
        poor.add_token(shop.token)
        asking = type(shop)(poor, shop.repository, shop.pull_request, shop.project, shop.card)
        assert asking.post("{ viewer { login } }").json["data"] == {"viewer": {"login": "worker"}}
        answer = asking.post("{ viewer { login } }")
    assert answer.status == 200
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert answer.json["errors"][0]["type"] == "RATE_LIMIT"


@pytest.mark.parametrize(
    ("token", "message"), [("ghp_other", "Bad credentials"), (None, "This endpoint requires you to be authenticated.")]
)
def test_without_a_known_token_nothing_is_answered(untouched_shop: Shop, token: str | None, message: str) -> None:
    answer = untouched_shop.post("{ viewer { login } }", token=token)
    assert (answer.status, answer.json["message"]) == (401, message)


def test_a_token_without_the_scope_is_told_which(shop: Shop) -> None:
    shop.github.add_token("ghp_repo", "worker", ("repo",))
    answer = shop.post(PROJECT, token="ghp_repo", n=1)
    assert answer.status == 200
    assert "data" not in answer.json
    assert answer.json["errors"][0]["type"] == "INSUFFICIENT_SCOPES"
    assert answer.headers["x-oauth-scopes"] == "repo"


def test_a_token_without_repo_sees_no_private_repository(shop: Shop) -> None:
    shop.github.add_token("ghp_project", "worker", ("project",))
    variables = {**shop.board_variables, "query": ""}
    answer = shop.ask(queries.FETCH_WORK_ITEM, token="ghp_project", **variables)
    (node,) = answer["organization"]["projectV2"]["items"]["nodes"]
    assert (node["type"], node["content"]) == ("REDACTED", None)


def test_a_fine_grained_token_reaches_organisations_only(shop: Shop) -> None:
    shop.github.add_token("github_pat", "worker", None)
    shop.github.board.add_project("alice", organization=False)
    answer = shop.post(PROJECT, token="github_pat", n=1)
    assert answer.json["data"]["organization"]["projectV2"]["id"] == shop.project.id
    assert "x-oauth-scopes" not in answer.headers
    answer = shop.post('{ user(login: "alice") { projectV2(number: 1) { id } } }', token="github_pat")
    assert answer.json["data"] == {"user": {"projectV2": None}}
    assert answer.json["errors"][0]["type"] == "FORBIDDEN"
    answer = shop.post('{ user(login: "alice") { projectsV2(first: 1) { totalCount } } }', token="github_pat")
    assert answer.json == {"data": {"user": {"projectsV2": {"totalCount": 0}}}}


def test_what_is_no_json_is_refused(untouched_shop: Shop) -> None:
    headers = {"authorization": f"bearer {untouched_shop.token}", "user-agent": "tests"}
    answer = untouched_shop.request("POST", "/graphql", "{", headers)
    assert (answer.status, answer.json["message"]) == (400, "Problems parsing JSON")


def test_who_does_not_say_who_it_is_is_refused(untouched_shop: Shop) -> None:
    answer = untouched_shop.request(
        "POST", "/graphql", '{"query": "{ viewer { id } }"}', {"authorization": f"bearer {untouched_shop.token}"}
    )
    assert answer.status == 403
    assert "User-Agent" in answer.text


def test_every_request_is_recorded(shop: Shop) -> None:
    fetch(shop)
    shop.post(PROJECT, n=7)
    shop.post("{ viewer { id } }", token="ghp_other")
    first, second, third = shop.github.requests
    assert (first.operation, first.cost, first.status, first.login) == ("FetchWorkItem", 1, 200, "worker")
    assert first.variables["query"] == FOR_IMPLEMENTATION
    assert second.errors == ("NOT_FOUND",)
    assert (third.status, third.cost) == (401, 0)
    assert shop.github.requests.points == 2
    assert len(shop.github.requests.graphql("FetchWorkItem")) == 1


def test_64_clients_are_answered_and_none_of_their_comments_is_lost(shop: Shop) -> None:
    async def one(number: int) -> None:
        transport = AIOHTTPTransport(shop.github.graphql_url, headers={"Authorization": f"bearer {shop.token}"})
        async with Client(transport=transport, execute_timeout=30) as session:
            request = type(queries.ADD_COMMENT)(
                queries.ADD_COMMENT.document,
                variable_values={"subjectId": shop.pull_request.id, "body": f"Comment {number}"},
            )
            await session.execute(request)

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(64)))

    asyncio.run(all_of_them())
    assert {comment.body for comment in shop.pull_request.comments} == {f"Comment {number}" for number in range(64)}
    assert shop.github.requests.points == 64
