"""The document that a board is made from: what ``kiro-worker local up --config FILE`` reads.

The file is JSON or YAML of this shape. Every key has a default except the names; paths are relative to the file. Issues
and then pull requests of a repository are numbered in their order, unless a ``number`` is given::

    tokens:
      - {token: a-long-random-text, login: worker, scopes: [repo, project]}   # scopes: null for a fine-grained token
    repositories:
      - name: acme/shop
        defaultBranch: main
        template: ./shop               # a directory whose files become the first commit, and/or
        files: {README.md: "# Shop\\n"}  # files by path; or instead of both
        clone: ~/src/shop              # an existing repository whose branches and tags are copied
        archived: false
        private: true
        collaborators: {bob: WRITE}    # READ, TRIAGE, WRITE, MAINTAIN or ADMIN
        branches:
          - name: feature/checkout
            from: main                 # the default branch where left out
            template: ./shop-checkout  # files that are added or replaced
            files: {.kiro/specs/feature-checkout/tasks.md: "- [ ] 1. Do it\\n"}   # null deletes one
            message: Add the spec
        issues:
          - {title: A checkout, body: …, state: OPEN, linkedBranches: [feature/checkout]}
        pullRequests:
          - head: feature/checkout
            base: main
            title: Checkout
            author: alice
            authorAssociation: MEMBER
            state: OPEN
            labels: [{name: steering-reviewed, by: bob}]   # given in this order, by these people
          - {head: "mallory:feature/x"}   # from the fork that mallory has, which must be listed before with forkOf
      - {name: mallory/shop, forkOf: acme/shop, branches: [{name: feature/x, files: {a.txt: a}}]}
    projects:
      - owner: acme
        ownerType: organization        # or user
        number: 1
        title: Deliveries
        statusField: Status
        statuses: [Todo, For Implementation, In Progress, In Review, Blocked, Done]
        textFields: [Branch]
        cards:
          - {issue: "acme/shop#1", status: For Implementation}
          - {pullRequest: "acme/shop#2", status: Todo, fields: {Branch: feature/checkout}}
          - {draft: An idea, status: Todo}
          - {redacted: true, status: For Implementation, archived: false}

Forks may come after the repository whose pull requests they have: pull requests are made last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from kiro_local.github.model import DEFAULT_STATUSES


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class TokenSeed(_Model):
    token: str = Field(min_length=1, repr=False)
    login: str = "worker"
    scopes: tuple[str, ...] | None = ("repo", "project")


class BranchSeed(_Model):
    name: str
    base: str | None = Field(None, alias="from")
    template: Path | None = None
    files: dict[str, str | None] = {}
    message: str = "Change"


class IssueSeed(_Model):
    title: str
    body: str = ""
    author: str = "octocat"
    state: Literal["OPEN", "CLOSED"] = "OPEN"
    number: int | None = Field(None, gt=0)
    linked_branches: tuple[str, ...] = ()


class LabelSeed(_Model):
    name: str
    by: str | None = "octocat"


class PullRequestSeed(_Model):
    head: str
    base: str | None = None
    title: str = ""
    body: str = ""
    author: str = "octocat"
    author_association: str = "MEMBER"
    state: Literal["OPEN", "CLOSED", "MERGED"] = "OPEN"
    number: int | None = Field(None, gt=0)
    draft: bool = False
    labels: tuple[LabelSeed, ...] = ()


class RepositorySeed(_Model):
    name: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    default_branch: str = "main"
    template: Path | None = None
    files: dict[str, str | None] = {}
    clone: Path | None = None
    fork_of: str | None = None
    archived: bool = False
    private: bool = True
    collaborators: dict[str, Literal["READ", "TRIAGE", "WRITE", "MAINTAIN", "ADMIN"]] = {}
    branches: tuple[BranchSeed, ...] = ()
    issues: tuple[IssueSeed, ...] = ()
    pull_requests: tuple[PullRequestSeed, ...] = ()


class CardSeed(_Model):
    issue: str | None = None
    pull_request: str | None = None
    draft: str | None = None
    redacted: bool = False
    status: str | None = None
    fields: dict[str, str] = {}
    archived: bool = False


class ProjectSeed(_Model):
    owner: str
    owner_type: Literal["organization", "user"] = "organization"
    number: int = Field(1, gt=0)
    title: str = "Board"
    status_field: str = "Status"
    statuses: tuple[str, ...] = DEFAULT_STATUSES
    text_fields: tuple[str, ...] = ("Branch",)
    cards: tuple[CardSeed, ...] = ()


class Seed(_Model):
    """The whole document."""

    tokens: tuple[TokenSeed, ...] = ()
    repositories: tuple[RepositorySeed, ...] = ()
    projects: tuple[ProjectSeed, ...] = ()
