"""A repository as the readiness check of one branch sees it, and the recent commits of a branch."""

from __future__ import annotations

from pydantic import Field

from kiro_worker.github.answers.base import Answer, Nodes
from kiro_worker.github.answers.labels import Actor
from kiro_worker.github.answers.pull_request import UNKNOWN
from kiro_worker.github.answers.rules import BranchAccess, Rule, UpdateRule


class _Object(Answer):
    """A git object."""

    typename: str = Field(alias="__typename")
    oid: str = ""


class _Blob(Answer):
    byte_size: int = 0
    is_binary: bool | None = None
    is_truncated: bool = False
    text: str | None = None


class SpecFile(Answer):
    """An entry of the spec folder. ``mode`` and ``type`` are git's."""

    name: str
    mode: int
    type: str
    # A submodule's commit is null, because it is not in this repository.
    blob: _Blob | None = Field(default=None, alias="object")

    @property
    def size(self) -> int:
        """The size of a file in bytes; 0 for anything else."""
        return self.blob.byte_size if self.blob else 0

    @property
    def is_binary(self) -> bool:
        return bool(self.blob and self.blob.is_binary)


class RepositoryFile(Answer):
    """The entry of the repository's own file. ``mode`` and ``type`` are git's; a submodule has no ``blob``."""

    mode: int
    type: str
    blob: _Blob | None = Field(default=None, alias="object")


class _DefaultCommit(_Object):
    file: RepositoryFile | None = None
    misnamed: RepositoryFile | None = None


class _DefaultBranch(Answer):
    name: str
    target: _DefaultCommit | None = None


class BranchHead(Answer):
    """What a branch points to, and the rules that apply to it."""

    target: _Object | None = None
    ref_update_rule: UpdateRule | None = None
    rules: Nodes[Rule] = ()

    @property
    def commit(self) -> str:
        """Empty if the branch points to something else, or the token may not see it."""
        return self.target.oid if self.target and self.target.typename == "Commit" else ""


class PullRequest(Answer):
    """An open pull request. ``from_fork`` means that its branch is in another repository.

    ``mergeable`` is known only if the query asked for it.
    """

    id: str
    number: int
    url: str
    from_fork: bool = Field(alias="isCrossRepository")
    author_association: str
    account: Actor | None = Field(default=None, alias="author")
    base_branch: str = Field(alias="baseRefName")
    is_draft: bool = False
    mergeable: str = UNKNOWN

    @property
    def author(self) -> str:
        """The login of the person who opened it; empty for an app and for an account that no longer exists."""
        return self.account.login if self.account and self.account.type == "User" else ""


class ClosedPullRequest(Answer):
    """A pull request that is closed or merged."""

    number: int
    state: str
    from_fork: bool = Field(alias="isCrossRepository")

    @property
    def merged(self) -> bool:
        return self.state == "MERGED"


class _Named(Answer):
    name: str


class _Tree(Answer):
    typename: str = Field(alias="__typename")
    entries: tuple[SpecFile, ...] | None = Field(default=(), strict=False)


class SpecState(Answer):
    """A spec folder, and the text of its task list."""

    spec_folder: _Tree | None
    tasks_file: _Blob | None = Field(alias="tasks")

    @property
    def spec_files(self) -> tuple[SpecFile, ...] | None:
        """``None`` if the spec's folder does not exist."""
        folder = self.spec_folder
        return (folder.entries or ()) if folder and folder.typename == "Tree" else None

    @property
    def tasks(self) -> str:
        """The text of ``tasks.md``; empty if there is none."""
        return (self.tasks_file.text if self.tasks_file else None) or ""


class SpecAnswer(Answer):
    """The answer to ``READ_SPEC``; ``repository`` is ``None`` if the token no longer sees it."""

    repository: SpecState | None = None


