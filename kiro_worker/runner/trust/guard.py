"""Files that can run commands or steer the agent are those of the default branch, which somebody reviewed, or the agent
is not started; and what the agent makes of them goes nowhere. A label of the pull request lets both through.

Trees are compared, not texts: both commits are in the trusted repository, so this costs one small fetch and no blob.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.checkout import fetch_default_branch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.labels import Labelling
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.git import Git
    from kiro_worker.runner.request import BuildRequest

_SHOWN: Final = 20
_MOST_LINKS: Final = 100
_LINK: Final = "120000"


@dataclass(frozen=True)
class Guard:
    """``read_label`` asks GitHub about the pull request's label of that name, and is called only when something
    differs and a label is configured. What it raises is never a pass.
    """

    request: BuildRequest
    configuration: Configuration
    read_label: Callable[[str], Labelling]
    say: Callable[[str], None]

    def require_trusted(self, checkout: Checkout, commit: str = "") -> tuple[str, ...]:
        """Raises :class:`BuildStopped` (GuardTripped) when guarded files of the pinned commit, or of ``commit``, are not
        the default branch's, and no label lets them through; those that one lets through are the answer.
        """
        default = fetch_default_branch(checkout)
        different = different_paths(
            checkout.git, default, commit or checkout.commit, self.configuration.everything_guarded
        )
        branch = self.request.branch
        self._require_label(
            different,
            f"{branch} differs from the default branch in files that steer the agent or run commands",
            f"merge the default branch, or undo the changes to these files on {branch}",
        )
        return different

    def require_unchanged(self, checkout: Checkout, before: str, after: str) -> None:
        """The same for what the agent made of ``before``: a file that it plants would steer the next one. Commits or
        trees.
        """
        self._require_label(
            different_paths(checkout.git, before, after, self.configuration.everything_guarded),
            "the agent changed files that steer an agent or run commands",
            "redrive the execution, which goes on without these changes (they are in the artifacts' changes.patch)",
        )

    def require_trusted_submodule(self, git: Git, path: str, before: str, after: str) -> None:
        """The same for a submodule at ``path`` whose commit is not the default branch's, which is ``before`` or, when
        that has none there, empty.
        """
        empty = git.run("mktree").decode().strip()
        guarded = [each for each in self.configuration.guarded_paths if "/" not in each]
        guarded += [
            each.removeprefix(f"{path}/") for each in self.configuration.guarded_paths if each.startswith(f"{path}/")
        ]
        self._require_label(
            tuple(f"{path}/{name}" for name in different_paths(git, before or empty, after, guarded)),
            f"the submodule {path} brings other files that steer the agent or run commands than on the default branch",
            f"undo the change of {path} on {self.request.branch}",
        )

    def revert_guarded_paths(self, checkout: Checkout, before: str, after: str) -> str:
        """The tree ``after``, which is in the index, with its guarded files as they are in ``before``; the index has it
        then, the checkout has not.
        """
        git, guarded = checkout.git, self.configuration.everything_guarded
        entries = git.run("ls-tree", "-r", "-z", before).split(b"\0")
        earlier = {entry.partition(b"\t")[2]: entry for entry in entries if entry}
        # Again, for with a link that is back its target is guarded as well.
        while different := _raw_paths(git, before, after, guarded):
            lines = [b"0 " + b"0" * 40 + b"\t" + name for name in different]
            lines += [earlier[name] for name in different if name in earlier]
            git.run("update-index", "-z", "--index-info", stdin=b"".join(line + b"\0" for line in lines))
            after = git.text("write-tree")
        return after

    def _require_label(self, different: tuple[str, ...], what: str, remedy: str) -> None:
        if not different:
            return
        label, problem = self.configuration.guard_label, ""
        if label is not None:
            labelling = self.read_label(label)
            if labelling.giver:
                self.say(f'the label "{label}", given by {labelling.giver}, lets through {_list_of(different)}')
                return
            problem = f'; the label "{label}" does not let them through: {labelling.problem}'
        other_way = (
            f'have somebody with write access label the pull request "{label}", and redrive the execution'
            if label is not None
            else 'configure a "guardLabel", which lets it through once the pull request has it'
        )
        raise BuildStopped(
            Outcome.GUARD_TRIPPED,
            f"{what}: {_list_of(different)}{problem}",
            f"{remedy}; or review them and {other_way}",
        )


def different_paths(git: Git, default: str, commit: str, guarded: Sequence[str]) -> tuple[str, ...]:
    """The guarded files that the two commits do not have in common, by name.

    A guarded path with a slash is one place, a file or a folder; one without is such a name in any folder, as agents
    read ``AGENTS.md``. Where a symbolic link of the commit is in the way or is the file, its target is guarded, too.
    """
    return tuple(name.decode(errors="backslashreplace") for name in _raw_paths(git, default, commit, guarded))


def _raw_paths(git: Git, default: str, commit: str, guarded: Sequence[str]) -> list[bytes]:
    if not guarded:
        return []
    specs = [spec for path in _with_targets(git, commit, guarded) for spec in _pathspecs(path)]
    names = git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", default, commit, "--", *specs)
    return [name for name in names.split(b"\0") if name]


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


def _list_of(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"{', '.join(map(_shown, paths[:_SHOWN]))}{more}"


def _shown(path: str) -> str:
    return path if path.isprintable() else ascii(path)
