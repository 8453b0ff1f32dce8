"""The objects that the repositories of the agent and the tests have: what their commit reaches, and nothing else.

The trusted repository also has other branches, earlier checkpoints, files that the guard refused, and commits that the
agent dropped. Any program that knows a hash could read them there, and tests could pass that fail in a clone of the
pushed commit. So what the pinned commit reaches is copied once, to a repository that other users may read and that the
others borrow from. What a later commit adds is copied to the repository of that commit. Contents that the partial clone
left on the server stay there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kiro_worker.runner.repository.lent_references import lent_references

if TYPE_CHECKING:
    from kiro_worker.runner.repository.git import Git


def lend_objects(git: Git, commit: str) -> None:
    """Copy what ``commit`` reaches to the repository that the others borrow from."""
    lent = _lent(git)
    for folder in (lent, lent / "objects", lent / "objects" / "pack"):
        folder.mkdir()
        folder.chmod(0o755)
    tags = (oid for oid, _ in lent_references(git).values())
    _copy_objects(git, "".join(f"{oid}\n" for oid in (commit, *tags)), lent / "objects")
    for file in (lent / "objects" / "pack").iterdir():
        file.chmod(0o444)
    (lent / "HEAD").write_text(f"{commit}\n")
    (lent / "shallow").write_text(_shallow(git.directory))


def open_lent_objects(git: Git) -> None:
    """Let other users read the objects, after everything in the workspace was closed to them."""
    _lent(git).chmod(0o755)


def borrow_objects(git: Git, repository: Path, commit: str) -> None:
    """Give the new ``repository`` all objects that ``commit`` reaches."""
    lent = _lent(git)
    (repository / "objects" / "info" / "alternates").write_text(f"{lent / 'objects'}\n")
    _copy_objects(git, f"{commit}\n^{(lent / 'HEAD').read_text()}", repository / "objects")
    # History that was fetched later is not among the lent objects, so it still ends where it ended then.
    ends = {*_shallow(lent).splitlines(), *_shallow(git.directory).splitlines()}
    if ends:
        (repository / "shallow").write_text("".join(f"{end}\n" for end in sorted(ends)))


def _lent(git: Git) -> Path:
    return git.directory.parent / "lent.git"


def _copy_objects(git: Git, revisions: str, objects: Path) -> None:
    """Copy the objects of ``revisions``, without those that are on the server alone, to the folder ``objects``."""
    options = ("--revs", "--missing=allow-any", "--non-empty", "--window=0", "--quiet")
    git.run("pack-objects", *options, str(objects / "pack" / "pack"), stdin=revisions.encode())


def _shallow(repository: Path) -> str:
    """Return the commits at which the history of ``repository`` ends; empty if it is complete."""
    file = repository / "shallow"
    return file.read_text() if file.is_file() else ""
