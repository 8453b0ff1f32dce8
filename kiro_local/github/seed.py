"""Loads a board from a document and dumps one to a document. ``seed_document`` documents the format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kiro_local.github.git_repository import read_directory
from kiro_local.github.model import DraftIssue, Issue, PullRequest
from kiro_local.github.seed_document import Seed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_local.github.board import Board
    from kiro_local.github.git_repository import Content
    from kiro_local.github.model import Item, Label, Project, Repository
    from kiro_local.github.seed_document import ProjectSeed, RepositorySeed
    from kiro_local.github.tokens import Tokens


def load(board: Board, document: Mapping[str, Any], *, base: Path = Path(), tokens: Tokens | None = None) -> None:
    """Fill an empty board. Paths in the document are relative to ``base``.

    Raises pydantic's ``ValidationError`` if the format is wrong, and :class:`ValueError` if a name does not exist.
    """
    seed = Seed.model_validate(document)
    for project in seed.projects:
        board.add_owner(project.owner, organization=project.owner_type == "organization")
    if tokens is not None:
        for token in seed.tokens:
            tokens.add(token.token, token.login, token.scopes)
    for repository in seed.repositories:
        _add_repository(board, repository, base)
    # Pull requests come after all repositories, because their heads can be in forks.
    for repository in seed.repositories:
        _add_pull_requests(board, repository)
        _repository(board, repository.name).is_archived = repository.archived
    for project in seed.projects:
        _add_project(board, project)


def _add_repository(board: Board, seed: RepositorySeed, base: Path) -> None:
    parent = _repository(board, seed.fork_of) if seed.fork_of else None
    repository = board.add_repository(
        seed.name, default_branch=seed.default_branch, private=seed.private, parent=parent
    )
    for login, permission in seed.collaborators.items():
        board.set_permission(repository, login, permission)
    git = repository.git
    if seed.clone:
        git.copy_from(base / seed.clone.expanduser())
    files = _files(base, seed.template, seed.files)
    if files:
        git.commit(git.default_branch(), files, "First commit")
    for branch in seed.branches:
        changed = _files(base, branch.template, branch.files)
        start = branch.base or git.default_branch()
        if git.head_of(branch.name) is None and git.head_of(start) is not None:
            git.create_branch(branch.name, start)
        if changed:
            git.commit(branch.name, changed, branch.message)
    for issue in seed.issues:
        added = board.add_issue(
            repository,
            issue.title,
            author=issue.author,
            body=issue.body,
            state=issue.state,
            linked_branches=issue.linked_branches,
        )
        added.number = issue.number or added.number


def _add_pull_requests(board: Board, seed: RepositorySeed) -> None:
    repository = _repository(board, seed.name)
    for each in seed.pull_requests:
        pull_request = board.add_pull_request(
            repository,
            each.head,
            title=each.title,
            base=each.base,
            author=each.author,
            association=each.author_association,
            state=each.state,
            body=each.body,
            draft=each.draft,
        )
        pull_request.number = each.number or pull_request.number
        for label in each.labels:
            board.add_label(pull_request, label.name, by=label.by)


def _add_project(board: Board, seed: ProjectSeed) -> None:
    project = board.add_project(
        seed.owner,
        title=seed.title,
        number=seed.number,
        organization=seed.owner_type == "organization",
        status_field=seed.status_field,
        statuses=seed.statuses,
        text_fields=seed.text_fields,
    )
    for card in seed.cards:
        contents = [each for each in (card.issue, card.pull_request, card.draft) if each is not None]
        if len(contents) + card.redacted != 1:
            raise ValueError(f"a card needs exactly one of issue, pullRequest, draft and redacted: {card}")
        reference = card.issue or card.pull_request
        content: Issue | PullRequest | str | None = _content(board, reference) if reference else card.draft
        item = board.add_card(project, content, status=None, archived=card.archived)
        if card.status is not None:
            board.set_value(item, seed.status_field, card.status)
        for name, value in card.fields.items():
            board.set_value(item, name, value)


def _content(board: Board, reference: str) -> Issue | PullRequest:
    name, _, number = reference.rpartition("#")
    repository = _repository(board, name)
    for each in repository.conversations():
        if str(each.number) == number:
            return each
    raise ValueError(f"{name} has no issue or pull request {number}")


def _repository(board: Board, name: str) -> Repository:
    repository = board.repository(name)
    if repository is None:
        names = [each.name_with_owner for each in board.repositories.values()]
        raise ValueError(f"there is no repository {name}; the repositories are: {names}")
    return repository


def _files(base: Path, template: Path | None, files: Mapping[str, str | None]) -> dict[str, Content]:
    if template is None:
        return {**files}
    directory = base / template.expanduser()
    if not directory.is_dir():
        raise ValueError(f"there is no directory {directory}")
    return {**read_directory(directory), **files}


def dump(board: Board) -> dict[str, Any]:
    """The board as a document for :func:`load`, without comments and tokens.

    Each repository is a ``clone`` of its directory on disk.
    """
    with board.lock:
        return {
            "repositories": [_dump_repository(each) for each in board.repositories.values()],
            "projects": [_dump_project(each) for each in board.projects],
        }


def _dump_repository(repository: Repository) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": repository.name_with_owner,
        "clone": str(repository.git.path.resolve()),
        "defaultBranch": repository.git.default_branch(),
        "archived": repository.is_archived,
        "private": repository.is_private,
        "collaborators": {each.user.login: each.permission for each in repository.collaborators},
        "issues": [
            {
                "number": each.number,
                "title": each.title,
                "body": each.body,
                "state": each.state,
                "linkedBranches": each.linked_branches,
            }
            for each in repository.issues
        ],
        "pullRequests": [_dump_pull_request(each) for each in repository.pull_requests if each.head_repository],
    }
    return document | ({"forkOf": repository.parent.name_with_owner} if repository.parent else {})


def _dump_pull_request(each: PullRequest) -> dict[str, Any]:
    login = each.head_repository.owner.login if each.is_cross_repository and each.head_repository else ""
    return {
        "number": each.number,
        "head": f"{login}:{each.head_ref_name}" if login else each.head_ref_name,
        "base": each.base_ref_name,
        "title": each.title,
        "body": each.body,
        "author": each.author.login if each.author else "ghost",
        "authorAssociation": each.author_association,
        "state": each.state,
        "draft": each.is_draft,
        "labels": [_dump_label(each, label) for label in each.labels],
    }


def _dump_label(pull_request: PullRequest, label: Label) -> dict[str, Any]:
    event = next(each for each in reversed(pull_request.label_events) if each.label is label)
    return {"name": label.name, "by": event.actor.login if event.actor else None}


def _dump_project(project: Project) -> dict[str, Any]:
    status = next(each for each in project.fields if each.options is not None)
    return {
        "owner": project.owner.login,
        "ownerType": "organization" if project.owner.typename == "Organization" else "user",
        "number": project.number,
        "title": project.title,
        "statusField": status.name,
        "statuses": [option.name for option in status.options or ()],
        "textFields": [each.name for each in project.fields if each.options is None],
        "cards": [_dump_card(item, status.name) for item in project.items],
    }


def _dump_card(item: Item, status_field: str) -> dict[str, Any]:
    values = {each.name: item.value(each.name) for each in item.project.fields if each.options is None}
    card: dict[str, Any] = {
        "status": item.value(status_field),
        "fields": {name: value for name, value in values.items() if value is not None},
        "archived": item.is_archived,
    }
    match item.content:
        case Issue() as issue:
            return {"issue": f"{issue.repository.name_with_owner}#{issue.number}", **card}
        case PullRequest() as pull_request:
            return {"pullRequest": f"{pull_request.repository.name_with_owner}#{pull_request.number}", **card}
        case DraftIssue() as draft:
            return {"draft": draft.title, **card}
    return {"redacted": True, **card}
