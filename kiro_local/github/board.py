"""The board: everything the stand-in knows, under one lock, and the ways to build and change it from within."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from kiro_local.github.git_repository import GitRepository, git_environment
from kiro_local.github.model import (
    DEFAULT_STATUSES,
    Collaborator,
    Comment,
    Content,
    DraftIssue,
    Field,
    Issue,
    Item,
    Kept,
    Label,
    LabelEvent,
    NodeObject,
    Option,
    Owner,
    Project,
    PullRequest,
    Repository,
    now,
)

if TYPE_CHECKING:
    from pathlib import Path


class Board:
    """``directory`` is an own, empty one: the repositories live in it."""

    def __init__(self, directory: Path) -> None:
        self.lock = threading.RLock()
        self.base_url = ""
        self.owners: dict[str, Owner] = {}
        self.projects: list[Project] = []
        self.repositories: dict[str, Repository] = {}
        self._directory = directory
        self._nodes: dict[str, NodeObject] = {}
        self._serial = itertools.count(1)
        home = directory / ".home"
        home.mkdir(parents=True, exist_ok=True)
        self._git_environment = git_environment(home)

    @property
    def git_environment(self) -> dict[str, str]:
        return dict(self._git_environment)

    # Looking up, as GitHub does without regard to case.

    def owner(self, login: str) -> Owner | None:
        return self.owners.get(login.lower())

    def repository(self, name_with_owner: str) -> Repository | None:
        return self.repositories.get(name_with_owner.lower())

    def project(self, owner: str, number: int) -> Project | None:
        of = self.owner(owner)
        return next((each for each in self.projects if each.owner is of and each.number == number), None)

    def node(self, node_id: str) -> NodeObject | None:
        return self._nodes.get(node_id)

    def item_titled(self, title: str) -> Item:
        """The first card of that title, on any project."""
        return next(item for project in self.projects for item in project.items if item.title == title)

    def url(self, path: str) -> str:
        return self.base_url + path

    # Building. Each returns the new object; a name that exists already is an error where GitHub makes it one.

    def add_owner(self, login: str, *, organization: bool = True) -> Owner:
        """The organisation or user of that login, new or known."""
        with self.lock:
            known = self.owner(login)
            if known is None:
                known = Owner(self._id("O" if organization else "U"), login, "Organization" if organization else "User")
                self.owners[login.lower()] = self._keep(known)
            return known

    def add_bot(self, login: str) -> Owner:
        """An app's own account: its login ends in ``[bot]`` on GitHub's pages, and not in GraphQL."""
        with self.lock:
            self.owners[login.lower()] = self._keep(Owner(self._id("BOT"), login, "Bot"))
            return self.owners[login.lower()]

    def add_repository(
        self,
        name_with_owner: str,
        *,
        default_branch: str = "main",
        archived: bool = False,
        private: bool = True,
        parent: Repository | None = None,
    ) -> Repository:
        """An empty repository, or with ``parent`` a fork: a copy of its branches as they are now."""
        login, _, name = name_with_owner.partition("/")
        with self.lock:
            if self.repository(name_with_owner):
                raise ValueError(f"there is a repository {name_with_owner} already")
            path = self._directory / login.lower() / f"{name.lower()}.git"
            git = GitRepository.create(path, self._git_environment, default_branch)
            if parent is not None:
                git.copy_from(parent.git.path)
            new = Repository(self._id("R"), self.add_owner(login), name, git, archived, private, parent)
            self.repositories[name_with_owner.lower()] = self._keep(new)
            return new

    def add_issue(
        self,
        repository: Repository,
        title: str,
        *,
        author: str = "octocat",
        body: str = "",
        state: str = "OPEN",
        linked_branches: tuple[str, ...] = (),
    ) -> Issue:
        with self.lock:
            who = self.add_owner(author, organization=False)
            new = Issue(self._id("I"), repository, repository.next_number(), title, who, body, state)
            new.linked_branches.extend(linked_branches)
            repository.issues.append(new)
            return self._keep(new)

    def add_pull_request(
        self,
        repository: Repository,
        head: str,
        *,
        title: str = "",
        base: str | None = None,
        author: str = "octocat",
        association: str = "MEMBER",
        state: str = "OPEN",
        body: str = "",
        draft: bool = False,
    ) -> PullRequest:
        """``head`` is a branch, or ``login:branch`` of the fork that this owner has of the repository."""
        login, _, branch = head.rpartition(":")
        with self.lock:
            source = self._fork(repository, login) if login else repository
            tip = source.git.head_of(branch)
            if tip is None:
                raise ValueError(f"{source.name_with_owner} has no branch {branch!r}")
            new = PullRequest(
                id=self._id("PR"),
                repository=repository,
                number=repository.next_number(),
                title=title or f"Work on {branch}",
                author=self.add_owner(author, organization=False),
                head_ref_name=branch,
                base_ref_name=base or repository.git.default_branch(),
                head_repository=source,
                last_head=tip,
                body=body,
                state=state,
                author_association=association,
                is_draft=draft,
            )
            repository.pull_requests.append(new)
            return self._keep(new)

    def add_project(
        self,
        owner: str,
        *,
        title: str = "Board",
        number: int | None = None,
        organization: bool = True,
        status_field: str = "Status",
        statuses: tuple[str, ...] = DEFAULT_STATUSES,
        text_fields: tuple[str, ...] = ("Branch",),
    ) -> Project:
        with self.lock:
            of = self.add_owner(owner, organization=organization)
            taken = [each.number for each in self.projects if each.owner is of]
            if number in taken:
                raise ValueError(f"{owner} has a project {number} already")
            new = Project(self._id("PVT"), number or max(taken, default=0) + 1, title, of)
            self.projects.append(self._keep(new))
            self.add_field(new, status_field, options=statuses)
            for name in text_fields:
                self.add_field(new, name)
            return new

    def add_field(self, project: Project, name: str, *, options: tuple[str, ...] | None = None) -> Field:
        """A text field, or with ``options`` a single select field."""
        with self.lock:
            choices = None if options is None else [Option(f"{next(self._serial):08x}", each) for each in options]
            new = Field(self._id("PVTF" if options is None else "PVTSSF"), name, project, choices)
            project.fields.append(new)
            return self._keep(new)

    def add_card(
        self,
        project: Project,
        content: Content | str | None,
        *,
        status: str | None = None,
        branch: str | None = None,
        type_: str | None = None,
        archived: bool = False,
        **values: str,
    ) -> Item:
        """A card at the end of the board. ``content`` may be the title of a draft; ``None`` is what nobody may see.

        ``values`` are further fields, by name; ``type_`` overrides what the type would be, for instance for an issue
        whose content is null.
        """
        with self.lock:
            if isinstance(content, str):
                content = self._keep(DraftIssue(self._id("DI"), content))
            kinds = {"DraftIssue": "DRAFT_ISSUE", "Issue": "ISSUE", "PullRequest": "PULL_REQUEST"}
            kind = type_ or (kinds[content.typename] if content else "REDACTED")
            new = Item(self._id("PVTI"), project, kind, content, is_archived=archived)
            wanted = {"Status": status, "Branch": branch, **values}
            for name, value in wanted.items():
                if value is not None:
                    self.set_value(new, name, value)
            project.items.append(new)
            return self._keep(new)

    def add_comment(self, subject: Issue | PullRequest, author: str, body: str) -> Comment:
        with self.lock:
            new = Comment(self._id("IC"), self.add_owner(author, organization=False), subject, body)
            subject.comments.append(new)
            return self._keep(new)

    # Changing.

    def set_permission(self, repository: Repository, login: str, permission: str) -> None:
        """Make a user a collaborator, or change what they may."""
        with self.lock:
            user = self.add_owner(login, organization=False)
            others = [each for each in repository.collaborators if each.user is not user]
            repository.collaborators = [*others, Collaborator(user, permission)]

    def add_label(self, pull_request: PullRequest, name: str, *, by: str | None) -> None:
        """What a person does on the page of a pull request. ``by`` nobody is an account that was deleted since."""
        with self.lock:
            label = self._label(pull_request.repository, name)
            if label not in pull_request.labels:
                pull_request.labels.append(label)
                self._note_label(pull_request, "LabeledEvent", label, by)

    def remove_label(self, pull_request: PullRequest, name: str, *, by: str | None) -> None:
        with self.lock:
            label = self._label(pull_request.repository, name)
            pull_request.labels.remove(label)
            self._note_label(pull_request, "UnlabeledEvent", label, by)

    def set_value(self, item: Item, name: str, value: str) -> None:
        """A field of a card, by an option's name or a text. ``Status`` falls back to the first single select field."""
        with self.lock:
            found = item.project.field_named(name)
            if found is None and name == "Status":
                found = next((each for each in item.project.fields if each.options is not None), None)
            if found is None:
                raise ValueError(f"the project {item.project.title} has no field {name!r}")
            item.values[found.id] = value if found.options is None else found.option(value).id
            item.updated_at = now()

    def remove_card(self, item: Item) -> None:
        """Takes the card off its project, as deleting it does."""
        with self.lock:
            item.project.items.remove(item)
            del self._nodes[item.id]

    def move(self, item: Item, status: str) -> None:
        """What a person does with the mouse: the card goes to another column."""
        self.set_value(item, "Status", status)

    def head_oid(self, pull_request: PullRequest) -> str:
        """The head as git has it now; the last one known where the branch is gone or the pull request is over."""
        with self.lock:
            source = pull_request.head_repository
            if pull_request.state == "OPEN" and source is not None:
                pull_request.last_head = source.git.head_of(pull_request.head_ref_name) or pull_request.last_head
            return pull_request.last_head

    def _label(self, repository: Repository, name: str) -> Label:
        """The repository's label of that name: one, whatever its case, as on GitHub."""
        known = next((each for each in repository.labels if each.name.lower() == name.lower()), None)
        if known is None:
            known = self._keep(Label(self._id("LA"), repository, name))
            repository.labels.append(known)
        return known

    def _note_label(self, pull_request: PullRequest, typename: str, label: Label, by: str | None) -> None:
        actor = self.add_owner(by, organization=False) if by else None
        prefix = "LE" if typename == "LabeledEvent" else "UNLE"
        pull_request.label_events.append(self._keep(LabelEvent(typename, self._id(prefix), label, actor)))

    def _fork(self, repository: Repository, login: str) -> Repository:
        of = self.owner(login)
        for each in self.repositories.values():
            if each.parent is repository and each.owner is of:
                return each
        raise ValueError(f"{login} has no fork of {repository.name_with_owner}")

    def _id(self, prefix: str) -> str:
        return f"{prefix}_standin{next(self._serial):06d}"

    def _keep(self, node: Kept) -> Kept:
        self._nodes[node.id] = node
        return node
