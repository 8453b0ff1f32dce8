"""Resolvers for issues, pull requests, comments and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from kiro_local.github.model import Comment, Issue, PullRequest, now
from kiro_local.github.resolvers import Table, connection, cursor, github_error, node_of_kind, not_found
from kiro_local.github.resolvers_git import find_ref

if TYPE_CHECKING:
    from kiro_local.github.model import Owner, Repository
    from kiro_local.github.resolvers import Context
    from kiro_local.github.resolvers_git import Ref

TABLE: Final = Table()
_LONGEST_COMMENT: Final = 65_536


@dataclass(frozen=True)
class LinkedBranch:
    typename: ClassVar[str] = "LinkedBranch"
    repository: Repository
    branch: str

    @property
    def id(self) -> str:
        return f"LB_{self.repository.id}:{self.branch}"


@TABLE.of("Issue.comments", "PullRequest.comments")
def _comments(subject: Issue | PullRequest, _: Context, **page: Any) -> dict[str, Any]:
    return connection(subject.comments, **page)


@TABLE.of("Issue.linkedBranches")
def _linked_branches(issue: Issue, context: Context, **page: Any) -> dict[str, Any]:
    return connection([_linked_branch(issue, named, context) for named in issue.linked_branches], **page)


def _linked_branch(issue: Issue, named: str, context: Context) -> LinkedBranch:
    """The branch ``named``, of the issue's repository or, as ``owner/name:branch``, of another one."""
    repository, colon, branch = named.rpartition(":")
    found = context.board.repository(repository) if colon else None
    return LinkedBranch(found or issue.repository, branch)


@TABLE.of("LinkedBranch.ref")
def _linked_ref(linked: LinkedBranch, context: Context) -> Ref | None:
    return find_ref(linked.repository, context, f"refs/heads/{linked.branch}")


@TABLE.of("IssueComment.viewerDidAuthor")
def _viewer_did_author(comment: Comment, context: Context) -> bool:
    return comment.author.login.lower() == context.token.login.lower()


@TABLE.of("Mutation.addComment")
def _add_comment(_: Any, context: Context, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002  # GitHub's name
    subject = context.board.node(input["subjectId"])
    if not isinstance(subject, Issue | PullRequest) or not context.visible(subject.repository):
        raise not_found(f"Could not resolve to a node with the global id of '{input['subjectId']}'")
    _check_comment(subject.repository, input["body"])
    comment = context.board.add_comment(subject, context.token.login, input["body"])
    edge = {"cursor": cursor(comment), "node": comment}
    return {"clientMutationId": input.get("clientMutationId"), "commentEdge": edge, "subject": subject}


@TABLE.of("Mutation.updateIssueComment")
def _update_comment(_: Any, context: Context, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002  # GitHub's name
    comment = node_of_kind(context, input["id"], Comment)
    if not context.visible(comment.subject.repository):
        raise not_found(f"Could not resolve to a node with the global id of '{input['id']}'")
    _check_comment(comment.subject.repository, input["body"])
    comment.body = input["body"]
    comment.updated_at = now()
    return {"clientMutationId": input.get("clientMutationId"), "issueComment": comment}


@TABLE.of("Mutation.deleteIssueComment")
def _delete_comment(_: Any, context: Context, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002  # GitHub's name
    comment = node_of_kind(context, input["id"], Comment)
    if not context.visible(comment.subject.repository):
        raise not_found(f"Could not resolve to a node with the global id of '{input['id']}'")
    comment.subject.comments.remove(comment)
    return {"clientMutationId": input.get("clientMutationId")}


def _check_comment(repository: Repository, body: str) -> None:
    if repository.is_archived:
        raise github_error("FORBIDDEN", "Repository was archived so is read-only.")
    if not body.strip():
        raise github_error("UNPROCESSABLE", "Body cannot be blank")
    if len(body) > _LONGEST_COMMENT:
        raise github_error("UNPROCESSABLE", "Body is too long (maximum is 65536 characters)")


@TABLE.of("PullRequest.labels")
def _labels(pull_request: PullRequest, _: Context, **page: Any) -> dict[str, Any]:
    return connection(pull_request.labels, **page)


@TABLE.of("PullRequest.timelineItems")
def _timeline_items(
    pull_request: PullRequest,
    _: Context,
    itemTypes: list[str] | None = None,  # noqa: N803  # GitHub's name
    **page: Any,
) -> dict[str, Any]:
    kinds = {"LabeledEvent": "LABELED_EVENT", "UnlabeledEvent": "UNLABELED_EVENT"}
    return connection(
        pull_request.label_events, keep=lambda each: itemTypes is None or kinds[each.typename] in itemTypes, **page
    )


@TABLE.of("PullRequest.headRefOid")
def _head_ref_oid(pull_request: PullRequest, context: Context) -> str:
    return context.board.head_oid(pull_request)


@TABLE.of("PullRequest.headRef")
def _head_ref(pull_request: PullRequest, context: Context) -> Ref | None:
    source = pull_request.head_repository
    return find_ref(source, context, f"refs/heads/{pull_request.head_ref_name}") if source else None


@TABLE.of("PullRequest.headRepositoryOwner")
def _head_repository_owner(pull_request: PullRequest, _: Context) -> Owner | None:
    return pull_request.head_repository.owner if pull_request.head_repository else None


@TABLE.of("PullRequest.baseRef")
def _base_ref(pull_request: PullRequest, context: Context) -> Ref | None:
    return find_ref(pull_request.repository, context, f"refs/heads/{pull_request.base_ref_name}")


@TABLE.of("PullRequest.baseRepository")
def _base_repository(pull_request: PullRequest, _: Context) -> Repository:
    return pull_request.repository
