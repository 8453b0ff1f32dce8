"""The commits that the gate tests and that are pushed, made from the work as the checkpoint keeps it.

An earlier build may have made some of the commits under other settings, so each of them gets the configured author and
sign-off here. Commits that already have them stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kiro_worker.commit_rules.subject import fits_template
from kiro_worker.runner.repository.commit import rewrite_commit, write_commit
from kiro_worker.runner.repository.commit_style import SIGN_OFF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.commit_style import CommitMessage, CommitStyle


@dataclass(frozen=True)
class FinishedWork:
    """The commit for the gate and the push, and what became of each commit of the work."""

    commit: str
    moved: Mapping[str, str] = field(default_factory=dict)


def finish_work(
    checkout: Checkout, tip: str, tree: str, message: CommitMessage, style: CommitStyle, log: Callable[[str], None]
) -> FinishedWork:
    """Return the work up to ``tip``, on top of the branch's commit and with ``tree`` at its end.

    ``tree`` can differ from that of ``tip`` in the boxes of checks. They are ticked in the last commit of the work,
    because a commit that ticks boxes alone says nothing. ``message`` is that of the commit if there is no work, or if
    all of it becomes one commit; its trailers end every last commit.
    """
    git, base = checkout.git, checkout.commit
    commits = [line.split() for line in _lines(checkout, "--topo-order", "--parents", f"{base}..{tip}")]
    if style.squash or not commits:
        if not commits and tree == _tree(checkout, base):
            return FinishedWork(base)
        commit = write_commit(checkout, tree, [base], str(message), style.identity)
        return FinishedWork(commit, {old: commit for old, *_ in commits})
    moved: dict[str, str] = {}
    for old, *parents in commits:
        is_last = old == tip
        new_parents = [moved.get(parent, parent) for parent in parents]
        new_tree = tree if is_last else _tree(checkout, old)
        # The sign-off follows from the style.
        missing = tuple(t for t in message.trailers if not t.startswith(SIGN_OFF)) if is_last else ()
        present = git.text("show", "--no-patch", "--format=%(trailers:unfold)", old).splitlines()
        if new_parents == parents and new_tree == _tree(checkout, old) and _has_style(checkout, old, style, present):
            missing = tuple(trailer for trailer in missing if trailer not in present)
            if not missing:
                moved[old] = old
                continue
        new = rewrite_commit(checkout, old, new_parents, new_tree, missing, log, style)
        moved[old] = new or write_commit(checkout, new_tree, new_parents, str(message), style.identity)
    return FinishedWork(moved[tip], moved)


def _has_style(checkout: Checkout, commit: str, style: CommitStyle, trailers: list[str]) -> bool:
    """Return whether author, committer, subject and sign-off are those of ``style``."""
    form = "--format=%an <%ae>%n%cn <%ce>%n%s"
    *people, subject = checkout.git.text("show", "--no-patch", form, commit).split("\n", 2)
    if not fits_template(subject, style.subject):
        return False
    signed = tuple(trailer for trailer in trailers if trailer.startswith(f"{SIGN_OFF}:"))
    return people == [str(style.author)] * 2 and (signed == style.sign_offs or not style.sign_off)


def _tree(checkout: Checkout, commit: str) -> str:
    return checkout.git.text("rev-parse", f"{commit}^{{tree}}")


def _lines(checkout: Checkout, *arguments: str) -> list[str]:
    return checkout.git.text("rev-list", "--reverse", *arguments).splitlines()
