"""The guard: files that can run commands or steer the agent must be the default branch's, which a person reviewed.

Each must be as it is on the default branch, or as it was there when the branch left it: a change on the default branch
stops no branch that is older. The agent sees the files of its branch. It does not start on a branch that changes such
files, and its own changes to them are not kept. A label on the pull request allows both. The guard compares trees, not
text, and usually needs no fetch and no blob.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.checkout import fetch_default_branch
from kiro_worker.runner.repository.entries import GITLINK, SYMLINK, decode_path, encode_path, list_tree
from kiro_worker.runner.repository.fork_points import fork_points
from kiro_worker.runner.sandbox.printable import listed, printable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.labels import Labeling
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.git import Git
    from kiro_worker.runner.request import BuildRequest

_MAX_NAMED: Final = 20
_MAX_LINKS: Final = 100
_CHANGED_BY_AGENT: Final = "the agent changed files that steer an agent or run commands"
_CONTINUE_WITHOUT: Final = (
    "redrive the execution, which continues without these changes (changes.patch of the artifacts shows them)"
)


@dataclass(frozen=True)
class Guard:
    """Compares guarded files of ``request``'s branch.

    ``read_label`` asks GitHub about a label of the pull request, and is called only when a guarded file differs and a
    label is configured. An error that it raises never lets a change pass.
    """

    request: BuildRequest
    configuration: Configuration
    read_label: Callable[[str], Labeling]
    say: Callable[[str], None]

    def require_trusted(self, checkout: Checkout, commit: str = "") -> tuple[str, ...]:
        """Require that the guarded files of the pinned commit, or of ``commit``, are the default branch's.

        Raises :class:`BuildStopped` (GuardTripped) if they are not and no label allows it. Returns the files that
        differ both from the default branch and from where the pinned commit left it.
        """
        changed, outdated = self._compare(checkout, commit or checkout.commit)
        different = tuple(printable_name(decode_path(name)) for name in changed)
        branch = self.request.branch
        self._require_label(
            different,
            lambda: (
                f"{branch} differs from the default branch in files that steer the agent or run commands",
                f"merge the default branch, or undo the changes to these files on {branch}",
            ),
        )
        if outdated:
            names = [printable_name(decode_path(name)) for name in outdated]
            self.say(f"older than on the default branch, as they were when {branch} left it: {_listed(names)}")
        return different

    def require_unchanged(self, checkout: Checkout, before: str, after: str) -> None:
        """Require that the agent left the guarded files of ``before`` as they are.

        A file that it plants would steer the next agent. ``before`` and ``after`` are commits or trees.
        """
        self._require_label(
            different_paths(checkout.git, [before], after, self.configuration.everything_guarded),
            lambda: (_CHANGED_BY_AGENT, _CONTINUE_WITHOUT),
        )

    def trusted_gitlinks(self, checkout: Checkout) -> list[Mapping[str, str]]:
        """Return the submodules' commits by path: of the default branch, and of where the pinned commit left it."""
        default = fetch_default_branch(checkout)
        found = [_gitlinks(checkout.git, default)]
        unknown = _gitlinks(checkout.git, checkout.commit).items() - found[0].items()
        with fork_points(checkout, default) as points:
            while unknown and (point := next(points, None)):
                found.append(_gitlinks(*point))
                unknown -= found[-1].items()
        return list(found)

    def require_trusted_submodule(self, git: Git, path: str, before: Sequence[str], after: str) -> None:
        """Require that each guarded file of the submodule at ``path`` is as in one of the commits ``before``.

        These are the commits of the default branch and of where the branch left it. One is empty when it has no
        submodule there.
        """
        empty_tree = git.run("mktree").decode().strip()
        versions = [commit or empty_tree for commit in before]
        configured = self.configuration.guarded_paths
        guarded = [name for name in configured if "/" not in name]
        guarded += [name.removeprefix(f"{path}/") for name in configured if name.startswith(f"{path}/")]
        self._require_label(
            tuple(f"{path}/{name}" for name in different_paths(git, versions, after, guarded)),
            lambda: (
                f"the submodule {path} differs from the default branch's in files that steer the agent or run commands",
                f"undo the change to {path} on {self.request.branch}",
            ),
        )

    def revert_guarded_paths(self, checkout: Checkout, before: str, after: str) -> str:
        """Return the tree ``after`` with its guarded files as they are in ``before``.

        ``after`` has to be in the index, which then holds the result; the checkout is not touched.
        """
        git, guarded = checkout.git, self.configuration.everything_guarded
        earlier = {encode_path(entry.path): entry.index_line for entry in list_tree(git, before)}
        # Repeated because the target of a restored link is guarded, too.
        while different := _raw_paths(git, before, after, guarded):
            lines = [b"0 " + b"0" * 40 + b"\t" + name for name in different]
            lines += [earlier[name] for name in different if name in earlier]
            git.run("update-index", "-z", "--index-info", stdin=b"".join(line + b"\0" for line in lines))
            after = git.text("write-tree")
        return after

    def _compare(self, checkout: Checkout, commit: str) -> tuple[list[bytes], list[bytes]]:
        """Return the guarded files of ``commit`` that are no version to trust, and those that are an older one."""
        guarded, default = self.configuration.everything_guarded, fetch_default_branch(checkout)
        unlike_default = _raw_paths(checkout.git, default, commit, guarded)
        if not unlike_default:
            return [], []
        # A link from one version may lead to a file that steered nothing in the version which that file is from.
        is_mixable = not _has_guarded_links(checkout.git, commit, guarded)
        changed = unlike_default
        with fork_points(checkout, default) as points:
            for git, point in points:
                unlike_point = set(_raw_paths(git, point, commit, guarded))
                if is_mixable:
                    changed = [name for name in changed if name in unlike_point]
                elif not unlike_point:
                    changed = []
                if not changed:
                    break
        return changed, [name for name in unlike_default if name not in changed]

    def _require_label(self, different: tuple[str, ...], explain: Callable[[], tuple[str, str]]) -> None:
        """Require the label if there are ``different`` paths. ``explain`` returns the finding and the remedy."""
        if not different:
            return
        label, problem = self.configuration.guard_label, ""
        if label is not None:
            labeling = self.read_label(label)
            if labeling.added_by:
                self.say(f'{labeling.added_by} set the label "{label}", which allows changes to {_listed(different)}')
                return
            problem = f'; the label "{label}" does not allow this: {labeling.problem}'
        finding, remedy = explain()
        alternative = (
            f'have a person with write access set the label "{label}" on the pull request, and redrive the execution'
            if label is not None
            else 'configure a "guardLabel", which allows the change once it is on the pull request'
        )
        raise BuildStopped(
            Outcome.GUARD_TRIPPED,
            f"{finding}: {_listed(different)}{problem}",
            f"{remedy}; or review them and {alternative}",
        )


