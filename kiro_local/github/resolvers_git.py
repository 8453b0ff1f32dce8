"""Resolvers for repositories and their git objects: refs, trees, blobs and commits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from kiro_local.github.git_reader import Entry
from kiro_local.github.git_repository import ObjectInfo
from kiro_local.github.model import Issue, PullRequest, Repository
from kiro_local.github.resolvers import Table, connection, cursor, github_error, not_found, timestamp

if TYPE_CHECKING:
    from kiro_local.github.resolvers import Context

TABLE: Final = Table()
LONGEST_TEXT: Final = 512_000
"""``Blob.text`` is cut after this many bytes, and ``isTruncated`` is true. This is observed, not documented.

https://github.com/sveltia/sveltia-cms/issues/950
"""


@dataclass(frozen=True)
class Ref:
    typename: ClassVar[str] = "Ref"
    repository: Repository
    full_name: str
    info: ObjectInfo

    @property
    def id(self) -> str:
        return f"REF_{self.repository.id}:{self.full_name}"

    @property
    def prefix(self) -> str:
        return "/".join(self.full_name.split("/")[:2]) + "/"

    @property
    def name(self) -> str:
        return self.full_name.removeprefix(self.prefix)


@dataclass(frozen=True)
class GitObject:
    repository: Repository
    info: ObjectInfo

    @property
    def typename(self) -> str:
        return self.info.kind.capitalize()

    @property
    def id(self) -> str:
        return f"{self.info.kind[0].upper()}_{self.repository.id}:{self.oid}"

    @property
    def oid(self) -> str:
        return self.info.oid

    @property
    def abbreviated_oid(self) -> str:
        return self.info.oid[:7]

    @property
    def byte_size(self) -> int:
        return self.info.size

    @property
    def is_truncated(self) -> bool:
        return self.info.size > LONGEST_TEXT


@dataclass(frozen=True)
class TreeEntry:
    typename: ClassVar[str] = "TreeEntry"
    repository: Repository
    entry: Entry


@TABLE.of("Repository.viewerPermission")
def _viewer_permission(repository: Repository, context: Context) -> str:
    return "WRITE" if context.token.reaches_repositories and not repository.is_archived else "READ"


@TABLE.of("Repository.collaborators")
def _collaborators(
    repository: Repository, context: Context, login: str | None = None, **page: Any
) -> dict[str, Any] | None:
    """Only users with push access see the collaborators."""
    if _viewer_permission(repository, context) != "WRITE":
        raise github_error("FORBIDDEN", "Must have push access to view repository collaborators.")
    shown = connection(
        repository.collaborators, keep=lambda each: login is None or each.user.login.lower() == login.lower(), **page
    )
    edges = [{"cursor": cursor(each), "node": each.user, "permission": each.permission} for each in shown["nodes"]]
    return {**shown, "nodes": [edge["node"] for edge in edges], "edges": edges}


@TABLE.of("Repository.issue")
def _issue(repository: Repository, _: Context, number: int) -> Issue:
    for issue in repository.issues:
        if issue.number == number:
            return issue
    raise not_found(f"Could not resolve to an Issue with the number of {number}.")


@TABLE.of("Repository.pullRequest")
def _pull_request(repository: Repository, _: Context, number: int) -> PullRequest:
    for pull_request in repository.pull_requests:
        if pull_request.number == number:
            return pull_request
    raise not_found(f"Could not resolve to a PullRequest with the number of {number}.")


@TABLE.of("Repository.pullRequests")
def _pull_requests(
    repository: Repository,
    _: Context,
    headRefName: str | None = None,  # noqa: N803  # GitHub's names
    baseRefName: str | None = None,  # noqa: N803
    states: list[str] | None = None,
    **page: Any,
) -> dict[str, Any]:
    """The pull requests; ``headRefName`` also matches the branch of a fork."""
    return connection(
        repository.pull_requests,
        keep=lambda each: (
            (headRefName is None or each.head_ref_name == headRefName)
            and (baseRefName is None or each.base_ref_name == baseRefName)
            and (states is None or each.state in states)
        ),
        **page,
    )


@TABLE.of("Repository.defaultBranchRef")
def _default_branch_ref(repository: Repository, context: Context) -> Ref | None:
    return find_ref(repository, context, f"refs/heads/{context.reader(repository).default_branch()}")


@TABLE.of("Repository.ref")
def _ref(repository: Repository, context: Context, qualifiedName: str) -> Ref | None:  # noqa: N803  # GitHub's name
    return find_ref(repository, context, qualifiedName)


def find_ref(repository: Repository, context: Context, name: str) -> Ref | None:
    """The ref with that full name, otherwise with that short name."""
    refs = context.reader(repository).refs()
    for full_name in (name, f"refs/heads/{name}", f"refs/tags/{name}", f"refs/{name}"):
        if full_name in refs:
            return Ref(repository, full_name, refs[full_name])
    return None


@TABLE.of("Ref.compare")
def _compare(ref: Ref, context: Context, headRef: str) -> dict[str, Any] | None:  # noqa: N803  # GitHub's name
    head = find_ref(ref.repository, context, headRef)
    if head is None:
        return None
    reader, base = context.reader(ref.repository), ref.info.oid
    return {
        "id": f"CMP_{base}:{head.info.oid}",
        "aheadBy": reader.only_in(head.info.oid, base),
        "behindBy": reader.only_in(base, head.info.oid),
    }


@TABLE.of("PullRequest.mergeable")
def _mergeable(pull_request: PullRequest, context: Context) -> str:
    repository = pull_request.repository
    if pull_request.unknown_answers:
        pull_request.unknown_answers -= 1
        return "UNKNOWN"
    base = find_ref(repository, context, f"refs/heads/{pull_request.base_ref_name}")
    head = find_ref(pull_request.head_repository or repository, context, f"refs/heads/{pull_request.head_ref_name}")
    if base is None or head is None or pull_request.closed or pull_request.is_cross_repository:
        return "UNKNOWN"
    return "CONFLICTING" if context.reader(repository).conflicts(base.info.oid, head.info.oid) else "MERGEABLE"


@TABLE.of("Ref.target")
def _target(ref: Ref, _: Context) -> GitObject:
    return GitObject(ref.repository, ref.info)


@TABLE.of("Repository.object")
def _object(
    repository: Repository,
    context: Context,
    expression: str | None = None,
    oid: str | None = None,
) -> GitObject | None:
    info = context.reader(repository).find(expression or oid or "")
    return GitObject(repository, info) if info else None


@TABLE.of("Commit.file")
def _file(commit: GitObject, context: Context, path: str) -> TreeEntry | None:
    """The entry at that path in the commit's tree; null if there is none."""
    reader = context.reader(commit.repository)
    folder, _, name = path.rpartition("/")
    tree = reader.find(f"{commit.oid}:{folder}")
    if tree is None or tree.kind != "tree" or not name:
        return None
    return next((TreeEntry(commit.repository, each) for each in reader.entries(tree.oid) if each.name == name), None)


