"""Submodules, where the configuration enables them: their files for the agent and the tests, none of them in a commit.

git's own ``submodule`` command never runs, because it takes names, folders and commands from ``.gitmodules``. Of that
file, which the guard compares with the default branch's, only ``path`` and ``url`` are read. A URL, absolute or
relative, must name a repository ``owner/name`` on the same server, and is rebuilt from these two parts; the commit is
the one in the pinned tree. Each submodule is fetched into its own bare repository and checked out as plain files,
without a ``.git``. Nested submodules are left out.

The worker's ``git add`` treats a gitlink's folder without a ``.git`` as opaque, so that changes in it are never
committed. The folder is restored to its commit before every turn, before a turn's work is committed, and before the
tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.attributes import keep_bytes
from kiro_worker.runner.repository.entries import GITLINK, SYMLINK, decode_path, find_entry, list_tree
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import Git, GitFailed
from kiro_worker.runner.repository.git_causes import TRANSIENT
from kiro_worker.runner.repository.layout import symlinks_leaving_tree
from kiro_worker.runner.sandbox.untrusted_files import empty_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kiro_worker.models import GitCredentials
    from kiro_worker.runner.repository.checkout import Checkout

FILE: Final = ".gitmodules"
MAX_SUBMODULES: Final = 50
_MAX_FILE_BYTES: Final = 256 * 1024
_OWNER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Source:
    """Where submodules come from, and the ``folder`` for their repositories.

    ``repository`` is the parent's name, ``owner/name``.
    """

    folder: Path
    git_url: str
    repository: str
    credentials: GitCredentials
    parent: Mapping[str, str]


class RequireTrusted(Protocol):
    """Raises :class:`BuildStopped` if a guarded file of the submodule at ``path`` differs from all earlier commits.

    ``before`` are those commits, each empty if the trusted version has no submodule there.
    """

    def __call__(self, git: Git, path: str, before: Sequence[str], after: str) -> None: ...


@dataclass(frozen=True)
class Submodules:
    """Maps each submodule's folder in the checkout to the repository whose index holds its files."""

    repositories: Mapping[str, Git]

    def materialize(self, checkout: Checkout) -> None:
        """Replace the contents of the folders with the files of the pinned commits."""
        for path, git in self.repositories.items():
            empty_folder(checkout.folder, path)
            git.run("checkout-index", "--all", "--force", "--quiet", in_work_tree=True)


def load_submodules(
    checkout: Checkout, trusted: Sequence[Mapping[str, str]], source: Source, require_trusted: RequireTrusted
) -> Submodules:
    """Fetch the submodules of the pinned commit and check them out.

    ``trusted`` are the submodules' commits by path, of the default branch and of where the pinned commit left it.
    Raises :class:`BuildStopped`: CheckoutFailed, or GuardTripped for a submodule whose steering files differ from those
    on the default branch.
    """
    gitlinks = _gitlinks(checkout.git, checkout.commit)
    if not gitlinks:
        return Submodules({})
    if len(gitlinks) > MAX_SUBMODULES:
        raise _rejected(f"{checkout.branch} has {len(gitlinks)} submodules, and the limit is {MAX_SUBMODULES}")
    urls = _urls(checkout)
    repositories = {}
    for number, (path, commit) in enumerate(sorted(gitlinks.items())):
        if path not in urls:
            raise _rejected(f"{FILE} has no url for the submodule {path!a}")
        git = Git(
            source.folder / "submodules" / f"{number}.git",
            work_tree=checkout.folder / path,
            home=source.folder / "git-home",
            url=f"{source.git_url}/{repository_of(path, urls[path], source)}.git",
            credentials=source.credentials,
            parent=source.parent,
        )
        before = list(dict.fromkeys(version.get(path, "") for version in trusted))
        if commit in before:
            _fetch(git, path, commit)
        else:
            _fetch(git, path, commit)
            require_trusted(git, path, [each for each in before if not each or _can_fetch(git, each)], commit)
        empty_folder(checkout.folder, path)
        _populate(git, path, commit)
        repositories[path] = git
    return Submodules(repositories)


