"""Proves, before the agent starts, that git can lay out the pinned commit's files and commit them again unchanged.

Trees on a server can hold what git refuses to write (``.git``, ``..``, names that are too long) or cannot represent in
an index (the same name twice, a file and a folder with the same name), and ``.gitattributes`` can name encodings that
do not exist. Without this proof, the first commit after the agent's turn would fail or differ, and the agent would be
blamed.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.repository.entries import decode_path, encode_path, list_tree
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.git_answers import Cause
from kiro_worker.runner.sandbox.printable import printable_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.runner.repository.entries import TreeEntry
    from kiro_worker.runner.repository.git import Git
    from kiro_worker.runner.request import BuildRequest

_CONVERTING: Final = ("text", "crlf", "eol", "ident", "working-tree-encoding")
_SHOWN: Final = 10
_FIX: Final = (
    "correct these entries on the branch and push it (names such as .git, .. or those that are too long, entries that"
    " exist twice, and attributes in .gitattributes that change contents: git add --renormalize .), then move the card"
    " back"
)


def is_local(failure: GitFailed) -> bool:
    """Return whether a checkout failed although the server sent everything, so that another fetch cannot help."""
    return failure.answer.cause is Cause.OTHER and "promisor remote" not in failure.error


def cannot_lay_out(request: BuildRequest, failure: GitFailed) -> BuildStopped:
    """Return the error for a fetched commit whose files git cannot write."""
    return _rejected(request, "cannot be checked out", failure.answer.quote, failure.error)


def require_same_tree(git: Git, request: BuildRequest) -> None:
    """Raise :class:`BuildStopped` (CheckoutFailed) if committing the files as they were laid out changes the tree.

    A copy of the fresh index serves, so that git reads again only those files whose contents an attribute may change.
    """
    index = git.directory / "layout-index"
    try:
        # With its time, by which git recognises files that are too new to be trusted.
        shutil.copy2(git.directory / "index", index)
        with_index = {"GIT_INDEX_FILE": str(index)}
        if unproven := _converted(git, list_tree(git, request.commit)):
            lines = b"".join(entry.index_line + b"\0" for entry in unproven)
            git.run("update-index", "-z", "--index-info", stdin=lines, in_work_tree=True, environment=with_index)
        git.run("add", "--all", in_work_tree=True, environment=with_index)
        tree = git.run("write-tree", environment=with_index).decode().strip()
        if tree == git.text("rev-parse", f"{request.commit}^{{tree}}"):
            return
        different = decode_path(git.run("diff-tree", "-r", "-z", "--name-only", request.commit, tree)).split("\0")
    except GitFailed as failure:
        raise _rejected(request, "cannot be committed again", failure.answer.quote, failure.error) from None
    finally:
        index.unlink(missing_ok=True)
    # The trees can differ without any difference in their entries: early versions of git wrote the mode 100664, too.
    if names := sorted({printable_name(name) for name in different if name}):
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise _rejected(request, "would change by being committed again", ", ".join(names[:_SHOWN]) + more)


def _converted(git: Git, entries: list[TreeEntry]) -> list[TreeEntry]:
    """Return the files whose contents an attribute may change between the commit and the work tree.

    Without ``.gitattributes`` there are none, because the worker's own configuration converts nothing.
    """
    if not any(entry.path.rpartition("/")[2] == ".gitattributes" for entry in entries):
        return []
    files = {entry.path: entry for entry in entries if entry.is_regular_file}
    names = b"".join(encode_path(path) + b"\0" for path in files)
    answer = git.run("check-attr", "-z", "--cached", "--stdin", *_CONVERTING, stdin=names, in_work_tree=True)
    values: dict[str, dict[str, str]] = {}
    fields = iter(decode_path(answer).split("\0")[:-1])
    for path, attribute, value in zip(fields, fields, fields, strict=True):
        values.setdefault(path, {})[attribute] = value
    return [files[path] for path, attributes in values.items() if _converts(attributes)]


def _converts(attributes: Mapping[str, str]) -> bool:
    """Return whether these attributes may change contents. With ``text=auto``, git itself avoids a change.

    https://git-scm.com/docs/gitattributes#_text
    """
    off = ("unspecified", "unset")
    if attributes["working-tree-encoding"] not in off or attributes["ident"] == "set":
        return True
    if attributes["text"] == "unspecified":
        return attributes["eol"] not in off or attributes["crlf"] in ("set", "input")
    return attributes["text"] not in ("auto", "unset")


def _rejected(request: BuildRequest, problem: str, named: str, details: str = "") -> BuildStopped:
    reason = f"the files of {request.branch} at {request.commit[:12]} {problem}: {named}"
    return BuildStopped(Outcome.CHECKOUT_FAILED, reason, _FIX, details, FaultOwner.REPOSITORY)