@TABLE.of("Tree.entries")
def _entries(tree: GitObject, context: Context) -> list[TreeEntry]:
    return [TreeEntry(tree.repository, entry) for entry in context.reader(tree.repository).entries(tree.oid)]


@TABLE.of("TreeEntry.mode")
def _mode(entry: TreeEntry, _: Context) -> int:
    return entry.entry.mode


@TABLE.of("TreeEntry.name")
def _entry_name(entry: TreeEntry, _: Context) -> str:
    return entry.entry.name


@TABLE.of("TreeEntry.oid")
def _entry_oid(entry: TreeEntry, _: Context) -> str:
    return entry.entry.oid


@TABLE.of("TreeEntry.type")
def _entry_type(entry: TreeEntry, _: Context) -> str:
    return entry.entry.kind


@TABLE.of("TreeEntry.object")
def _entry_object(entry: TreeEntry, context: Context) -> GitObject | None:
    """The object; null for a submodule, whose commit is in another repository."""
    return None if entry.entry.kind == "commit" else _object(entry.repository, context, oid=entry.entry.oid)


@TABLE.of("TreeEntry.size")
def _entry_size(entry: TreeEntry, context: Context) -> int:
    entry_object = _entry_object(entry, context)
    return entry_object.byte_size if entry_object and entry.entry.kind == "blob" else 0


@TABLE.of("Blob.isBinary")
def _is_binary(blob: GitObject, context: Context) -> bool:
    return context.reader(blob.repository).is_binary(blob.oid)


@TABLE.of("Blob.text")
def _text(blob: GitObject, context: Context) -> str | None:
    """The text, up to :data:`LONGEST_TEXT` bytes; null for a binary file."""
    if _is_binary(blob, context):
        return None
    return context.reader(blob.repository).content(blob.oid)[:LONGEST_TEXT].decode(errors="replace")


@TABLE.of("Commit.history")
def _history(commit: GitObject, context: Context, **page: Any) -> dict[str, Any]:
    found = context.reader(commit.repository).history(commit.oid)
    return connection([GitObject(commit.repository, info) for info in found], **page)


@TABLE.of("Commit.message")
def _message(commit: GitObject, context: Context) -> str:
    raw = context.reader(commit.repository).content(commit.oid).decode(errors="replace")
    return raw.partition("\n\n")[2].strip("\n")


@TABLE.of("Commit.messageHeadline")
def _headline(commit: GitObject, context: Context) -> str:
    return str(_message(commit, context)).partition("\n")[0]


@TABLE.of("Commit.committedDate")
def _committed_date(commit: GitObject, context: Context) -> str:
    raw = context.reader(commit.repository).content(commit.oid).decode(errors="replace")
    committer = re.search(r"^committer .* (\d+) [+-]\d{4}$", raw, re.MULTILINE)
    return timestamp(datetime.fromtimestamp(int(committer[1]) if committer else 0, UTC))
