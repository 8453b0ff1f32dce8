"""One comment of ours on an issue or pull request, found by a hidden marker and updated in place, never a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.github.queries import ADD_COMMENT, FIND_COMMENTS, UPDATE_COMMENT

if TYPE_CHECKING:
    from kiro_worker.github.client import GitHubSession

_LONGEST_BODY: Final = 60_000
"""GitHub refuses bodies above 65,536 characters."""


async def put_comment(session: GitHubSession, subject_id: str, body: str, execution_arn: str) -> str:
    """Write ``body`` as our comment on the subject and return its URL. Safe to repeat: it looks before it adds."""
    # Up to the execution's name: every run of this deployment updates the same comment, another deployment has its own.
    deployment, _, execution = execution_arn.rpartition(":")
    marker = f"<!-- kiro-worker {deployment}:"
    text = f"{marker}{execution} -->\n{body[:_LONGEST_BODY]}"
    before = None
    while True:
        data = await session.query(FIND_COMMENTS, {"subjectId": subject_id, "before": before})
        comments = (data.get("node") or {}).get("comments")
        if comments is None:
            return ""
        for comment in reversed(comments["nodes"]):
            # Somebody else's comment that quotes or forges the marker is left alone.
            if comment["viewerDidAuthor"] and comment["body"].startswith(marker):
                if comment["body"] != text:
                    await session.mutate(UPDATE_COMMENT, {"commentId": comment["id"], "body": text})
                return str(comment["url"])
        if not comments["pageInfo"]["hasPreviousPage"]:
            break
        before = comments["pageInfo"]["startCursor"]
    added = await session.mutate(ADD_COMMENT, {"subjectId": subject_id, "body": text})
    return str(added["addComment"]["commentEdge"]["node"]["url"])
