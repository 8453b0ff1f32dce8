"""A ``.git`` for the agent or the tests, where ``git status``, ``diff``, ``log`` and ``commit`` work.

It is written file by file, so that no git command of the worker ever reads it. :mod:`lent_objects
<kiro_worker.runner.repository.lent_objects>` explains which objects it has.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kiro_worker.runner.repository.attributes import keep_bytes
from kiro_worker.runner.repository.lent_objects import borrow_objects
from kiro_worker.runner.repository.lent_references import lent_references

if TYPE_CHECKING:
    from pathlib import Path

    from kiro_worker.runner.repository.git import Git
    from kiro_worker.runner.request import BuildRequest


def create_agent_repository(git: Git, request: BuildRequest, excluded: tuple[str, ...] = ()) -> None:
    """Create ``.git`` in the work tree of ``git``, with HEAD at the commit of ``request``.

    ``excluded`` are files in the checkout that the agent must not commit.
    """
    repository = git.work_tree / ".git"
    for folder in ("objects/info", "objects/pack", "refs/heads", "info"):
        (repository / folder).mkdir(parents=True)
    reference = repository / "refs" / "heads" / request.branch
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(f"{request.commit}\n")
    (repository / "HEAD").write_text(f"ref: refs/heads/{request.branch}\n")
    borrow_objects(git, repository, request.commit)
    _write_references(git, repository)
    never_committed = (git.directory / "info" / "exclude").read_text("utf-8", "surrogateescape")
    (repository / "info" / "exclude").write_text(
        never_committed + "".join(f"/{path}\n" for path in excluded), "utf-8", "surrogateescape"
    )
    keep_bytes(repository)
    (repository / "config").write_text(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tsymlinks = true\n[gc]\n\tauto = 0\n"
        f"[user]\n\tname = {_quoted(git.author.name)}\n\temail = {_quoted(git.author.address)}\n"
        f'[remote "origin"]\n\turl = {git.url}\n'
        # So that `git status` compares pointers with files. Objects that only the server has stay pointers.
        + ('[filter "lfs"]\n\tprocess = git-lfs filter-process --skip\n\trequired = false\n' if git.lfs else "")
    )
    shutil.copy(git.index, repository / "index")


def _write_references(git: Git, repository: Path) -> None:
    """Write tags and the base to ``packed-refs``, and which branch of the server is the default one."""
    references = lent_references(git)
    lines = ["# pack-refs with: peeled fully-peeled sorted "]
    for name, (oid, commit) in sorted(references.items()):
        lines += [f"{oid} {name}", *([f"^{commit}"] if commit != oid else [])]
        if name.startswith("refs/remotes/origin/"):
            head = repository / "refs" / "remotes" / "origin" / "HEAD"
            head.parent.mkdir(parents=True)
            head.write_text(f"ref: {name}\n")
    if references:
        (repository / "packed-refs").write_text("".join(f"{line}\n" for line in lines))


def _quoted(value: str) -> str:
    """Return ``value``, which is one line, as git's configuration reads it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