def _gitlinks(git: Git, commit: str) -> dict[str, str]:
    """Return the submodules of ``commit``: path to pinned commit."""
    return {entry.path: entry.oid for entry in list_tree(git, commit, GITLINK)}


def _urls(checkout: Checkout) -> dict[str, str]:
    """Return the submodules in the pinned commit's ``.gitmodules``: path to URL."""
    git = checkout.git
    entry = find_entry(git, checkout.commit, FILE)
    if entry is None or not entry.is_regular_file:
        raise _rejected(f"{FILE} is not a file")
    if int(git.text("cat-file", "-s", entry.oid)) > _MAX_FILE_BYTES:
        raise _rejected(f"{FILE} is larger than {_MAX_FILE_BYTES // 1024} KB")
    try:
        # With --blob, git follows no includes.
        output = decode_path(git.run("config", f"--blob={entry.oid}", "-z", "--list"))
    except GitFailed as failure:
        raise _rejected(f"{FILE} cannot be read", failure.error) from None
    sections: dict[str, dict[str, str]] = {}
    for line in output.split("\0"):
        key, _, value = line.partition("\n")
        section, _, variable = key.rpartition(".")
        if section.startswith("submodule."):
            sections.setdefault(section, {})[variable] = value
    return {values["path"]: values["url"] for values in sections.values() if "path" in values and "url" in values}


def repository_of(path: str, url: str, source: Source) -> str:
    """Return ``owner/name`` of a URL on the same server.

    Raises :class:`BuildStopped` for anything else: another server or protocol, a remote helper, a local path or
    credentials.
    """
    error = _rejected(
        f"the submodule {path!a} has the url {url[:200]!a}, which is not a repository on {source.git_url}"
    )
    if url.startswith(("./", "../")):
        parts = source.repository.split("/")
        for part in url.rstrip("/").split("/"):
            if part == ".." and not parts:
                raise error
            parts = parts[:-1] if part == ".." else [*parts, part] if part != "." else parts
    elif url.startswith(f"{source.git_url}/"):
        parts = url.removeprefix(f"{source.git_url}/").rstrip("/").split("/")
    else:
        raise error
    owner, name = parts if len(parts) == 2 else ("", "")
    name = name.removesuffix(".git")
    if not _OWNER.fullmatch(owner) or not _NAME.fullmatch(name) or name in (".", ".."):
        raise error
    return f"{owner}/{name}"


def _can_fetch(git: Git, commit: str) -> bool:
    """Fetch an earlier commit, and return whether the server still has it. Without it, less is trusted."""
    try:
        git.network("fetch", "--quiet", "--no-tags", "--depth=1", "origin", commit)
    except GitFailed as failure:
        if failure.answer.cause in TRANSIENT:
            raise
        return False
    return True


def _fetch(git: Git, path: str, commit: str) -> None:
    git.run("init", "--bare", "--quiet", "--template=", str(git.directory))
    git.run("config", "remote.origin.url", git.url)
    keep_bytes(git.directory)
    try:
        git.network("fetch", "--quiet", "--no-tags", "--depth=1", "origin", commit)
    except GitFailed as failure:
        raise stop_because(
            failure,
            Outcome.CHECKOUT_FAILED,
            f"the submodule {path!a} cannot be fetched from {git.url} at {commit}",
            "check that the commit is pushed there, and that the git credentials can read that repository",
        ) from None


def _populate(git: Git, path: str, commit: str) -> None:
    try:
        git.run("read-tree", "--reset", "-u", commit, in_work_tree=True)
    except GitFailed as failure:
        raise _rejected(f"the files of the submodule {path!a} cannot be checked out", failure.error) from None
    if links := symlinks_leaving_tree(git, list_tree(git, commit, SYMLINK)):
        raise _rejected(f"symbolic links of the submodule {path!a} leave it: {', '.join(map(ascii, links[:10]))}")


def _rejected(reason: str, details: str = "") -> BuildStopped:
    remedy = f'correct {FILE}, or set "submodules": false in the configuration'
    return BuildStopped(Outcome.CHECKOUT_FAILED, reason, remedy, details)
