"""Submodules, where the configuration asks for them: their files for the agent and the tests, and nothing of them in a
commit.

git's own ``submodule`` command is never run: it takes names, folders and commands from ``.gitmodules``. Of that file,
which the guard holds to the default branch's, only ``path`` and ``url`` are read. A URL is one of a repository
``owner/name`` on the same server, absolute or relative, and is written anew from these two words; the commit is the one
that the pinned tree names. Each submodule is fetched into a bare repository of its own, and its files are laid out as
plain files, without a ``.git``. A submodule's own submodules are left out.

To ``git add`` of the worker a gitlink's folder without a ``.git`` is opaque, so that what the agent changes there goes
nowhere. Before every turn, before what it left is committed, and before the tests the folder is as the commit has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.checkout import links_leading_out
from kiro_worker.runner.repository.git import Git, GitFailed
from kiro_worker.runner.sandbox.untrusted_files import empty_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kiro_worker.models import GitCredentials
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.trust.guard import Guard

FILE: Final = ".gitmodules"
MOST: Final = 50
_LARGEST_FILE: Final = 256 * 1024
_GITLINK: Final = "160000"
_OWNER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Source:
    """Where submodules are fetched to and from. ``repository`` is the one that has them, ``owner/name``."""

    folder: Path
    git_url: str
    repository: str
    credentials: GitCredentials
    parent: Mapping[str, str]


@dataclass(frozen=True)
class Submodules:
    """By the folder in the checkout: the repository that has its files in the index."""

    repositories: Mapping[str, Git]

    def materialize(self, checkout: Checkout) -> None:
        """As the commit has them, whatever is there."""
        for path, git in self.repositories.items():
            empty_folder(checkout.folder, path)
            git.run("checkout-index", "--all", "--force", "--quiet", in_work_tree=True)


def load_submodules(checkout: Checkout, default: str, source: Source, guard: Guard) -> Submodules:
    """Fetch those of the pinned commit. ``default`` is the default branch's commit. Raises :class:`BuildStopped`:
    CheckoutFailed, and GuardTripped for a submodule that brings other files that steer the agent than the default
    branch's has.
    """
    gitlinks = _gitlinks(checkout.git, checkout.commit)
    if not gitlinks:
        return Submodules({})
    if len(gitlinks) > MOST:
        raise _refused(f"there are {len(gitlinks)} submodules, and {MOST} are the most")
    urls, earlier = _urls(checkout), _gitlinks(checkout.git, default)
    repositories = {}
    for number, (path, commit) in enumerate(sorted(gitlinks.items())):
        if path not in urls:
            raise _refused(f"{FILE} has no url for the submodule {path!a}")
        url = f"{source.git_url}/{repository_of(path, urls[path], source)}.git"
        git = Git(
            source.folder / "submodules" / f"{number}.git",
            work_tree=checkout.folder / path,
            home=source.folder / "git-home",
            url=url,
            credentials=source.credentials,
            parent=source.parent,
        )
        before = earlier.get(path, "")
        _fetch(git, path, *{commit, before or commit})
        if before != commit:
            guard.require_trusted_submodule(git, path, before, commit)
        empty_folder(checkout.folder, path)
        _populate(git, path, commit)
        repositories[path] = git
    return Submodules(repositories)


def _gitlinks(git: Git, commit: str) -> dict[str, str]:
    entries = git.run("ls-tree", "-r", "-z", commit).decode(errors="surrogateescape").split("\0")
    split = (entry.partition("\t") for entry in entries if entry.startswith(_GITLINK))
    return {path: facts.split()[2] for facts, _, path in split}


def _urls(checkout: Checkout) -> dict[str, str]:
    """``url`` by ``path``, as ``.gitmodules`` of the pinned commit has them."""
    git = checkout.git
    entry = git.text("ls-tree", checkout.commit, "--", FILE).split()
    if len(entry) < 3 or entry[0] not in ("100644", "100755"):
        raise _refused(f"{FILE} is not a file")
    if int(git.text("cat-file", "-s", entry[2])) > _LARGEST_FILE:
        raise _refused(f"{FILE} is larger than {_LARGEST_FILE // 1024} KB")
    try:
        # With --blob git follows no include.
        output = git.run("config", f"--blob={entry[2]}", "-z", "--list").decode(errors="surrogateescape")
    except GitFailed as failure:
        raise _refused(f"{FILE} cannot be read", failure.error) from None
    values: dict[str, dict[str, str]] = {}
    for line in output.split("\0"):
        key, _, value = line.partition("\n")
        section, _, variable = key.rpartition(".")
        if section.startswith("submodule."):
            values.setdefault(section, {})[variable] = value
    return {one["path"]: one["url"] for one in values.values() if "path" in one and "url" in one}


def repository_of(path: str, url: str, source: Source) -> str:
    """``owner/name`` of a URL on the same server. Everything else is refused by name: another server, another protocol,
    a remote helper, a local path, credentials.
    """
    refusal = _refused(
        f"the submodule {path!a} is to come from {url[:200]!a}, which is no repository of {source.git_url}"
    )
    if url.startswith(("./", "../")):
        parts = source.repository.split("/")
        for part in url.rstrip("/").split("/"):
            if part == ".." and not parts:
                raise refusal
            parts = parts[:-1] if part == ".." else [*parts, part] if part != "." else parts
    elif url.startswith(f"{source.git_url}/"):
        parts = url.removeprefix(f"{source.git_url}/").rstrip("/").split("/")
    else:
        raise refusal
    owner, name = parts if len(parts) == 2 else ("", "")
    name = name.removesuffix(".git")
    if not _OWNER.fullmatch(owner) or not _NAME.fullmatch(name) or name in (".", ".."):
        raise refusal
    return f"{owner}/{name}"


def _fetch(git: Git, path: str, *commits: str) -> None:
    git.run("init", "--bare", "--quiet", "--template=", str(git.directory))
    git.run("config", "remote.origin.url", git.url)
    try:
        git.network("fetch", "--quiet", "--no-tags", "--depth=1", "origin", *commits)
    except GitFailed as failure:
        raise BuildStopped(
            Outcome.CHECKOUT_FAILED,
            f"the submodule {path!a} cannot be fetched from {git.url} at {' and '.join(commits)}",
            "check that the commit is pushed there, and that the git credentials may read that repository",
            failure.error,
        ) from None


def _populate(git: Git, path: str, commit: str) -> None:
    try:
        git.run("read-tree", "--reset", "-u", commit, in_work_tree=True)
    except GitFailed as failure:
        raise _refused(f"the submodule {path!a} cannot be laid out", failure.error) from None
    if links := links_leading_out(git, commit):
        raise _refused(f"symbolic links of the submodule {path!a} leave it: {', '.join(map(ascii, links[:10]))}")


def _refused(reason: str, details: str = "") -> BuildStopped:
    return BuildStopped(Outcome.CHECKOUT_FAILED, reason, f'put {FILE} right, or configure "submodules": false', details)
