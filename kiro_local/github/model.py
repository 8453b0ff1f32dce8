"""The objects on a board: owners, projects with their cards, repositories with their issues and pull requests.

Attributes have GitHub's names in snake case: a schema field without a resolver is read from the attribute of that name.
Hold ``Board.lock`` to change an object. Branches, files and heads are not stored here; they are read from git.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeVar

if TYPE_CHECKING:
    from kiro_local.github.git_repository import GitRepository
    from kiro_local.github.push_rules import PushRule

DEFAULT_STATUSES: Final = ("Todo", "For Implementation", "In Progress", "In Review", "Blocked", "Done")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class Owner:
    """An account. ``typename`` is Organization, User or Bot."""

    id: str
    login: str
    typename: str

    @property
    def path(self) -> str:
        return f"/{self.login}"


@dataclass(eq=False)
class Option:
    id: str
    name: str


@dataclass(eq=False)
class Field:
    """A single select field if it has options, otherwise a text field."""

    id: str
    name: str
    project: Project
    options: list[Option] | None = None

    @property
    def typename(self) -> str:
        return "ProjectV2Field" if self.options is None else "ProjectV2SingleSelectField"

    @property
    def data_type(self) -> str:
        return "TEXT" if self.options is None else "SINGLE_SELECT"

    @property
    def slug(self) -> str:
        """The name of the field in a filter: ``delivery-stage`` for ``Delivery stage``."""
        return "-".join(self.name.lower().split())

    def option(self, name: str) -> Option:
        chosen = next((option for option in self.options or () if option.name.lower() == name.lower()), None)
        if chosen is None:
            names = [option.name for option in self.options or ()]
            raise ValueError(f"the field {self.name} has no option {name!r}; its options are: {names}")
        return chosen


@dataclass(eq=False)
class Project:
    typename: ClassVar[str] = "ProjectV2"
    id: str
    number: int
    title: str
    owner: Owner
    fields: list[Field] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    closed: bool = False

    @property
    def path(self) -> str:
        kind = "orgs" if self.owner.typename == "Organization" else "users"
        return f"/{kind}/{self.owner.login}/projects/{self.number}"

    def field_named(self, name: str) -> Field | None:
        return next((each for each in self.fields if each.name.lower() == name.lower()), None)


@dataclass(eq=False)
class Item:
    """A card. ``values`` maps a field ID to an option ID or a text, and ``changed_at`` to when that value last changed.

    ``content`` can be null for any type. ``hides`` is what no token may see: the ``content``, which GitHub reports as
    an error below the card, or the whole ``node``, which is then null.
    """

    typename: ClassVar[str] = "ProjectV2Item"
    id: str
    project: Project
    type: str
    content: Content | None
    values: dict[str, str] = field(default_factory=dict)
    changed_at: dict[str, datetime] = field(default_factory=dict)
    is_archived: bool = False
    hides: Literal["", "content", "node"] = ""
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    def value(self, name: str) -> str | None:
        """The text of a field, or the name of its selected option; ``None`` if it is not set."""
        named = self.project.field_named(name)
        raw = self.values.get(named.id) if named else None
        if named is None or raw is None or named.options is None:
            return raw
        return next(option.name for option in named.options if option.id == raw)

    def set(self, of: Field, raw: str) -> None:
        """Set the value of a field to an option ID or a text."""
        self.updated_at = now()
        if self.values.get(of.id) != raw:
            self.values[of.id], self.changed_at[of.id] = raw, self.updated_at

    @property
    def title(self) -> str:
        return self.content.title if self.content else ""


@dataclass(eq=False)
class Comment:
    typename: ClassVar[str] = "IssueComment"
    id: str
    author: Owner
    subject: Issue | PullRequest
    body: str
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    @property
    def path(self) -> str:
        return f"{self.subject.path}#issuecomment-{self.id}"


@dataclass(eq=False)
class DraftIssue:
    typename: ClassVar[str] = "DraftIssue"
    id: str
    title: str
    body: str = ""
    created_at: datetime = field(default_factory=now)


@dataclass(eq=False)
class Issue:
    typename: ClassVar[str] = "Issue"
    id: str
    repository: Repository
    number: int
    title: str
    author: Owner | None
    body: str = ""
    state: str = "OPEN"
    author_association: str = "MEMBER"
    #: Names of branches, with ``owner/name:`` in front for another repository.
    linked_branches: list[str] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    created_at: datetime = field(default_factory=now)

    @property
    def path(self) -> str:
        return f"{self.repository.path}/issues/{self.number}"

    @property
    def closed(self) -> bool:
        return self.state != "OPEN"


@dataclass(eq=False)
class Label:
    typename: ClassVar[str] = "Label"
    id: str
    repository: Repository
    name: str


@dataclass(eq=False)
class LabelEvent:
    """A LabeledEvent or UnlabeledEvent. ``actor`` is null if the account has been deleted."""

    typename: str
    id: str
    label: Label
    actor: Owner | None
    created_at: datetime = field(default_factory=now)


@dataclass(eq=False)
class PullRequest:
    """A pull request.

    ``head_repository`` is null if the fork was deleted. ``last_head`` is the last known head of the branch.
    ``unknown_answers`` is how often ``mergeable`` is still unknown, as on GitHub for seconds after a push.
    """

    typename: ClassVar[str] = "PullRequest"
    id: str
    repository: Repository
    number: int
    title: str
    author: Owner | None
    head_ref_name: str
    base_ref_name: str
    head_repository: Repository | None
    last_head: str
    body: str = ""
    state: str = "OPEN"
    author_association: str = "MEMBER"
    is_draft: bool = False
    unknown_answers: int = 0
    labels: list[Label] = field(default_factory=list)
    label_events: list[LabelEvent] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    created_at: datetime = field(default_factory=now)

    @property
    def path(self) -> str:
        return f"{self.repository.path}/pull/{self.number}"

    @property
    def closed(self) -> bool:
        return self.state != "OPEN"

    @property
    def merged(self) -> bool:
        return self.state == "MERGED"

    @property
    def is_cross_repository(self) -> bool:
        return self.head_repository is not self.repository


Content = DraftIssue | Issue | PullRequest


@dataclass(eq=False)
class Collaborator:
    """A user's ``permission`` on a repository: READ, TRIAGE, WRITE, MAINTAIN or ADMIN."""

    user: Owner
    permission: str

    @property
    def id(self) -> str:
        return self.user.id


