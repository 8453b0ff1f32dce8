"""Problems with a card, its branch, its spec and its pull request, as the comment on the card shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.github import pr_comment
from kiro_worker.github.readiness import validate_item
from kiro_worker.models import WorkItem
from tests.support.fake_github import (
    Board,
    FakeGitHub,
    configuration,
    default_branch,
    ready_repository,
    spec_file,
    spec_roots,
)
from tests.support.operator_guide.problem import ARN, Problem, Seen

FOLDER: Final = ".kiro/specs/feature-x"
BRANCH: Final = "feature/x"


def card(**item: Any) -> WorkItem:
    facts = {"content_type": "Issue", "number": 1, "title": "x", "repository": "acme/shop", "branch": BRANCH}
    return WorkItem("CARD", **{**facts, **item})


def rejected(
    repository: dict[str, Any] | None,
    item: WorkItem | None = None,
    roots: dict[str, Any] | None = None,
    **settings: Any,
) -> Callable[[], Seen]:
    """Return a function that validates the card, with this answer about its repository."""
    return lambda: seen(Board(repository=repository, spec_roots=roots), item, **settings)


def seen(board: Board, item: WorkItem | None = None, **settings: Any) -> Seen:
    """What the validation of the card shows."""
    fake = FakeGitHub(board)

    async def validate() -> None:
        async with fake.open_session() as session:
            await validate_item(session, configuration(**settings), item or card())

    with pytest.raises(WorkItemInvalid) as caught:
        asyncio.run(validate())
    return Seen("WorkItemInvalid", pr_comment.rejected(str(caught.value), ARN))


def guarded() -> Seen:
    """A branch that changes ``AGENTS.md``."""
    comparison = {"files": [{"filename": "AGENTS.md", "status": "added", "sha": "1"}]}
    versions = {"default": {"file0": None}, "commit": {"file0": {"mode": 0o100644, "oid": "1"}}}
    return seen(Board(repository=ready_repository(), comparison=comparison, versions=versions))


def changed(**changes: Any) -> Callable[[], Seen]:
    return rejected(ready_repository(**changes))


def pull_request(**changes: Any) -> dict[str, Any]:
    [found] = ready_repository()["pullRequests"]["nodes"]
    return {"pullRequests": {"nodes": [found | changes]}}


def files(*names: str) -> dict[str, Any]:
    return {"specFolder": {"__typename": "Tree", "entries": [spec_file(name) for name in names]}}


def tasks(text: str) -> dict[str, Any]:
    blob = {"__typename": "Blob", "byteSize": 10, "isBinary": False, "isTruncated": False}
    return {"tasks": blob | {"text": text}}


def protected(**rule: Any) -> dict[str, Any]:
    known = {"pattern": "feature/*", "viewerCanPush": False, "requiresSignatures": False}
    return {"ref": ready_repository()["ref"] | {"refUpdateRule": known | rule}, "viewerPermission": "WRITE"}


def invalid(symptom: str, what: str, where: str, do: str, provoke: Callable[[], Seen]) -> Problem:
    return Problem(symptom, "WorkItemInvalid", what, where, do, provoke)


CLOSED: Final = {"number": 7, "state": "CLOSED", "isCrossRepository": False}

CARD: Final = (
    invalid(
        "The card is a draft",
        "the card is a draft",
        "the card",
        "convert the draft to an issue on the board",
        rejected(None, card(content_type="DraftIssue")),
    ),
    invalid(
        "The token may not see the card's issue",
        "is not visible to the token",
        "the card's issue or pull request",
        "give the token access to its repository",
        rejected(None, card(content_type="Redacted")),
    ),
    invalid(
        "The card names no branch",
        "the card has no branch",
        'its field "Branch"',
        "link a branch to the issue, or put the pull request itself on the board",
        rejected(None, card(branch="")),
    ),
    invalid(
        "The card's repository is not allowed",
        "is not on the list of allowed repositories (acme/shop)",
        "the repository acme/other",
        'add it to "repositories" in the configuration parameter',
        rejected(None, card(repository="acme/other")),
    ),
    invalid(
        "The repository is not found",
        "is not visible to the token",
        "the repository acme/shop",
        "give the token access to it, with the scope repo",
        rejected(None),
    ),
    invalid(
        "The branch is not found",
        "does not exist",
        f"the branch {BRANCH}",
        f"git checkout -b {BRANCH} && git push origin {BRANCH}",
        changed(ref=None),
    ),
    invalid(
        "The branch is the default branch",
        "is the default branch",
        BRANCH,
        "create a separate branch for this work",
        changed(defaultBranchRef=default_branch() | {"name": BRANCH}),
    ),
)
SPEC: Final = (
    invalid(
        "The spec folder is not found",
        f"does not exist on {BRANCH}",
        f"the spec folder {FOLDER}",
        f"commit and push the spec as {FOLDER}",
        rejected(ready_repository(specFolder=None, tasks=None), roots=spec_roots([])),
    ),
    invalid(
        "A spec file is missing",
        "is missing",
        f"{FOLDER}/design.md",
        "write it, commit and push it",
        changed(**files("requirements.md", "tasks.md")),
    ),
    invalid(
        "tasks.md is empty",
        "is empty",
        f"{FOLDER}/tasks.md",
        "write it, commit and push it",
        changed(**tasks(" ")),
    ),
    invalid(
        "tasks.md has a line that cannot be read",
        "has the unknown mark [?]",
        f"{FOLDER}/tasks.md, line 2",
        "use [ ], [-], [~] or [x]",
        changed(**tasks("- [ ] 1. One\n- [?] 2. Two")),
    ),
    invalid(
        "All tasks are ticked",
        "has no open task",
        f"{FOLDER}/tasks.md",
        "untick a box, or add a line",
        changed(**tasks("- [x] 1. Done")),
    ),
)
PULL_REQUEST: Final = (
    invalid(
        "There is no pull request for the branch",
        "there is no open pull request",
        f"from {BRANCH}",
        f"gh pr create --head {BRANCH}",
        changed(pullRequests={"nodes": []}),
    ),
    invalid(
        "The pull request was closed",
        "is closed",
        f"the last pull request from {BRANCH}, #7",
        "gh pr reopen 7",
        changed(pullRequests={"nodes": []}, closedPullRequests={"nodes": [CLOSED]}),
    ),
    invalid(
        "The pull request was merged",
        "is merged: there is nothing left to build",
        f"the last pull request from {BRANCH}, #7",
        "move the card on, or open another pull request",
        changed(pullRequests={"nodes": []}, closedPullRequests={"nodes": [CLOSED | {"state": "MERGED"}]}),
    ),
    invalid(
        "The pull request comes from a fork",
        "comes from a fork, and forks are never built",
        f"pull request #7 from {BRANCH}",
        f"gh pr create --head {BRANCH}",
        changed(**pull_request(isCrossRepository=True)),
    ),
    invalid(
        "The pull request's author may not push",
        "is CONTRIBUTOR, but only OWNER, MEMBER, COLLABORATOR are allowed",
        "the author association of pull request #7",
        "ask a member to open the pull request",
        changed(**pull_request(authorAssociation="CONTRIBUTOR")),
    ),
    invalid(
        "The pull request is a draft, and `allowDraft` is not set",
        "is a draft",
        "pull request #7",
        "gh pr ready 7",
        changed(**pull_request(isDraft=True)),
    ),
    invalid(
        "The pull request has conflicts, and `requireMergeable` is true",
        "conflicts with its base main",
        "pull request #7",
        f"merge main into {BRANCH}",
        changed(**pull_request(mergeable="CONFLICTING")),
    ),
    invalid(
        "The branch changes a guarded file",
        "changes files that steer an agent or run commands (AGENTS.md)",
        BRANCH,
        "undo these changes",
        guarded,
    ),
    invalid(
        "The repository has no default branch, or its default branch has no commit",
        "has no default branch with a commit",
        "acme/shop",
        "choose another in its settings",
        changed(defaultBranchRef=None),
    ),
    invalid(
        "The repository's own file has a mistake",
        'unknown key "tests"; did you mean "test"?',
        ".kiro-worker.yml on main, line 1",
        "follow the instruction on each line",
        changed(defaultBranchRef=default_branch("tests: make\n")),
    ),
    invalid(
        "The repository's own file is a symbolic link",
        "is a symbolic link",
        ".kiro-worker.yml on main",
        "commit the file itself",
        changed(defaultBranchRef=default_branch({"mode": 0o120000, "type": "blob"})),
    ),
)
PUSHING: Final = (
    invalid(
        "The repository is archived",
        "is archived",
        "the repository acme/shop",
        "unarchive it in its settings",
        changed(isArchived=True),
    ),
    invalid(
        "The branch is protected",
        f"does not let the account of the GitHub token push to {BRANCH}",
        "the branch protection rule 'feature/*' of acme/shop",
        f"or exempt {BRANCH} from the rule, in the settings of the repository (Branches)",
        changed(**protected()),
    ),
    invalid(
        "The branch requires signed commits",
        "requires signed commits, and the worker does not sign",
        "the branch protection rule 'feature/*' of acme/shop",
        f"exempt {BRANCH} from it, in the settings of the repository (Branches)",
        changed(**protected(viewerCanPush=True, requiresSignatures=True)),
    ),
)
