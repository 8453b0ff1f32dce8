"""Is a card ready to be built? Branch, spec, pull request and the safety rules, in one request; every reason at once.

The rules are pure functions of GitHub's answer, so that they are tested without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.github.branch_names import branch_problem
from kiro_worker.github.queries import VALIDATE_WORK_ITEM
from kiro_worker.models import EXECUTION_TRAILER, Work
from kiro_worker.spec import (
    DESIGN_FILE,
    LARGEST_FILE,
    REQUIREMENTS_FILES,
    TASKS_FILE,
    open_tasks,
    spec_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kiro_worker.config import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import WorkItem

_SYMLINK: Final = 0o120000
_SUBMODULE: Final = 0o160000


async def validate_item(
    session: GitHubSession, configuration: Configuration, item: WorkItem, execution: str = ""
) -> Work:
    """What is to be built for the card, or :class:`WorkItemInvalid` with everything that is missing.

    A branch whose head ``execution`` itself has pushed needs no open task: it is being redriven, and has yet to say so.
    """
    if item.content_type == "Redacted":
        raise WorkItemInvalid(
            "the card's issue or pull request is not visible to the token",
            f"give the token access to its repository, or take the card out of {configuration.target_status_column!r}",
        )
    if item.content_type == "DraftIssue":
        raise WorkItemInvalid("the card is a draft: it belongs to no repository", "convert it to an issue in the board")
    return await validate_branch(session, configuration, item.repository, item.branch, execution)


async def validate_branch(
    session: GitHubSession, configuration: Configuration, repository: str, branch: str, execution: str = ""
) -> Work:
    """The same for a repository's branch without a card, as a build started by hand names it."""
    _refuse(_before_asking(configuration, repository, branch), configuration)
    found = await _ask(session, configuration, repository, branch)
    if found is None:
        raise WorkItemInvalid(
            f"the repository {repository} is not visible to the token", "give the token the scope repo for it"
        )
    _refuse(problems(found, configuration, branch, execution), configuration)
    pull_request = _pull_requests(found, configuration)[0]
    return Work(
        repository=found["nameWithOwner"],
        branch=branch,
        commit=found["ref"]["target"]["oid"],
        spec_path=spec_folder(configuration.spec_root, branch),
        pull_request=pull_request["number"],
        pull_request_id=pull_request["id"],
        pull_request_url=pull_request["url"],
        base_branch=pull_request["baseRefName"],
        open_tasks=len(open_tasks(found["tasks"]["text"])),
    )


async def find_pull_request(session: GitHubSession, configuration: Configuration, repository: str, branch: str) -> str:
    """The ID of the open pull request from a branch of the same repository, ready or not; empty when there is none."""
    if any(_before_asking(configuration, repository, branch)):
        return ""
    found = await _ask(session, configuration, repository, branch)
    nodes = found["pullRequests"]["nodes"] if found else []
    return next((str(node["id"]) for node in nodes if not node["isCrossRepository"]), "")


async def _ask(
    session: GitHubSession, configuration: Configuration, repository: str, branch: str
) -> Mapping[str, Any] | None:
    folder = spec_folder(configuration.spec_root, branch)
    owner, _, name = repository.partition("/")
    variables = {
        "owner": owner,
        "name": name,
        "branch": branch,
        "ref": f"refs/heads/{branch}",
        "specFolder": f"refs/heads/{branch}:{folder}",
        "tasks": f"refs/heads/{branch}:{folder}/{TASKS_FILE}",
    }
    answer: Mapping[str, Any] | None = (await session.query(VALIDATE_WORK_ITEM, variables)).get("repository")
    return answer


def problems(
    repository: Mapping[str, Any], configuration: Configuration, branch: str, execution: str = ""
) -> Iterator[str]:
    """Every reason why GitHub's answer about a repository and branch is not ready to be built, each with what mends
    it.
    """
    if repository["isArchived"]:
        yield f"the repository {repository['nameWithOwner']} is archived: unarchive it in its settings"
    reference = repository["ref"]
    if reference is None:
        yield f"the branch {branch} does not exist: git checkout -b {branch} && git push origin {branch}"
        yield from _closed_pull_request(repository, branch)
        return
    if reference["target"]["__typename"] != "Commit":
        yield f"refs/heads/{branch} does not point to a commit"
    if branch == (repository["defaultBranchRef"] or {}).get("name"):
        yield f"{branch} is the default branch: work on a branch of its own"
    pushed = f"{EXECUTION_TRAILER}: {execution}" in str(reference["target"].get("message", "")).splitlines()
    yield from _spec_problems(repository, configuration, branch, all_done=bool(execution) and pushed)
    yield from _pull_request_problems(repository, configuration, branch)