class DefaultBranchState(Answer):
    """A repository's default branch, and the repository's own file on it."""

    name: str = Field(alias="nameWithOwner")
    default_branch_ref: _DefaultBranch | None = None

    @property
    def default_branch(self) -> str:
        """Empty if the repository has no commit."""
        return self.default_branch_ref.name if self.default_branch_ref else ""

    @property
    def default_commit(self) -> str:
        """The commit that the default branch points to; empty if there is none, or the token may not see it."""
        target = self._default_target
        return target.oid if target else ""

    @property
    def own_file(self) -> RepositoryFile | None:
        """The repository's own file at ``default_commit``; ``None`` if it has none."""
        target = self._default_target
        return target.file if target else None

    @property
    def has_misnamed_file(self) -> bool:
        """Whether the repository has no file of its own, but one whose name is almost right."""
        target = self._default_target
        return bool(target and target.misnamed and not target.file)

    @property
    def _default_target(self) -> _DefaultCommit | None:
        target = self.default_branch_ref.target if self.default_branch_ref else None
        return target if target and target.typename == "Commit" else None


class DefaultBranchAnswer(Answer):
    """The answer to ``READ_REPOSITORY_FILE``; ``repository`` is ``None`` if the token does not see it."""

    repository: DefaultBranchState | None = None


class RepositoryState(SpecState, DefaultBranchState):
    """A repository as the readiness check of one branch sees it.

    ``head`` is ``None`` if the branch does not exist. ``pull_requests`` are the open ones from branches of that name,
    including those in forks; ``closed_pull_requests`` holds at most the last one.
    """

    is_archived: bool
    is_disabled: bool = False
    is_locked: bool = False
    lock_reason: str | None = None
    viewer_permission: str | None = None
    head: BranchHead | None = Field(alias="ref")
    pull_requests: Nodes[PullRequest]
    closed_pull_requests: Nodes[ClosedPullRequest]

    @property
    def access(self) -> BranchAccess:
        locked = (self.lock_reason or "no reason given") if self.is_locked else ""
        rule, rules = (self.head.ref_update_rule, self.head.rules) if self.head else (None, ())
        return BranchAccess(self.is_archived, locked, self.is_disabled, self.viewer_permission or "", rule, rules)

    @property
    def commit(self) -> str:
        """The commit that the branch points to; empty if there is none."""
        return self.head.commit if self.head else ""


class RepositoryAnswer(Answer):
    """The answer to ``VALIDATE_WORK_ITEM``; ``repository`` is ``None`` if the token sees none of that name."""

    repository: RepositoryState | None = None


class RootEntry(Answer):
    """What the root of the specs contains: folders, and perhaps other things. ``mode`` and ``type`` are git's."""

    name: str
    mode: int
    type: str


class _Root(Answer):
    entries: tuple[RootEntry, ...] | None = Field(default=(), strict=False)


class SpecRoots(Answer):
    """What the root of the specs contains on the branch, and on the base of its pull request.

    ``base`` is ``None`` if that branch does not exist.
    """

    branch_root: _Root | None = Field(default=None, alias="onBranch")
    base: _Named | None = None
    base_root: _Root | None = Field(default=None, alias="onBase")

    @property
    def on_branch(self) -> tuple[RootEntry, ...]:
        return (self.branch_root.entries or ()) if self.branch_root else ()

    @property
    def on_base(self) -> frozenset[str]:
        """The names only."""
        return frozenset(entry.name for entry in (self.base_root.entries or ())) if self.base_root else frozenset()


class SpecRootsAnswer(Answer):
    """The answer to ``FIND_SPEC``; ``repository`` is ``None`` if the token no longer sees it."""

    repository: SpecRoots | None = None


class _Commit(Answer):
    oid: str


class _Recent(Answer):
    history: Nodes[_Commit] = ()

    @property
    def commits(self) -> frozenset[str]:
        return frozenset(commit.oid for commit in self.history)


class _RecentRef(Answer):
    target: _Recent | None = None


class _PushedRepository(Answer):
    ref: _RecentRef | None = None
    before: _Recent | None = None


class PushedAnswer(Answer):
    """The answer to ``READ_PUSHED``: the last commits of the branch, and of the commit that the run started from."""

    repository: _PushedRepository | None = None

    @property
    def on_branch(self) -> frozenset[str]:
        ref = self.repository.ref if self.repository else None
        return ref.target.commits if ref and ref.target else frozenset()

    @property
    def before(self) -> frozenset[str]:
        before = self.repository.before if self.repository else None
        return before.commits if before else frozenset()
