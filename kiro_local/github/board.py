"""The board: all data of the stand-in, and the methods that create and change it from the same process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
    Label,
    LabelEvent,
    Option,
    Owner,
    Project,
    PullRequest,
    Repository,
)
from kiro_local.github.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

_ITEM_TYPES: Final = {"DraftIssue": "DRAFT_ISSUE", "Issue": "ISSUE", "PullRequest": "PULL_REQUEST"}


class Board(Registry):
    """All data of one stand-in. Its repositories are in ``directory``, which must be empty."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        home = directory / ".home"
        home.mkdir(parents=True, exist_ok=True)
        self._git_environment = git_environment(home)

    @property
    def git_environment(self) -> dict[str, str]:
        return dict(self._git_environment)

    # Building. Each method returns the new object and raises ValueError for a name that GitHub would not accept twice.

    def add_owner(self, login: str, *, organization: bool = True) -> Owner:
        """The organization or user with that login, created if it does not exist."""
        with self.lock:
            owner = self.owner(login)
            if owner is None:
                owner = Owner(self._id("O" if organization else "U"), login, "Organization" if organization else "User")
                self.owners[login.lower()] = self._register(owner)
            return owner

    def add_bot(self, login: str) -> Owner:
        """An app's own account. Its login ends in ``[bot]`` on GitHub's pages, but not in GraphQL."""
        with self.lock:
            bot = self.owners[login.lower()] = self._register(Owner(self._id("BOT"), login, "Bot"))
            return bot

    def add_repository(
        self,
        name_with_owner: str,
        *,
        default_branch: str = "main",
        archived: bool = False,
        private: bool = True,
        parent: Repository | None = None,
    ) -> Repository:
        """An empty repository; with ``parent``, a fork that starts with copies of the parent's current branches."""
        login, _, name = name_with_owner.partition("/")
        with self.lock:
            if self.repository(name_with_owner):
                raise ValueError(f"the repository {name_with_owner} exists already")
            path = self._directory / login.lower() / f"{name.lower()}.git"
            git = GitRepository.create(path, self._git_environment, default_branch)
            if parent is not None:
                git.copy_from(parent.git.path)
            repository = Repository(self._id("R"), self.add_owner(login), name, git, archived, private, parent)
            self.repositories[name_with_owner.lower()] = self._register(repository)
            return repository

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
            user = self.add_owner(author, organization=False)
            issue = Issue(self._id("I"), repository, repository.next_number(), title, user, body, state)
            issue.linked_branches.extend(linked_branches)
            repository.issues.append(issue)
            return self._register(issue)

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
        """Add a pull request. ``head`` is a branch, or ``login:branch`` for a branch of that owner's fork."""
        login, _, branch = head.rpartition(":")
        with self.lock:
            source = self._fork(repository, login) if login else repository
            tip = source.git.head_of(branch)
            if tip is None:
                raise ValueError(f"{source.name_with_owner} has no branch {branch!r}")
            pull_request = PullRequest(
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
            repository.pull_requests.append(pull_request)
            return self._register(pull_request)

    def add_project(
        self,
        login: str,
        *,
        title: str = "Board",
        number: int | None = None,
        organization: bool = True,
        status_field: str = "Status",
        statuses: tuple[str, ...] = DEFAULT_STATUSES,
        text_fields: tuple[str, ...] = ("Branch",),
    ) -> Project:
        with self.lock:
            owner = self.add_owner(login, organization=organization)
            numbers = [each.number for each in self.projects if each.owner is owner]
            if number in numbers:
                raise ValueError(f"{login} has a project {number} already")
            project = Project(self._id("PVT"), number or max(numbers, default=0) + 1, title, owner)
            self.projects.append(self._register(project))
            self.add_field(project, status_field, options=statuses)
            for name in text_fields:
                self.add_field(project, name)
            return project

    def add_field(self, project: Project, name: str, *, options: tuple[str, ...] | None = None) -> Field:
        """A text field; with ``options``, a single select field."""
        with self.lock:
            choices = None if options is None else [Option(f"{next(self._serial):08x}", each) for each in options]
            field = Field(self._id("PVTF" if options is None else "PVTSSF"), name, project, choices)
            project.fields.append(field)
            return self._register(field)

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
        """A card at the end of the board.

        ``content`` may be the title of a draft, or ``None`` for content that the viewer may not see. ``values`` sets
        further fields by name. ``type_`` overrides the type, for instance for an issue whose content is null.
        """
        with self.lock:
            if isinstance(content, str):
                content = self._register(DraftIssue(self._id("DI"), content))
            item_type = type_ or (_ITEM_TYPES[content.typename] if content else "REDACTED")
            item = Item(self._id("PVTI"), project, item_type, content, is_archived=archived)
            for name, value in {"Status": status, "Branch": branch, **values}.items():
                if value is not None:
                    self.set_value(item, name, value)
            project.items.append(item)
            return self._register(item)

    def add_comment(self, subject: Issue | PullRequest, author: str, body: str) -> Comment:
        with self.lock:
            comment = Comment(self._id("IC"), self.add_owner(author, organization=False), subject, body)
            subject.comments.append(comment)
            return self._register(comment)

    # Changing.

    def set_permission(self, repository: Repository, login: str, permission: str) -> None:
        """Make a user a collaborator, or change a collaborator's permission."""
        with self.lock:
            user = self.add_owner(login, organization=False)
            others = [each for each in repository.collaborators if each.user is not user]
            repository.collaborators = [*others, Collaborator(user, permission)]

    def add_label(self, pull_request: PullRequest, name: str, *, by: str | None) -> None:
        """Label a pull request. ``by=None`` is a user whose account has been deleted since."""
        with self.lock:
            label = self._label(pull_request.repository, name)
            if label not in pull_request.labels:
                pull_request.labels.append(label)
                self._add_label_event(pull_request, "LabeledEvent", label, by)

    def remove_label(self, pull_request: PullRequest, name: str, *, by: str | None) -> None:
        with self.lock:
            label = self._label(pull_request.repository, name)
            pull_request.labels.remove(label)
            self._add_label_event(pull_request, "UnlabeledEvent", label, by)

    def set_value(self, item: Item, name: str, value: str) -> None:
        """Set a field of a card to an option, by name, or to a text.

        If no field is called ``Status``, that name means the first single select field.
        """
        with self.lock:
            field = item.project.field_named(name)
            if field is None and name == "Status":
                field = next((each for each in item.project.fields if each.options is not None), None)
            if field is None:
                raise ValueError(f"the project {item.project.title} has no field {name!r}")
            item.set(field, value if field.options is None else field.option(value).id)

    def remove_card(self, item: Item) -> None:
        """Remove a card from its project, as deleting it does on GitHub."""
        with self.lock:
            item.project.items.remove(item)
            self._unregister(item)

    def move(self, item: Item, status: str) -> None:
        """Move a card to another column, as a person does with the mouse."""
        self.set_value(item, "Status", status)

    def head_oid(self, pull_request: PullRequest) -> str:
        """The head commit as git has it now; the last known one if the branch is gone or the pull request closed."""
        with self.lock:
            source = pull_request.head_repository
            if pull_request.state == "OPEN" and source is not None:
                pull_request.last_head = source.git.head_of(pull_request.head_ref_name) or pull_request.last_head
            return pull_request.last_head

    def _label(self, repository: Repository, name: str) -> Label:
        """The repository's label of that name, ignoring case as GitHub does, created if it does not exist."""
        label = next((each for each in repository.labels if each.name.lower() == name.lower()), None)
        if label is None:
            label = self._register(Label(self._id("LA"), repository, name))
            repository.labels.append(label)
        return label

    def _add_label_event(self, pull_request: PullRequest, typename: str, label: Label, by: str | None) -> None:
        actor = self.add_owner(by, organization=False) if by else None
        prefix = "LE" if typename == "LabeledEvent" else "UNLE"
        pull_request.label_events.append(self._register(LabelEvent(typename, self._id(prefix), label, actor)))

    def _fork(self, repository: Repository, login: str) -> Repository:
        owner = self.owner(login)
        for each in self.repositories.values():
            if each.parent is repository and each.owner is owner:
                return each
        raise ValueError(f"{login} has no fork of {repository.name_with_owner}")
