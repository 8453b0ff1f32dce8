"""The settings of a repository, as its own file and the installation's parameter write them.

Every key is optional: what one source leaves out, the next one decides. The docstring below a field is the key's
description in ``docs/reference/repository-file.md`` and in the JSON Schemas (``make docs``).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from kiro_worker.config.settings import AgentName, Baseline
from kiro_worker.config.types import (
    Author,
    Command,
    Credits,
    EnvironmentVariables,
    KeyVariable,
    Model,
    Name,
    RepositoryGlob,
    RepositoryPath,
    Script,
    SubjectTemplate,
    TestCommand,
)

ComputeType = Literal["SMALL", "MEDIUM", "LARGE", "XLARGE", "2XLARGE"]
"""CodeBuild's general compute types, smallest first, without their prefix ``BUILD_GENERAL1_``."""
Image = Annotated[Name, AfterValidator(lambda value: _image(value))]


def _image(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", value):
        raise ValueError("must be the name of a Docker image, such as aws/codebuild/standard:7.0")
    return value


class CoverageConfiguration(Model):
    """How coverage is measured, and how much is required."""

    report: RepositoryPath | None = None
    """the path of the coverage report that the tests write, relative to the folder of the check; without it, the report
    is found by its usual name"""
    threshold: Annotated[float, Field(ge=0, le=100, strict=True)] | None = None
    """the percentage of lines that must be covered; `null` turns the check off. Without this key, 80 applies wherever
    coverage is measured, and the comment says where it is not. A threshold that is set and cannot be measured fails"""
    mode: Literal["all", "changed"] | None = None
    """which lines count toward coverage: every line (`all`, the default), or only the lines that the change adds
    (`changed`)"""
    exclude: tuple[RepositoryGlob, ...] | None = None
    """the files that do not count toward coverage, besides tests, as globs relative to the folder of the check, for
    example `src/generated/**` or `**/*.pb.go`; `*` stays within a folder, `**` does not, and a folder stands for
    everything in it"""


class CheckConfiguration(Model):
    """One part of the repository that is set up and tested on its own."""

    name: Name | None = None
    """the name of the check in the log, the comment and the artifacts; without it, `directory`"""
    directory: RepositoryPath | None = None
    """the folder that `setup` and `test` run in, relative to the root of the repository; without it, the root"""
    setup: Script | None = None
    """the command that installs what the tests need; see `setup` of the repository"""
    test: TestCommand | None = None
    """the command that runs the tests; see `test` of the repository"""
    require_report: bool | None = None
    """see `requireReport` of the repository"""
    coverage: CoverageConfiguration | None = None
    """see `coverage` of the repository, whose keys apply where this one has none"""

    @property
    def shown_name(self) -> str:
        """The name, or else the directory."""
        return self.name or self.directory or "."


class AgentConfiguration(Model):
    """What a repository may choose about the agent, within the installation's limits."""

    name: AgentName | None = None
    """the name of the agent's adapter (see agents.md); `kiro` by default. A repository's file may name only an agent of
    `limits.agents`"""
    model: Annotated[Name, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]*$")] | None = None
    """the model that the agent uses, in the agent's own notation; without it, the agent's default"""
    mode: Literal["task", "all"] | None = None
    """how many tasks the agent gets per turn: one (`task`, the default), or every open task (`all`)"""
    timeout_minutes: Annotated[float, Field(gt=0, le=480, strict=True)] | None = None
    """the time limit for one turn of the agent, in minutes; 45 by default"""
    max_credits: Credits | None = None
    """how many credits one build may spend, in the agent's own unit; no turn starts once the limit is reached"""
    max_minutes: Annotated[float, Field(gt=0, le=2160, strict=True)] | None = None
    """how many minutes all turns of one build may take in total; no turn starts once the limit is reached"""


class InstallationAgentConfiguration(AgentConfiguration):
    """What the installation's parameter may choose besides, because it runs programs or handles the agent's key."""

    command: Command | None = None
    """the program to run when `name` is `command`; it reads the prompt from stdin and works in the checkout"""
    arguments: Command | None = None
    """further arguments of the agent's own command line, for example `["--effort", "high"]`"""
    key_variable: KeyVariable | None = None
    """the environment variable in which a `command` gets the agent's key; without it, it gets no key"""
    harness: Literal["v2", "v3"] | None = None
    """the harness of the Kiro CLI; `v2` by default (see agents.md)"""

    @model_validator(mode="after")
    def _has_no_ignored_key(self) -> Self:
        """Reject a combination of keys one of which would be ignored."""
        name = self.name
        if name == "command" and self.command is None:
            raise ValueError('the agent "command" needs "command", the program to run')
        if self.command is not None and name != "command":
            raise ValueError(f'"command" is used only by the agent "command", but "name" is {name!r}')
        if self.arguments is not None and name == "command":
            raise ValueError('"arguments" is for the known agents: write the arguments of a command into "command"')
        if self.key_variable is not None and name != "command":
            raise ValueError('"keyVariable" is for the agent "command": the known agents have variables of their own')
        if self.harness is not None and name not in (None, "kiro"):
            raise ValueError(f'"harness" is a setting of the agent "kiro", but "name" is {name!r}')
        return self


class BuildConfiguration(Model):
    """The machine that the build runs on, within the installation's limits."""

    image: Image | None = None
    """the Docker image of the build, one of `limits.images`; without it, the image of the CodeBuild project"""
    compute_type: ComputeType | None = None
    """the size of the machine, at most `limits.computeType`; without it, the size of the CodeBuild project"""
    timeout_minutes: Annotated[int, Field(ge=5, le=2160, strict=True)] | None = None
    """how long one build may take, in minutes, at most `limits.minutes`; without it, the CodeBuild project's limit"""


class CommitConfiguration(Model):
    """How the worker writes commits."""

    author: Author | None = None
    """the author and committer of every commit, as `name <address>`; without it, the worker's own. Addresses that
    GitHub gives to strangers are refused (see commits.md)"""
    sign_off: bool | None = None
    """whether every commit ends with a `Signed-off-by` line of its author; `false` by default"""
    subject: SubjectTemplate | None = None
    """the first line of every commit, with `{title}` for the title of the task, for example `feat: {title}` (see
    commits.md)"""
    squash: bool | None = None
    """whether the work is pushed as one commit instead of one per task; `false` by default"""


class RepositoryFile(Model):
    """The settings of one repository: what `.kiro-worker.yml` on its default branch may contain."""

    setup: Script | None = None
    """the command that installs what the tests need, before the agent starts and again before the tests: a text, which
    `sh -eu` runs, or a list of words, which runs without a shell. Without it, the files of the repository decide; an
    empty list installs nothing"""
    test: TestCommand | None = None
    """the command that runs the tests: a text, which `sh -eu` runs, or a list of words, which runs without a shell.
    Without it, the files of the repository decide"""
    directory: RepositoryPath | None = None
    """the folder that `setup` and `test` run in, relative to the root of the repository; without it, the root"""
    checks: Annotated[tuple[CheckConfiguration, ...], Field(min_length=1, max_length=20)] | None = None
    """the parts of a repository that are set up and tested on their own, instead of `setup`, `test` and `directory`"""
    require_report: bool | None = None
    """whether a configured `test` must show that a test ran, in a JUnit report or in a summary that the gate
    recognizes. Without it, its exit code alone is accepted, and the comment then says `passed (exit code only)`. A
    detected command must always show it"""
    coverage: CoverageConfiguration | None = None
    """how coverage is measured, and how much is required"""
    baseline: Baseline | None = None
    """what the tests did before the agent started: with `known` (the default), only tests that passed then may not
    fail; with `green`, all of them must pass before the agent starts; with `off`, they are not run then"""
    environment: EnvironmentVariables | None = None
    """environment variables of setup, agent and tests. They are not secret: the agent and every test can read them.
    Variables that the system's loader, git or an agent obeys, such as `LD_PRELOAD`, `GIT_DIR` and `OPENAI_BASE_URL`,
    are refused: set them in `test`"""
    secrets: Annotated[tuple[KeyVariable, ...], Field(max_length=20)] | None = None
    """the variables of the installation's `testSecrets` that `setup` gets, such as the token of a private registry.
    Agent and tests do not get them, but the code that `setup` runs comes from the branch of the card: use tokens that
    can only read"""
    agent: AgentConfiguration | None = None
    """the agent that implements the tasks"""
    build: BuildConfiguration | None = None
    """the machine that the build runs on"""
    commits: CommitConfiguration | None = None
    """how the worker writes commits"""

    @field_validator("checks")
    @classmethod
    def _names_differ(cls, checks: tuple[CheckConfiguration, ...] | None) -> tuple[CheckConfiguration, ...] | None:
        names = [check.shown_name.lower() for check in checks or ()]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"several checks have the name {min(twice)!r}: give each a name of its own")
        return checks

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        used = [key for key in ("setup", "test", "directory") if getattr(self, key) is not None]
        if self.checks is not None and used:
            raise ValueError(f'"checks" replaces {", ".join(map(repr, used))}: write them into each check')
        return self


