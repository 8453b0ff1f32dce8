"""The references besides its branch that the repository of the agent and the tests has: tags, and the base.

Tools derive versions from tags (setuptools-scm), and compare the branch with its base (diff-cover, ``nx affected``).
Only tags of the commit's own history are shown, and ``origin/<default branch>`` is where the branch left it, so that no
object of another branch can be read there. What such tools compare with is the same commit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.repository.git import GitFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kiro_worker.runner.repository.git import Git

LENT: Final = "refs/kiro-worker/lent/"
_MOST_TAGS: Final = 50
_DEEPER: Final = 450
"""How many more commits are fetched if no tag is among the first, without the contents of their files."""
_MOST_FILES: Final = 5_000
_TAG: Final = re.compile(r"^([0-9a-f]{40})\t(refs/tags/\S+)$", re.MULTILINE)
_HEAD: Final = re.compile(r"^ref: refs/heads/(\S+)\tHEAD$", re.MULTILINE)
_PLAIN: Final = re.compile(
    r"(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)|\.(?:/|$)|/\.))[A-Za-z0-9_@][A-Za-z0-9._+@/-]{0,200}(?<!/)"
)


def keep_references(git: Git, commit: str, default: str, options: list[str]) -> None:
    """Fetch what the references need that ``commit`` does not reach, and keep them in the trusted repository.

    ``options`` are those of the fetches of this checkout. A reference that cannot be fetched is left out, because few
    projects need any.
    """
    try:
        listed = git.network("ls-remote", "--symref", "origin", "HEAD", "refs/tags/*")
        _keep_tags(git, commit, dict(_tags(listed)), options)
        if (name := _HEAD.search(listed)) and _PLAIN.fullmatch(name[1]):
            _keep_base(git, commit, default, f"{LENT}remotes/origin/{name[1]}", options)
    except GitFailed:
        return


def lent_references(git: Git) -> dict[str, tuple[str, str]]:
    """Return the object and the commit of each reference, under its name in the lent repository."""
    lines = git.text("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", LENT).splitlines()
    found = (line.split() for line in lines if line.startswith(LENT))
    return {f"refs/{words[0].removeprefix(LENT)}": (words[1], words[-1]) for words in found if len(words) > 1}


def _tags(listed: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the name of each tag, its object, and its commit."""
    objects = {name: oid for oid, name in _TAG.findall(listed)}
    for name, oid in objects.items():
        if not name.endswith("^{}") and _PLAIN.fullmatch(name.removeprefix("refs/tags/")):
            yield name, (oid, objects.get(f"{name}^{{}}", oid))


def _keep_tags(git: Git, commit: str, tags: Mapping[str, tuple[str, str]], options: list[str]) -> None:
    if not tags:
        return
    found = _tags_in_history(git, commit, tags)
    if not found and (git.directory / "shallow").is_file():
        git.network("fetch", "--quiet", "--no-tags", f"--deepen={_DEEPER}", *options, "origin", commit)
        found = _tags_in_history(git, commit, tags)
    if found:
        refspecs = [f"+{name}:{LENT}{name.removeprefix('refs/')}" for name in found]
        git.network("fetch", "--quiet", "--no-tags", *options, "origin", *refspecs)


def _tags_in_history(git: Git, commit: str, tags: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return the tags of the newest commits that have one."""
    by_commit: dict[str, list[str]] = {}
    for name, (_, tagged) in tags.items():
        by_commit.setdefault(tagged, []).append(name)
    history = git.text("rev-list", commit).split()
    return [name for known in history for name in by_commit.get(known, ())][:_MOST_TAGS]


def _keep_base(git: Git, commit: str, default: str, reference: str, options: list[str]) -> None:
    if not default or not git.succeeds("merge-base", default, commit):
        return
    base = git.text("merge-base", default, commit)
    listed = git.text("rev-list", "--objects", "--missing=print", f"{base}^{{tree}}").splitlines()
    missing = [line[1:] for line in listed if line.startswith("?")]
    if len(missing) > _MOST_FILES:
        return
    if missing:
        git.fetch_objects(missing, *options)
    git.run("update-ref", reference, base)
