"""Every operation of the worker, sent over HTTP as the worker sends it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from gql import Client
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError

from kiro_local.github.git_repository import Executable, Submodule, Symlink
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.github import queries, readiness_queries
from kiro_worker.github.answers.pull_request import MergeableAnswer
from kiro_worker.github.answers.repository import SpecRootsAnswer

if TYPE_CHECKING:
    from tests.integration.kiro_local.github.conftest import Shop

FIELDS = {"statusField": "Status", "branchField": "Branch", "specField": "Spec"}
FOR_IMPLEMENTATION = 'status:"For Implementation"'
PROJECT = 'query ($n: Int!) { organization(login: "acme") { projectV2(number: $n) { id } } rateLimit { cost } }'


def fetch(shop: Shop, query: str = FOR_IMPLEMENTATION) -> dict[str, Any]:
    project: dict[str, Any] = shop.ask(queries.FETCH_WORK_ITEM, **shop.board_variables, query=query)["organization"][
        "projectV2"
    ]
    return project


def test_next_card_has_all_selection_fields(shop: Shop) -> None:
    project = fetch(shop)
    (node,) = project["items"]["nodes"]
    assert node["status"]["name"] == "For Implementation"
    assert node["branch"] is None
    assert node["content"]["repository"] == {"nameWithOwner": "acme/shop"}
    assert node["content"]["linkedBranches"]["nodes"] == [
        {"ref": {"name": "feature/checkout", "repository": {"nameWithOwner": "acme/shop"}}}
    ]
    assert node["content"]["url"] == f"{shop.github.base_url}/acme/shop/issues/1"
    assert [option["name"] for option in project["statusField"]["options"]][:2] == ["Todo", "For Implementation"]


def test_unknown_status_matches_nothing(shop: Shop) -> None:
    assert fetch(shop, 'status:"For Implementatio"')["items"]["nodes"] == []


def test_archived_cards_are_left_out(shop: Shop) -> None:
    shop.card.is_archived = True
    assert fetch(shop)["items"]["nodes"] == []
    query = """{ organization(login: "acme") { projectV2(number: 1) {
        items(first: 1, archivedStates: [ARCHIVED, NOT_ARCHIVED]) { totalCount } } } }"""
    assert shop.post(query).json["data"]["organization"]["projectV2"]["items"] == {"totalCount": 1}


def test_cards_have_their_types(shop: Shop) -> None:
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


def test_user_board_is_readable(shop: Shop) -> None:
    board = shop.github.board
    board.add_card(board.add_project("alice", organization=False), "Mine", status="Todo")
    variables = shop.board_variables | {"owner": "alice", "ofOrganization": False, "query": ""}
    answer = shop.ask(queries.FETCH_WORK_ITEM, **variables)
    assert answer["user"]["projectV2"]["items"]["nodes"][0]["content"]["title"] == "Mine"


def test_cards_are_paginated_in_board_order(shop: Shop) -> None:
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


def test_cursor_survives_a_moved_card(shop: Shop) -> None:
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


def test_invalid_cursor_is_rejected(untouched_shop: Shop) -> None:
    with pytest.raises(TransportQueryError, match="does not appear to be a valid cursor"):
        untouched_shop.ask(queries.FETCH_PAGE, **untouched_shop.board_variables, after="nonsense")


def test_card_is_read_with_its_board(untouched_shop: Shop) -> None:
    fields = {"statusField": "status", "branchField": "branch", "specField": "spec"}
    node = untouched_shop.ask(queries.READ_CARD, itemId=untouched_shop.card.id, **fields)["node"]
    assert node["project"]["number"] == 1
    assert node["project"]["statusField"]["__typename"] == "ProjectV2SingleSelectField"
    assert node["status"]["name"] == "For Implementation"


def test_text_field_is_not_a_status_field(untouched_shop: Shop) -> None:
    fields = {"statusField": "Branch", "branchField": "None", "specField": "None"}
    node = untouched_shop.ask(queries.READ_CARD, itemId=untouched_shop.card.id, **fields)["node"]
    assert node["project"]["statusField"] == {"__typename": "ProjectV2Field"}


def test_branch_is_read_from_git(untouched_shop: Shop) -> None:
    repository = untouched_shop.validate()
    tip = untouched_shop.repository.git.head_of("feature/checkout")
    commit = untouched_shop.repository.git.head_of("main")
    target = {"__typename": "Commit", "oid": commit, "file": None, "misnamed": None}
    assert repository["defaultBranchRef"] == {"name": "main", "target": target}
    assert repository["ref"] == {
        "name": "feature/checkout",
        "target": {"__typename": "Commit", "oid": tip},
        "refUpdateRule": None,
        "rules": {"nodes": []},
    }
    assert [entry["name"] for entry in repository["specFolder"]["entries"]] == [
        "design.md",
        "requirements.md",
        "tasks.md",
    ]
    assert repository["tasks"]["text"] == "- [ ] 1. Add the checkout\n"
    (pull_request,) = repository["pullRequests"]["nodes"]
    assert (pull_request["headRefOid"], pull_request["baseRefName"]) == (tip, "main")
    assert not pull_request["isCrossRepository"]


def test_new_commit_is_visible_at_once(shop: Shop) -> None:
    new = shop.repository.git.commit("feature/checkout", {"new.txt": "new"})
    repository = shop.validate()
    assert repository["ref"]["target"]["oid"] == repository["pullRequests"]["nodes"][0]["headRefOid"] == new


def test_missing_objects_are_null(untouched_shop: Shop) -> None:
    repository = untouched_shop.validate("feature/nowhere")
    assert (repository["ref"], repository["specFolder"], repository["tasks"]) == (None, None, None)
    assert repository["pullRequests"]["nodes"] == []


def test_tree_entries_have_git_modes(shop: Shop) -> None:
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


def test_large_file_is_truncated(shop: Shop) -> None:
    shop.repository.git.commit("feature/checkout", {f"{shop.spec}/tasks.md": "- [ ] 1. Do it\n" * 700_000})
    tasks = shop.validate()["tasks"]
    assert (tasks["byteSize"], tasks["isTruncated"], tasks["isBinary"]) == (10_500_000, True, False)
    assert len(tasks["text"]) == 512_000


def test_binary_file_has_no_text(shop: Shop) -> None:
    shop.repository.git.commit("feature/checkout", {f"{shop.spec}/tasks.md": b"a\0b"})
    assert shop.validate()["tasks"] == {
        "__typename": "Blob", "byteSize": 3, "isBinary": True, "isTruncated": False, "text": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "expression", ["", "a\nb", "\0", "refs/heads/main:../../etc/passwd", "--help", "x y z", "ü" * 500]
)
def test_hostile_expression_finds_nothing(untouched_shop: Shop, expression: str) -> None:
    assert untouched_shop.validate(tasks=expression)["tasks"] is None


def test_new_spec_folder_is_found(shop: Shop) -> None:
    git, root = shop.repository.git, ".kiro/specs"
    git.commit("main", {f"{root}/old/tasks.md": "- [x] 1. Done\n"})
    git.commit("feature/checkout", {f"{root}/link": Symlink("feature-checkout")})
    variables = {"onBranch": f"{git.head_of('feature/checkout')}:{root}", "onBase": f"refs/heads/main:{root}"}
    ask = {"owner": "acme", "name": "shop", "baseRef": "refs/heads/main", **variables}
    roots = SpecRootsAnswer.parse(shop.ask(readiness_queries.FIND_SPEC, **ask)).repository
    assert roots is not None
    assert {entry.name: (entry.mode, entry.type) for entry in roots.on_branch} == {
        "feature-checkout": (0o40000, "tree"),
        "link": (0o120000, "blob"),
    }
    assert roots.on_base == frozenset({"old"})
    assert roots.base is not None
    gone = SpecRootsAnswer.parse(shop.ask(readiness_queries.FIND_SPEC, **ask | {"baseRef": "refs/heads/gone"}))
    assert gone.repository is not None
    assert gone.repository.base is None


def test_merge_is_unknown_for_a_while_after_push(shop: Shop) -> None:
    def mergeable() -> str:
        answer = shop.ask(readiness_queries.READ_MERGEABLE, id=shop.pull_request.id)
        return MergeableAnswer.parse(answer).mergeable

    assert mergeable() == "MERGEABLE"
    shop.pull_request.unknown_answers = 1
    assert [mergeable(), mergeable()] == ["UNKNOWN", "MERGEABLE"]
    shop.repository.git.commit("main", {"new.txt": "main"})
    shop.repository.git.commit("feature/checkout", {"new.txt": "branch"})
    assert mergeable() == "CONFLICTING"
    assert shop.validate(withMergeable=True)["pullRequests"]["nodes"][0]["mergeable"] == "CONFLICTING"
    assert "mergeable" not in shop.validate()["pullRequests"]["nodes"][0]


def test_tag_does_not_hide_branch(shop: Shop) -> None:
    git = shop.repository.git
    git.run("tag", "feature/checkout", "main")
    assert shop.validate()["ref"]["target"]["oid"] == git.head_of("feature/checkout")
    short = '{ repository(owner: "acme", name: "shop") { object(expression: "feature/checkout") { oid } } }'
    assert shop.post(short).json["data"]["repository"]["object"]["oid"] == git.head_of("main")


def test_fork_with_same_branch_is_marked(shop: Shop) -> None:
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


def test_merged_pull_request_keeps_its_head(shop: Shop) -> None:
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


def test_deleted_linked_branch_is_null(shop: Shop) -> None:
    shop.repository.git.delete_branch("feature/checkout")
    assert fetch(shop)["items"]["nodes"][0]["content"]["linkedBranches"]["nodes"] == [{"ref": None}]


def set_status(shop: Shop, **changes: str) -> dict[str, Any]:
    field = shop.project.field_named("Status")
    assert field is not None
    ids = {"projectId": shop.project.id, "itemId": shop.card.id, "fieldId": field.id}
    return shop.ask(queries.SET_STATUS, **ids | {"optionId": field.option("In Review").id} | changes)


def test_status_is_set(shop: Shop) -> None:
    assert set_status(shop) == {"updateProjectV2ItemFieldValue": {"projectV2Item": {"id": shop.card.id}}}
    assert shop.card.value("Status") == "In Review"


def test_status_has_the_time_of_its_last_change(shop: Shop) -> None:
    def shown() -> datetime:
        node = shop.ask(queries.READ_CARD, itemId=shop.card.id, **FIELDS)["node"]
        return datetime.fromisoformat(node["status"]["updatedAt"])

    field = shop.project.field_named("Status")
    assert field is not None
    long_ago = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    shop.card.changed_at[field.id] = long_ago
    shop.github.board.set_value(shop.card, "Branch", "feature/other")
    set_status(shop, optionId=field.option("For Implementation").id)
    assert shown() == long_ago
    before = datetime.now(UTC).replace(microsecond=0)
    set_status(shop)
    assert before <= shown() <= datetime.now(UTC)
    shop.card.changed_at[field.id] = long_ago
    shop.github.board.move(shop.card, "Done")
    assert before <= shown() <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optionId": "nonsense"}, "The single select option Id does not belong to the field"),
        ({"itemId": "PVTI_nonsense"}, "Could not resolve to a node with the global id of 'PVTI_nonsense'"),
        ({"projectId": "PVT_nonsense"}, "Could not resolve to a node with the global id of 'PVT_nonsense'"),
    ],
)
def test_invalid_status_change_is_an_error(shop: Shop, changes: dict[str, str], words: str) -> None:
    with pytest.raises(TransportQueryError, match=words):
        set_status(shop, **changes)
    assert shop.card.value("Status") == "For Implementation"


def test_card_of_other_board_is_rejected(shop: Shop) -> None:
    other = shop.github.board.add_card(shop.github.board.add_project("acme"), "On another board")
    with pytest.raises(TransportQueryError, match="The item does not exist in the project"):
        set_status(shop, itemId=other.id)


def test_comment_is_added_and_updated(shop: Shop) -> None:
    subject = shop.pull_request.id
    node = shop.ask(queries.ADD_COMMENT, subjectId=subject, body="First")["addComment"]["commentEdge"]["node"]
    shop.ask(queries.UPDATE_COMMENT, commentId=node["id"], body="Second")
    comments = shop.ask(queries.FIND_COMMENTS, subjectId=subject, before=None)["node"]["comments"]
    assert comments["nodes"] == [{**node, "body": "Second", "viewerDidAuthor": True}]
    assert node["url"].startswith(f"{shop.github.base_url}/acme/shop/pull/2#issuecomment-")


def test_comments_are_paginated_backwards(shop: Shop) -> None:
    for number in range(150):
        shop.github.board.add_comment(shop.pull_request, "alice", f"Comment {number}")
    last = shop.ask(queries.FIND_COMMENTS, subjectId=shop.pull_request.id, before=None)["node"]["comments"]
    assert [last["nodes"][index]["body"] for index in (0, -1)] == ["Comment 50", "Comment 149"]
    assert last["pageInfo"]["hasPreviousPage"]
    assert not last["nodes"][0]["viewerDidAuthor"]
    before = last["pageInfo"]["startCursor"]
    first = shop.ask(queries.FIND_COMMENTS, subjectId=shop.pull_request.id, before=before)["node"]["comments"]
    assert [first["nodes"][index]["body"] for index in (0, -1)] == ["Comment 0", "Comment 49"]
    assert not first["pageInfo"]["hasPreviousPage"]


@pytest.mark.parametrize(("body", "words"), [(" ", "cannot be blank"), ("x" * 65_537, "too long")])
def test_comment_length_is_checked(untouched_shop: Shop, body: str, words: str) -> None:
    with pytest.raises(TransportQueryError, match=words):
        untouched_shop.ask(queries.ADD_COMMENT, subjectId=untouched_shop.pull_request.id, body=body)


def test_archived_repository_rejects_comments(shop: Shop) -> None:
    shop.repository.is_archived = True
    with pytest.raises(TransportQueryError, match="archived so is read-only"):
        shop.ask(queries.ADD_COMMENT, subjectId=shop.pull_request.id, body="Hello")
    assert shop.validate()["isArchived"]


def test_not_found_error_matches_github(untouched_shop: Shop) -> None:
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
def test_unknown_node_is_not_found(untouched_shop: Shop, query: str, words: str) -> None:
    (error,) = untouched_shop.post(query).json["errors"]
    assert (error["type"], error["message"]) == ("NOT_FOUND", words)


def test_names_ignore_case(untouched_shop: Shop) -> None:
    query = '{ repository(owner: "ACME", name: "Shop") { nameWithOwner } }'
    assert untouched_shop.post(query).json["data"]["repository"]["nameWithOwner"] == "acme/shop"


def test_old_enterprise_server_lacks_filter(untouched_shop: Shop) -> None:
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


def test_unknown_field_error_matches_github(untouched_shop: Shop) -> None:
    (error,) = untouched_shop.post("query Mine { viewer { login, mood } }").json["errors"]
    assert error == {
        "message": "Field 'mood' doesn't exist on type 'User'",
        "locations": [{"line": 1, "column": 30}],
        "path": ["query Mine", "viewer", "mood"],
        "extensions": {"code": "undefinedField", "typeName": "User", "fieldName": "mood"},
    }


@pytest.mark.parametrize("query", ["{ viewer {", "", "query A { viewer { id } } query B { viewer { id } }"])
def test_invalid_document_is_an_error(untouched_shop: Shop, query: str) -> None:
    answer = untouched_shop.post(query)
    assert answer.status == 200
    assert answer.json["errors"]
    assert "data" not in answer.json


def test_variable_of_wrong_type_is_an_error(untouched_shop: Shop) -> None:
    assert "$n" in untouched_shop.post(PROJECT, n="seven").json["errors"][0]["message"]


def test_headers_and_field_agree_on_balance(shop: Shop) -> None:
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


def test_request_beyond_limit_is_rejected(shop: Shop) -> None:
    with StandInGitHub(points_per_hour=1) as limited:
        limited.add_token(shop.token)
        other = type(shop)(limited, shop.repository, shop.pull_request, shop.project, shop.card)
        assert other.post("{ viewer { login } }").json["data"] == {"viewer": {"login": "worker"}}
        answer = other.post("{ viewer { login } }")
    assert answer.status == 200
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert answer.json["errors"][0]["type"] == "RATE_LIMIT"


@pytest.mark.parametrize(
    ("token", "message"), [("ghp_other", "Bad credentials"), (None, "This endpoint requires you to be authenticated.")]
)
def test_unknown_token_is_rejected(untouched_shop: Shop, token: str | None, message: str) -> None:
    answer = untouched_shop.post("{ viewer { login } }", token=token)
    assert (answer.status, answer.json["message"]) == (401, message)


def test_missing_scope_is_reported(shop: Shop) -> None:
    shop.github.add_token("ghp_repo", "worker", ("repo",))
    answer = shop.post(PROJECT, token="ghp_repo", n=1)
    assert answer.status == 200
    assert "data" not in answer.json
    assert answer.json["errors"][0]["type"] == "INSUFFICIENT_SCOPES"
    assert answer.headers["x-oauth-scopes"] == "repo"


def test_private_content_needs_repo_scope(shop: Shop) -> None:
    shop.github.add_token("ghp_project", "worker", ("project",))
    variables = {**shop.board_variables, "query": ""}
    answer = shop.ask(queries.FETCH_WORK_ITEM, token="ghp_project", **variables)
    (node,) = answer["organization"]["projectV2"]["items"]["nodes"]
    assert (node["type"], node["content"]) == ("REDACTED", None)


def test_fine_grained_token_reads_organizations_only(shop: Shop) -> None:
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


def test_invalid_json_is_rejected(untouched_shop: Shop) -> None:
    headers = {"authorization": f"bearer {untouched_shop.token}", "user-agent": "tests"}
    answer = untouched_shop.request("POST", "/graphql", "{", headers)
    assert (answer.status, answer.json["message"]) == (400, "Problems parsing JSON")


def test_missing_user_agent_is_rejected(untouched_shop: Shop) -> None:
    answer = untouched_shop.request(
        "POST", "/graphql", '{"query": "{ viewer { id } }"}', {"authorization": f"bearer {untouched_shop.token}"}
    )
    assert answer.status == 403
    assert "User-Agent" in answer.text


def test_every_request_is_logged(shop: Shop) -> None:
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


def test_concurrent_comments_are_all_kept(shop: Shop) -> None:
    async def comment(number: int) -> None:
        transport = AIOHTTPTransport(shop.github.graphql_url, headers={"Authorization": f"bearer {shop.token}"})
        async with Client(transport=transport, execute_timeout=30) as session:
            request = type(queries.ADD_COMMENT)(
                queries.ADD_COMMENT.document,
                variable_values={"subjectId": shop.pull_request.id, "body": f"Comment {number}"},
            )
            await session.execute(request)

    async def comment_all() -> None:
        await asyncio.gather(*(comment(number) for number in range(64)))

    asyncio.run(comment_all())
    assert {comment.body for comment in shop.pull_request.comments} == {f"Comment {number}" for number in range(64)}
    assert shop.github.requests.points == 64
