r"""The format of the board file that ``kiro-worker local up --board FILE`` reads.

The file is JSON or YAML, as in the example below. The keys ``name``, ``owner`` and ``token``, the ``title`` of an issue
and the ``head`` of a pull request are required; every other key has a default. Paths are relative to the file. In each
repository the issues and then the pull requests are numbered in order, unless they have a ``number``::

    tokens:
      - {token: a-long-random-text, login: worker, scopes: [repo, project]}   # scopes: null for a fine-grained token
    repositories:
      - name: acme/shop
        defaultBranch: main
        template: ./shop               # the files of a directory become the first commit; and/or
        files: {README.md: "# Shop\n"}  # files by path; or, instead of both,
        clone: ~/src/shop              # the branches and tags of an existing repository
        archived: false
        private: true
        collaborators: {bob: WRITE}    # READ, TRIAGE, WRITE, MAINTAIN or ADMIN
        branches:
          - name: feature/checkout
            from: main                 # the default is the default branch
            template: ./shop-checkout  # files to add or replace
            files: {.kiro/specs/feature-checkout/tasks.md: "- [ ] 1. Do it\n"}   # null deletes a file
            message: Add the spec
        issues:
          - {title: A checkout, body: Customers need one, state: OPEN, linkedBranches: [feature/checkout]}
        pullRequests:
          - head: feature/checkout
            base: main
            title: Checkout
            author: alice
            authorAssociation: MEMBER
            state: OPEN
            labels: [{name: steering-reviewed, by: bob}]   # added in this order, by these users
          - {head: "mallory:feature/x"}   # from mallory's fork, which is listed below with forkOf
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

List a fork after its parent. Pull requests are created last, so their heads can be in forks that are listed later.
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
    """The whole board file."""

    tokens: tuple[TokenSeed, ...] = ()
    repositories: tuple[RepositorySeed, ...] = ()
    projects: tuple[ProjectSeed, ...] = ()
