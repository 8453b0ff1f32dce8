"""The configuration's model: every key with its type, default and meaning.

The docstring below a field is the key's description in ``docs/reference/configuration.md`` and in the JSON Schema
(``make docs``).
"""

from __future__ import annotations

import re
import shlex
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

LockScope = Literal["environment", "repository", "branch"]
AgentName = Literal["kiro", "claude", "codex", "gemini", "command"]


def _split_command(value: object) -> object:
    return tuple(shlex.split(value)) if isinstance(value, str) else value


def _shell_script(value: object) -> object:
    return ("sh", "-eu", "-c", value) if isinstance(value, str) and value.strip() else value


def _without_control_characters(value: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("must not contain control characters")
    return value


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain a NUL character")
    return value


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s\x00-\x1f/@]+(/[^\s\x00-\x1f]*)?", value):
        raise ValueError("must be an http(s) URL without user name or password")
    return value.rstrip("/")


def _repository_path(value: str) -> str:
    parts = value.strip("/").split("/")
    if "\\" in value or any(part in ("", ".", "..") for part in parts):
        raise ValueError("must be a path inside the repository, without . and ..")
    return "/".join(parts)


def _repository_glob(value: str) -> str:
    parts = value.rstrip("/").split("/")
    if "\\" in value or any(part in ("", ".", "..") for part in parts):
        raise ValueError("must be a glob inside the repository, relative to its root, without . and ..")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError("must have ** only as a whole path segment")
    return "/".join(parts)


def _repository_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", value):
        raise ValueError("must be owner/name")
    return value