def different_paths(git: Git, versions: Sequence[str], commit: str, guarded: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the guarded files of ``commit`` that differ from all ``versions``, which are other commits.

    A guarded path with a slash is one file or folder. Without a slash it is a name in any folder, because agents read
    ``AGENTS.md`` wherever it is. Where the file or a folder above it is a symbolic link, the link's target is guarded,
    too.
    """
    # Without a version that is still known, everything differs.
    known = versions or [git.run("mktree").decode().strip()]
    first, *others = (_raw_paths(git, version, commit, guarded) for version in known)
    return tuple(printable_name(decode_path(name)) for name in first if all(name in other for other in others))


def _raw_paths(git: Git, default: str, commit: str, guarded: Sequence[str]) -> list[bytes]:
    if not guarded:
        return []
    specs = [spec for path in _with_targets(git, commit, guarded) for spec in _pathspecs(path)]
    names = git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", default, commit, "--", *specs)
    return [name for name in names.split(b"\0") if name]


def _with_targets(git: Git, commit: str, guarded: Sequence[str]) -> list[str]:
    links = _links(git, commit)
    paths = list(guarded)
    for path in paths:  # the list grows during the loop
        for link in links:
            found = [link, *_targets(git, links, link, path)] if _concerns(link, path) else []
            # "./" because a path without a slash would mean that name in any folder.
            anchored = (f"./{name}" if "/" not in name else name for name in found)
            paths += [name for name in anchored if name not in paths]
        if len(paths) > _MAX_LINKS + len(guarded):
            break
    return paths


def _has_guarded_links(git: Git, commit: str, guarded: Sequence[str]) -> bool:
    return any(_concerns(link, path) for link in _links(git, commit) for path in guarded)


def _gitlinks(git: Git, commit: str) -> dict[str, str]:
    return {entry.path: entry.oid for entry in list_tree(git, commit, GITLINK)}


def _concerns(link: str, path: str) -> bool:
    """Return whether the link is the guarded path, below it, or a folder above it."""
    if "/" not in path:
        return path in link.split("/")
    anchored = path.removeprefix("./")
    return f"{link}/".startswith(f"{anchored}/") or anchored.startswith(f"{link}/")


def _targets(git: Git, links: dict[str, str], link: str, path: str) -> list[str]:
    text = git.run("cat-file", "blob", links[link]).decode(errors="surrogateescape")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(link), text))
    anchored = path.removeprefix("./")
    rest = anchored.removeprefix(f"{link}/") if anchored.startswith(f"{link}/") else ""
    target = posixpath.normpath(posixpath.join(target, rest))
    # The checkout refuses links that lead out of the repository.
    return [] if target.startswith(("/", "..")) or target == "." else [target]


def _links(git: Git, commit: str) -> dict[str, str]:
    return {entry.path: entry.oid for entry in list_tree(git, commit, SYMLINK)}


def _pathspecs(path: str) -> list[str]:
    if "/" in path:
        return [f":(top,literal){path.removeprefix('./')}"]
    name = re.sub(r"([*?\[\\])", r"\\\1", path)
    return [f":(top,glob)**/{name}", f":(top,glob)**/{name}/**"]


def _listed(paths: Sequence[str]) -> str:
    return listed(paths, printable_name, _MAX_NAMED)