def _refuse(reasons: Iterator[str], configuration: Configuration) -> None:
    if found := list(reasons):
        raise WorkItemInvalid(
            "\n".join(found), f"as each line says; then move the card back to {configuration.target_status_column!r}"
        )


def _before_asking(configuration: Configuration, repository: str, branch: str) -> Iterator[str]:
    allowed = configuration.allowed_repositories
    # GitHub's owner and repository names ignore case.
    if repository.lower() not in (name.lower() for name in allowed):
        yield (
            f"the repository {repository} is not on the list of allowed ones ({', '.join(allowed)}):"
            ' add it to "repositories" in the configuration parameter'
        )
    if not branch:
        yield (
            f'the card names no branch: fill its field "{configuration.branch_field}", link a branch to the issue,'
            " or put the pull request itself on the board"
        )
    elif problem := branch_problem(branch):
        yield problem


def _spec_problems(
    repository: Mapping[str, Any], configuration: Configuration, branch: str, *, all_done: bool
) -> Iterator[str]:
    folder = spec_folder(configuration.spec_root, branch)
    tree = repository["specFolder"]
    if tree is None or tree["__typename"] != "Tree":
        yield f"the spec folder {folder} does not exist on {branch}: write the spec in Kiro, commit and push"
        return
    entries = {entry["name"]: entry for entry in tree["entries"]}
    requirements = next((name for name in REQUIREMENTS_FILES if name in entries), None)
    if requirements is None:
        yield f"{folder}/requirements.md (or bugfix.md) is missing: write it, commit and push"
    sound = True
    for name in filter(None, (requirements, DESIGN_FILE, TASKS_FILE)):
        if problem := _file_problem(entries.get(name), f"{folder}/{name}"):
            sound = sound and name != TASKS_FILE
            yield problem
    if sound and not all_done:
        yield from _tasks_problems(repository["tasks"], f"{folder}/{TASKS_FILE}")


def _file_problem(entry: Mapping[str, Any] | None, path: str) -> str | None:
    if entry is None:
        return f"{path} is missing: write it, commit and push"
    if entry["mode"] == _SYMLINK:
        return f"{path} is a symbolic link: commit the file itself"
    if entry["mode"] == _SUBMODULE or entry["type"] != "blob":
        return f"{path} is not a file: commit the file itself"
    size = entry["object"]["byteSize"]
    if size == 0:
        return f"{path} is empty: write it, commit and push"
    if size > LARGEST_FILE:
        return f"{path} has {size / 10**6:.1f} MB, the limit is {LARGEST_FILE // 1000} KB: split the spec"
    if entry["object"]["isBinary"]:
        return f"{path} is not a text"
    return None


def _tasks_problems(blob: Mapping[str, Any] | None, path: str) -> Iterator[str]:
    text = (blob or {}).get("text") or ""
    if not text.strip():
        yield f"{path} is empty: write it, commit and push"
    elif not open_tasks(text):
        yield f"{path} has no open task: every box is ticked, or there is no line like '- [ ] 1. …'"


def _pull_requests(repository: Mapping[str, Any], configuration: Configuration) -> list[Mapping[str, Any]]:
    # `pullRequests(headRefName:)` also finds forks' branches of that name: code of somebody who may not push here.
    return [
        pull_request
        for pull_request in repository["pullRequests"]["nodes"]
        if not pull_request["isCrossRepository"]
        and pull_request["authorAssociation"] in configuration.allowed_author_associations
    ]


def _pull_request_problems(repository: Mapping[str, Any], configuration: Configuration, branch: str) -> Iterator[str]:
    found = repository["pullRequests"]["nodes"]
    own = [pull_request for pull_request in found if not pull_request["isCrossRepository"]]
    if not found:
        yield f"there is no open pull request from {branch}: gh pr create --head {branch}"
        yield from _closed_pull_request(repository, branch)
    elif not own:
        yield (
            f"the only pull request from {branch} (#{found[0]['number']}) comes from a fork, and forks are never built:"
            " open one from this repository"
        )
    elif not _pull_requests(repository, configuration):
        yield (
            f"the author of pull request #{own[0]['number']} is {own[0]['authorAssociation']} here,"
            f" allowed are {', '.join(configuration.allowed_author_associations)}: have a member open it"
        )


def _closed_pull_request(repository: Mapping[str, Any], branch: str) -> Iterator[str]:
    """What became of the last one, which is why the branch or its pull request is missing."""
    for pull_request in repository["closedPullRequests"]["nodes"]:
        number = pull_request["number"]
        if pull_request["isCrossRepository"]:
            continue
        if pull_request["state"] == "MERGED":
            yield f"the last pull request from {branch}, #{number}, is merged: there is nothing left to build"
        else:
            yield f"the last pull request from {branch}, #{number}, is closed: gh pr reopen {number}"