class RepositorySettings(RepositoryFile):
    """The same settings in the installation's parameter, which may choose more about the agent and sets the budget."""

    agent: InstallationAgentConfiguration | None = None
    """the agent that implements the tasks: an adapter's name, or an object whose `name` is optional if it has a
    `command`"""
    max_credits_per_day: Credits | None = None
    """how many credits the repository's builds that start on one day (UTC) may spend together before no further card of
    it is taken; `null` means no limit (see “Daily budgets” in configuration.md)"""

    @field_validator("agent", mode="before")
    @classmethod
    def _expand_agent(cls, value: object) -> object:
        """Return the full form of ``agent``: of a bare adapter name, or of an object that has only a ``command``."""
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and value.get("command") is not None and "name" not in value:
            return {"name": "command", **value}
        return value


class Limits(Model):
    """What the repositories of this installation may choose at most."""

    agents: tuple[AgentName, ...] | None = None
    """the agents that a repository's file may name; without it, only the agent of `repositoryDefaults`"""
    images: tuple[Image, ...] = ()
    """the images that a repository may name; a build without `build.image` has that of the CodeBuild project"""
    compute_type: ComputeType = "MEDIUM"
    """the largest compute type that a repository may name"""
    minutes: Annotated[int, Field(ge=5, le=2160, strict=True)] | None = None
    """the longest `build.timeoutMinutes`, and the total of `agent.maxMinutes`, that a repository may choose; without
    it, the timeout of the CodeBuild project"""
    credits: Credits | None = None
    """the largest `agent.maxCredits`, which also applies where none is set; without it, there is no limit"""
