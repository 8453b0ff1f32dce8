"""When a branch is ready to be built, and which branch names are allowed."""

from __future__ import annotations

import asyncio
import copy
import subprocess
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiro_worker.config.model import Configuration
from kiro_worker.errors import WorkItemInvalid
from kiro_worker.github.answers.repository import RepositoryState
from kiro_worker.github.branch_names import branch_problem
from kiro_worker.github.readiness import problems, validate_item
from kiro_worker.models import WorkItem
from kiro_worker.records.runs import RunRecord
from tests.support.fake_github import ready_repository, spec_file

if TYPE_CHECKING:
    from kiro_worker.github.client import GitHubSession

CONFIGURATION = Configuration.model_validate(
    {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "For Implementation"}
)
BRANCH = "feature/discounts"


READY = ready_repository(BRANCH)


def reasons(branch: str = BRANCH, configuration: Configuration = CONFIGURATION, **changes: Any) -> list[str]:
    return list(problems(RepositoryState.parse(copy.deepcopy(READY) | changes), configuration, branch))


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
    archived = RepositoryState.parse(READY | {"isArchived": True})
    pushed = RunRecord("arn:one", "acme/shop", BRANCH, "PVTI_1", frozenset({"a" * 40}))
    assert list(problems(archived, CONFIGURATION, BRANCH, lambda: pushed)) == []
    assert len(list(problems(archived, CONFIGURATION, BRANCH, lambda: None))) == 1


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
        ({"defaultBranchRef": {"name": BRANCH}}, "is the default branch"),
        ({"specFolder": None}, "spec folder .kiro/specs/feature-discounts does not exist"),
        ({"specFolder": {"__typename": "Blob"}}, "does not exist"),
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
        ({"pullRequests": pull_request(isCrossRepository=True)}, "#7) comes from a fork"),
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
    found = list(problems(RepositoryState.parse(done), CONFIGURATION, BRANCH, lambda: record))
    assert [reason.partition(" has no open task")[1] for reason in found] == ([" has no open task"] if refused else [])


def test_record_is_read_only_without_open_task() -> None:
    def read_run() -> RunRecord:
        raise AssertionError("a card with an open task needs no record")

    assert list(problems(RepositoryState.parse(copy.deepcopy(READY)), CONFIGURATION, BRANCH, read_run)) == []


def test_all_reasons_are_listed_together() -> None:
    found = reasons(isArchived=True, specFolder=None, pullRequests={"nodes": []})
    assert len(found) == 3


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