@dataclass(frozen=True)
class BranchRule:
    """A rule of a branch. ``bypass_actors`` is how many accounts are exempt; ``None`` hides that from the token."""

    id: str
    branch: str
    rule: PushRule
    bypass_actors: int | None = None

    @property
    def name(self) -> str:
        return f"{self.branch} rules"


@dataclass(eq=False)
class Repository:
    """A repository.

    With ``rules_are_hidden``, the token may not read the rules of its branches. With ``refuses_unadvertised``, its git
    server speaks only the first version of the protocol, and serves no commit by its hash unless a ref points to it.
    """

    typename: ClassVar[str] = "Repository"
    id: str
    owner: Owner
    name: str
    git: GitRepository
    is_archived: bool = False
    is_private: bool = True
    parent: Repository | None = None
    issues: list[Issue] = field(default_factory=list)
    pull_requests: list[PullRequest] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    collaborators: list[Collaborator] = field(default_factory=list)
    is_disabled: bool = False
    lock_reason: str | None = None
    rules: list[BranchRule] = field(default_factory=list)
    rules_are_hidden: bool = False
    refuses_unadvertised: bool = False

    @property
    def name_with_owner(self) -> str:
        return f"{self.owner.login}/{self.name}"

    @property
    def path(self) -> str:
        return f"/{self.name_with_owner}"

    @property
    def is_fork(self) -> bool:
        return self.parent is not None

    @property
    def is_locked(self) -> bool:
        return self.lock_reason is not None

    def protect(self, branch: str, rule: PushRule, bypass_actors: int | None = None) -> None:
        """Refuse pushes to a branch because of ``rule``, and show the rule in the API."""
        self.rules.append(BranchRule(f"RR_{self.id}:{branch}:{rule}", branch, rule, bypass_actors))
        self.git.refuse_pushes(branch, rule)

    def next_number(self) -> int:
        return max((each.number for each in self.conversations()), default=0) + 1

    def conversations(self) -> list[Issue | PullRequest]:
        """Issues and pull requests, which share one sequence of numbers."""
        return [*self.issues, *self.pull_requests]


NodeObject = (
    Owner | Project | Field | Item | Comment | DraftIssue | Issue | Label | LabelEvent | PullRequest | Repository
)
Node = TypeVar(
    "Node", Owner, Project, Field, Item, Comment, DraftIssue, Issue, Label, LabelEvent, PullRequest, Repository
)
