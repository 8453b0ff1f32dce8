"""Files that can run commands or steer the agent are those of the default branch, which somebody reviewed, or the agent
is not started.

Trees are compared, not texts: both commits are in the trusted repository, so this costs one small fetch and no blob.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from kiro_worker.build.checkout import fetch_default_branch
from kiro_worker.build.outcome import Stopped
from kiro_worker.models import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.build.checkout import Checkout
    from kiro_worker.build.git import Git
    from kiro_worker.build.job import BuildJob
    from kiro_worker.config import Configuration

_SHOWN: Final = 20
_MOST_LINKS: Final = 100
_LINK: Final = "120000"


def require_trusted(
    checkout: Checkout, job: BuildJob, configuration: Configuration, labels: frozenset[str], commit: str = ""
) -> tuple[str, ...]:
    """Raises :class:`Stopped` (GuardTripped) when guarded files of the pinned commit, or of ``commit``, are not the
    default branch's, and no label lets them through; those that one lets through are the answer.

    ``labels`` are those of the pull request that somebody with write access has given.
    """
    default = fetch_default_branch(checkout)
    different = different_paths(checkout.git, default, commit or checkout.commit, configuration.guarded_paths)
    if not different or configuration.guard_label in labels:
        return different
    more = f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
    other_way = (
        f'have somebody with write access label the pull request "{configuration.guard_label}"'
        if configuration.guard_label
        else 'configure a "guardLabel", which lets it through once the pull request has it'
    )
    raise Stopped(
        Outcome.GUARD_TRIPPED,
        f"{job.branch} differs from the default branch in files that steer the agent or run commands:"
        f" {', '.join(map(_shown, different[:_SHOWN]))}{more}",
        f"merge the default branch, or undo the changes to these files on {job.branch}; or review them and {other_way}",
    )


def different_paths(git: Git, default: str, commit: str, guarded: Sequence[str]) -> tuple[str, ...]:
    """The guarded files that the two commits do not have in common, by name.

    A guarded path with a slash is one place, a file or a folder; one without is such a name in any folder, as agents
    read ``AGENTS.md``. Where a symbolic link of the commit is in the way or is the file, its target is guarded, too.
    """
    if not guarded:
        return ()
    specs = [spec for path in _with_targets(git, commit, guarded) for spec in _pathspecs(path)]
    names = git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", default, commit, "--", *specs)
    return tuple(name.decode(errors="backslashreplace") for name in names.split(b"\0") if name)


def _with_targets(git: Git, commit: str, guarded: Sequence[str]) -> list[str]:
    links = _links(git, commit)
    paths = list(guarded)
    for path in paths:  # grows as it is read
        for link in links:
            found = [link, *_targets(git, links, link, path)] if _concerns(link, path) else []
            # A path without a slash would be a name in any folder; a target is one place.
            paths += [place for place in (f"./{new}" if "/" not in new else new for new in found) if place not in paths]
        if len(paths) > _MOST_LINKS + len(guarded):
            break
    return paths


def _concerns(link: str, path: str) -> bool:
    """Whether the link is the guarded path, below it, or on the way to it."""
    if "/" not in path:
        return path in link.split("/")
    place = path.removeprefix("./")
    return f"{link}/".startswith(f"{place}/") or place.startswith(f"{link}/")


def _targets(git: Git, links: dict[str, str], link: str, path: str) -> list[str]:
    text = git.run("cat-file", "blob", links[link]).decode(errors="surrogateescape")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(link), text))
    place = path.removeprefix("./")
    rest = place.removeprefix(f"{link}/") if place.startswith(f"{link}/") else ""
    target = posixpath.normpath(posixpath.join(target, rest))
    # One that leaves the repository is refused at the checkout.
    return [] if target.startswith(("/", "..")) or target == "." else [target]


def _links(git: Git, commit: str) -> dict[str, str]:
    entries = git.run("ls-tree", "-r", "-z", commit).decode(errors="surrogateescape").split("\0")
    split = (entry.partition("\t") for entry in entries if entry.startswith(_LINK))
    return {path: facts.split()[2] for facts, _, path in split}


def _pathspecs(path: str) -> list[str]:
    if "/" in path:
        return [f":(top,literal){path.removeprefix('./')}"]
    name = re.sub(r"([*?\[\\])", r"\\\1", path)
    return [f":(top,glob)**/{name}", f":(top,glob)**/{name}/**"]


def _shown(path: str) -> str:
    return path if path.isprintable() else ascii(path)