def _steering_source(value: str) -> str:
    bucket = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.'()-]+)+/?"
    repository = r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+@[A-Za-z0-9][A-Za-z0-9._/+#-]*:[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/?"
    matched = re.fullmatch(bucket, value) or re.fullmatch(repository, value)
    if not matched or any(part in (".", "..") for part in re.split("[/@:]", value)):
        raise ValueError("must be s3://bucket/prefix or owner/name@branch:path")
    return value.rstrip("/")


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_without_control_characters),
]
Word = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_without_nul)
]
Command = Annotated[tuple[Word, ...], BeforeValidator(_split_command), Field(min_length=1)]
Script = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=10_000), AfterValidator(_without_nul)], ...],
    BeforeValidator(_shell_script),
    Field(min_length=1),
]
Url = Annotated[str, AfterValidator(_http_url)]
RepositoryPath = Annotated[Name, AfterValidator(_repository_path)]
SpecRoot = Annotated[
    str,
    StringConstraints(max_length=200, pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$"),
    AfterValidator(_repository_path),
]
RepositoryGlob = Annotated[Name, AfterValidator(_repository_glob)]
SteeringSource = Annotated[str, AfterValidator(_steering_source)]
RepositoryName = Annotated[str, AfterValidator(_repository_name)]


class _Model(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        strict=False,
        populate_by_name=False,
        allow_inf_nan=False,
    )


class AgentConfiguration(_Model):
    """The agent that implements the tasks, and the limits on its turns."""

    name: AgentName = "kiro"
    """the name of the agent's adapter (see agents.md)"""
    command: Command | None = None
    """the program to run when `name` is `command`; it reads the prompt from stdin and works in the checkout"""
    mode: Literal["task", "all"] = "task"
    """how many tasks the agent gets per turn: one (`task`), or every open task (`all`)"""
    timeout_minutes: Annotated[float, Field(gt=0, le=480)] = 45
    """the time limit for one turn of the agent, in minutes"""
    max_credits: Annotated[float, Field(gt=0)] | None = None
    """how many credits one build may spend, in the agent's own unit; no turn starts once the limit is reached"""
    max_minutes: Annotated[float, Field(gt=0, le=480)] | None = None
    """how many minutes all turns of one build may take in total; no turn starts once the limit is reached"""

    @model_validator(mode="after")
    def _has_command(self) -> Self:
        if self.name == "command" and self.command is None:
            raise ValueError('the agent "command" needs "command", the program to run')
        return self

    @property
    def needs_key(self) -> bool:
        """Whether the agent gets the key that the secret holds. A configured command gets none."""
        return self.name != "command"

    @property
    def is_kiro(self) -> bool:
        """Whether the agent is the Kiro CLI, which the build installs."""
        return self.name == "kiro"


def _expand_agent(value: object) -> object:
    """Return the full form of ``agent``: of a bare adapter name, or of an object that has only a ``command``."""
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and "command" in value and "name" not in value:
        return {"name": "command", **value}
    return value


class Configuration(_Model):
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
    """whether a draft pull request is built; otherwise it is refused until it is marked as ready for
    review"""
    allowed_author_associations: tuple[Name, ...] = ("OWNER", "MEMBER", "COLLABORATOR")
    """the author associations whose pull requests may be built. GitHub shows members whose membership is private as
    `CONTRIBUTOR` or `NONE`: if `COLLABORATOR` or `MEMBER` is on the list, an author who may push to the repository
    counts as one"""
    lock_scope: LockScope = "environment"
    """what one lock covers: the whole environment, one repository, or one branch"""
    max_concurrent_builds: Annotated[int, Field(ge=1, le=100, strict=True)] | None = None
    """how many builds may run at once if `lockScope` is `repository` or `branch`; `null` means no limit"""
    setup: Script | None = None
    """the command that installs what the tests need, before the agent starts and again before the tests: a string,
    which `sh -eu -c` runs, or a list of words, which runs without a shell; `null` means that nothing is installed (see
    “Setup” in configuration.md)"""
    test_command: Command | None = None
    """the command that runs the tests, without a shell, as a list of words or as a string that is split into words;
    `null` means the usual command of the ecosystem"""
    require_report: bool = False
    """whether a `testCommand` must show that a test ran, in a JUnit report or in a summary that the gate recognizes;
    `false` accepts its exit code alone, and the comment then says `passed (exit code only)`. A detected command must
    always show it"""
    coverage_report: Name | None = None
    """the path of the coverage report that the tests write, relative to the root of the repository; `null` means that
    the report is found by its usual name"""
    coverage_threshold: Annotated[float, Field(ge=0, le=100)] | None = 80.0
    """the percentage of lines that must be covered. Coverage that cannot be measured is an error, **even with the
    default threshold**: set `null` for a project that writes no coverage report"""
    coverage_mode: Literal["all", "changed"] = "all"
    """which lines count toward coverage: every line (`all`), or only the lines that the change adds (`changed`)"""
    coverage_exclude: tuple[RepositoryGlob, ...] = ()
    """the files that do not count toward coverage, besides tests, as globs relative to the root of the repository,
    for example `src/generated/**` or `**/*.pb.go`; `*` stays within a folder, `**` does not, and a folder stands for
    everything in it"""
    guarded_paths: tuple[RepositoryPath, ...] = (
        ".kiro/agents",
        ".kiro/hooks",
        ".kiro/settings/mcp.json",
        ".kiro/steering",
        "AGENTS.md",
    )
    """the files and folders that must be the same as on the default branch because they steer the agent (see
    security.md)"""
    guard_label: Name | None = None
    """the pull request label that permits changes to guarded paths; `null` means that no label does"""
    steering: SteeringSource | None = None
    """the source of the central steering files, as `s3://bucket/prefix` or `owner/name@branch:path` (see “Central
    steering files” in configuration.md)"""
    submodules: bool = False
    """whether the agent and the tests get the files of submodules (see security.md)"""
    lfs: bool = False
    """whether the agent and the tests get Git LFS files instead of their pointers (see security.md)"""
    agent: Annotated[AgentConfiguration, BeforeValidator(_expand_agent)] = AgentConfiguration()
    """the agent that implements the tasks: an adapter's name, or an object whose `name` is optional if it has a
    `command`"""
    github_api_url: Url = "https://api.github.com/graphql"
    """GitHub's GraphQL endpoint; change it for GitHub Enterprise Server"""
    git_url: Url = "https://github.com"
    """the base URL of git over HTTPS; change it for GitHub Enterprise Server"""

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
