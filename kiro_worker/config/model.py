"""The configuration's model: every key with its type, default and meaning.

The docstring below a field is the key's description in ``docs/reference/configuration.md`` and in the JSON Schema
(``make docs``).
"""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from kiro_worker.agent_steering import STEERING
from kiro_worker.config.repository_settings import Limits, RepositorySettings
from kiro_worker.config.types import (
    Credits,
    KeyVariable,
    Model,
    Name,
    RepositoryName,
    RepositoryPath,
    SecretName,
    SpecRoot,
    SteeringSource,
    Url,
)

MOVED_KEYS: Final = {
    "agent": "agent",
    "setup": "setup",
    "testCommand": "test",
    "requireReport": "requireReport",
    "coverageReport": "coverage.report",
    "coverageThreshold": "coverage.threshold",
    "coverageMode": "coverage.mode",
    "coverageExclude": "coverage.exclude",
}
"""Keys that belong to repositories, and their names below ``repositoryDefaults``."""
LockScope = Literal["environment", "repository", "branch"]


class Configuration(Model):
    """The configuration of one installation. The first four keys are required; all other keys have defaults."""

    organization: Name
    """the account that owns the board and `repository`"""
    repository: Name
    """the name of the repository, without its owner"""
    project_number: Annotated[int, Field(ge=1, le=999_999, strict=True)]
    """the board's number, as in its URL"""
    target_status_column: Name
    """the status whose cards the worker builds, for example `For Implementation`"""
    owner_type: Literal["organization", "user"] = "organization"
    """the kind of account that owns the board"""
    repositories: tuple[RepositoryName, ...] = ()
    """the repositories whose cards may be built, each as `owner/name`; if empty, only `organization/repository`"""
    status_field: Name = "Status"
    """the name of the board's status field"""
    branch_field: Name = "Branch"
    """the name of the board's text field that holds a card's branch"""
    spec_field: Name = "Spec"
    """the name of the board's text field that holds the folder of a card's spec, for a branch without a spec folder of
    its own name; the board need not have it (see “The spec folder” in configuration.md)"""
    priority_field: Name | None = "Priority"
    """the name of the board's single-select field whose options order the queue: cards with its first option come
    first, those without an option last, and those with the same one as on the board; the board need not have it, and
    `null` orders the queue by the board alone"""
    in_progress_status: Name = "In Progress"
    """the status of a card while it is being built; the board must have every status named in the configuration"""
    review_status: Name = "In Review"
    """the status of a card whose work has been pushed"""
    failed_status: Name | None = "Blocked"
    """the status of a card whose run failed; `null` leaves the card where it is"""
    blocked_status: Name | None = "Blocked"
    """the status of a card that is not ready to be built; `null` leaves the card where it is"""
    spec_root: SpecRoot = ".kiro/specs"
    """the folder that holds the specs, relative to the root of the repository"""
    require_mergeable: bool = True
    """whether a pull request that conflicts with its base branch is refused before a build starts. If GitHub does not
    know that after some seconds, the pull request passes"""
    allow_draft: bool = False
    """whether a draft pull request is built; otherwise it is refused until it is marked as ready for review"""
    allowed_author_associations: tuple[Name, ...] = ("OWNER", "MEMBER", "COLLABORATOR")
    """the author associations whose pull requests may be built. GitHub shows members whose membership is private as
    `CONTRIBUTOR` or `NONE`: if `COLLABORATOR` or `MEMBER` is on the list, an author who may push to the repository
    counts as one"""
    lock_scope: LockScope = "environment"
    """what one lock covers: the whole environment, one repository, or one branch"""
    max_concurrent_builds: Annotated[int, Field(ge=1, le=100, strict=True)] | None = None
    """how many builds may run at once if `lockScope` is `repository` or `branch`; `null` means no limit"""
    max_credits_per_day: Credits | None = None
    """how many credits all builds that start on one day (UTC) may spend together before no further card is taken;
    `null` means no limit (see “Daily budgets” in configuration.md)"""
    guarded_paths: tuple[RepositoryPath, ...] = (
        ".kiro/agents",
        ".kiro/hooks",
        ".kiro/settings/mcp.json",
        ".kiro/steering",
        "AGENTS.md",
    )
    """the files and folders that must be as on the default branch, or as they were there when the branch left it,
    because they steer the agent (see security.md). Unless this key is set, what the configured agent reads is guarded,
    too (see agents.md)"""
    guard_label: Name | None = None
    """the pull request label that permits changes to guarded paths; `null` means that no label does"""
    steering: SteeringSource | None = None
    """the source of the central steering files, as `s3://bucket/prefix` or `owner/name@branch:path` (see “Central
    steering files” in configuration.md)"""
    submodules: bool = False
    """whether the agent and the tests get the files of submodules (see security.md)"""
    lfs: bool = False
    """whether the agent and the tests get Git LFS files instead of their pointers (see security.md)"""
    repository_defaults: RepositorySettings = RepositorySettings()
    """the settings of every repository, for what neither `repositorySettings` nor its own file decides"""
    repository_settings: Annotated[dict[RepositoryName, RepositorySettings], Field(default_factory=dict)]
    """the settings of single repositories, by `owner/name`; they override the repository's own file"""
    limits: Limits = Limits()
    """what repositories may choose at most"""
    test_secrets: Annotated[dict[KeyVariable, SecretName], Field(default_factory=dict)]
    """the secrets that repositories may name in `secrets`: environment variables, each with the name of its secret in
    Secrets Manager, which begins with `kiro-worker-<env>-tests-`, for example
    `{"NPM_TOKEN": "kiro-worker-test-tests-npm-token"}`"""
    github_api_url: Url = "https://api.github.com/graphql"
    """GitHub's GraphQL endpoint; change it for GitHub Enterprise Server"""
    git_url: Url = "https://github.com"
    """the base URL of git over HTTPS; change it for GitHub Enterprise Server"""

    @model_validator(mode="before")
    @classmethod
    def _has_no_moved_key(cls, value: Any) -> Any:
        """Reject a key under which earlier versions had a setting of the repositories."""
        moved = [key for key in MOVED_KEYS if isinstance(value, dict) and key in value]
        if moved:
            places = ", ".join(f'"{key}" is now "repositoryDefaults.{MOVED_KEYS[key]}"' for key in moved)
            raise ValueError(places)
        return value

    @model_validator(mode="after")
    def _tells_repositories_apart(self) -> Self:
        names = [name.lower() for name in self.repository_settings]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f'"repositorySettings" names {min(twice)} more than once: GitHub ignores case')
        return self

    @model_validator(mode="after")
    def _tells_statuses_apart(self) -> Self:
        """Reject equal statuses that would let the worker build or report a card again and again.

        Rejected cards may stay in the target status, and may share the status of failed cards.
        """
        apart = {
            "targetStatusColumn": self.target_status_column,
            "inProgressStatus": self.in_progress_status,
            "reviewStatus": self.review_status,
        }
        others = {
            "failedStatus": (self.failed_status, tuple(apart)),
            "blockedStatus": (self.blocked_status, ("inProgressStatus", "reviewStatus")),
        }
        pairs = [*combinations(apart, 2), *((key, name) for name, (_, keys) in others.items() for key in keys)]
        values = apart | {name: status for name, (status, _) in others.items()}
        for first, second in pairs:
            if values[first] == values[second]:
                raise ValueError(f'"{first}" and "{second}" are both {values[first]!r}: they must differ')
        return self

    @property
    def allowed_repositories(self) -> tuple[str, ...]:
        """The repositories whose cards may be built, each as ``owner/name``."""
        return self.repositories or (f"{self.organization}/{self.repository}",)

    def for_agent(self, name: str) -> Self:
        """The configuration that guards what the agent reads, too, unless ``guardedPaths`` is configured."""
        if "guarded_paths" in self.model_fields_set:
            return self
        paths = dict.fromkeys((*self.guarded_paths, *STEERING.get(name, ())))
        return self.model_copy(update={"guarded_paths": tuple(paths)})

    @property
    def everything_guarded(self) -> tuple[str, ...]:
        """``guarded_paths``, plus ``.gitmodules`` if it decides which repositories the worker's credentials read."""
        return (*self.guarded_paths, "./.gitmodules") if self.submodules else self.guarded_paths

    @property
    def statuses(self) -> tuple[str, ...]:
        """Every status that this configuration names; the board must have all of them."""
        named = (
            self.target_status_column,
            self.in_progress_status,
            self.review_status,
            self.failed_status,
            self.blocked_status,
        )
        return tuple(dict.fromkeys(status for status in named if status is not None))
