"""Proves that git can lay out a commit's files and commit them again unchanged, and that no link leads out of them.

Trees on a server can hold what git refuses to write (``.git``, ``..``, names that are too long) or cannot represent in
an index (the same name twice, a file and a folder with the same name), and ``.gitattributes`` can name encodings that
do not exist. Without this proof, the first commit after the agent's turn would fail or differ, and the agent would be
blamed. The gate proves it again for the commit that is to be pushed, because a rebase can combine harmless files into
harmful ones: a link, and a link on its path.
"""

from __future__ import annotations

import ctypes
import re
import shutil
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.repository.entries import SYMLINK, TreeEntry, decode_path, encode_path, list_tree
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.git_causes import Cause
from kiro_worker.runner.sandbox.printable import listed, printable_name
from kiro_worker.runner.sandbox.untrusted_files import leads_out

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kiro_worker.runner.repository.git import Git
    from kiro_worker.runner.request import BuildRequest

_ENCODING: Final = "working-tree-encoding"
_NO_ENCODING: Final = ("unspecified", "unset", "set", "")
_SHOWN: Final = 10
_FIX: Final = (
    "correct these entries on the branch and push it (names such as .git, .. or those that are too long, entries that"
    " exist twice, and encodings in .gitattributes that do not exist), then move the card back"
)


def is_local(failure: GitFailed) -> bool:
    """Return whether a checkout failed although the server sent everything, so that another fetch cannot help."""
    return failure.answer.cause is Cause.OTHER and "promisor remote" not in failure.error


def cannot_lay_out(request: BuildRequest, failure: GitFailed) -> BuildStopped:
    """Return the error for a fetched commit whose files git cannot write."""
    return _rejected(request, "cannot be checked out", failure.answer.quote, failure.error)


def require_sound_layout(git: Git, request: BuildRequest) -> None:
    """Raise :class:`BuildStopped` (CheckoutFailed) if the commit of ``request`` must not be laid out or pushed.

    Its files have just been written to the work tree of ``git``, and nothing else is there.
    """
    entries = list_tree(git, request.commit)
    if links := symlinks_leaving_tree(git, entries):
        shown = ", ".join(map(ascii, links[:_SHOWN]))
        raise BuildStopped(
            Outcome.CHECKOUT_FAILED,
            f"symbolic links of {request.branch} at {request.commit[:12]} leave the repository: {shown}",
            "replace them with links to files in the repository, or with the files themselves",
        )
    _require_known_encodings(git, request, entries)
    _require_same_tree(git, request)


def symlinks_leaving_tree(git: Git, entries: Iterable[TreeEntry]) -> tuple[str, ...]:
    """Return the symbolic links among ``entries``, all laid out, that lead out of the work tree or into ``.git``."""
    links = (entry.path for entry in entries if entry.mode == SYMLINK)
    return tuple(link for link in links if leads_out(git.work_tree, git.work_tree / link))


def _require_same_tree(git: Git, request: BuildRequest) -> None:
    """Raise :class:`BuildStopped` (CheckoutFailed) if committing the files as they were laid out changes the tree.

    A copy of the fresh index serves, so that git reads hardly any file again. Attributes change no contents, because
    :mod:`kiro_worker.runner.repository.attributes` turns them off.
    """
    index = git.directory / "layout-index"
    try:
        # With its time, by which git recognizes files that are too new to be trusted.
        shutil.copy2(git.index, index)
        with_index = {"GIT_INDEX_FILE": str(index)}
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
        raise _rejected(request, "would change by being committed again", listed(names, str))


def _require_known_encodings(git: Git, request: BuildRequest, entries: Iterable[TreeEntry]) -> None:
    """Raise :class:`BuildStopped` (CheckoutFailed) if the branch names an encoding that does not exist.

    The worker converts nothing, but nobody else could commit such files.
    """
    files = [entry.path for entry in entries if entry.is_regular_file]
    if not any(path.rpartition("/")[2] == ".gitattributes" for path in files):
        return
    # A repository without the worker's own info/attributes, which hide those of the branch.
    plain = git.with_paths(directory=git.directory / "attributes.git")
    for folder in ("objects", "refs"):
        (plain.directory / folder).mkdir(parents=True, exist_ok=True)
    (plain.directory / "HEAD").write_text("ref: refs/heads/none\n")
    objects = {"GIT_OBJECT_DIRECTORY": str(git.directory / "objects")}
    names = b"".join(encode_path(path) + b"\0" for path in files)
    answer = plain.run("check-attr", "-z", "--cached", "--stdin", _ENCODING, stdin=names, environment=objects)
    fields = iter(decode_path(answer).split("\0")[:-1])
    wanted = {value: path for path, _, value in zip(fields, fields, fields, strict=True)}
    for encoding, path in wanted.items():
        if encoding not in _NO_ENCODING and not _is_known(encoding):
            named = f"{_ENCODING}={printable_name(encoding)} of {printable_name(path)} does not exist"
            raise _rejected(request, "cannot be committed again", named)


def _is_known(encoding: str) -> bool:
    """Return whether iconv, which git uses, knows the encoding. Git itself knows a few with a byte order mark."""
    name = re.sub(r"^(UTF-?(?:16|32)(?:LE|BE)?)-BOM$", r"\1", encoding, flags=re.IGNORECASE)
    try:
        iconv_open = ctypes.CDLL(None).iconv_open
    except (AttributeError, OSError, TypeError):
        return True
    iconv_open.restype = ctypes.c_void_p
    return bool(iconv_open(b"UTF-8", encode_path(name)) != ctypes.c_void_p(-1).value)


def _rejected(request: BuildRequest, problem: str, named: str, details: str = "") -> BuildStopped:
    reason = f"the files of {request.branch} at {request.commit[:12]} {problem}: {named}"
    return BuildStopped(Outcome.CHECKOUT_FAILED, reason, _FIX, details, FaultOwner.REPOSITORY)
