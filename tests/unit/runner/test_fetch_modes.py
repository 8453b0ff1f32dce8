"""The order in which a checkout tries git's fetch modes, and what it fetches with each."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiro_worker.errors import BuildStopped
from kiro_worker.models import Lease
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.checkout import BLOBLESS, FULL, SHALLOW, check_out
from kiro_worker.runner.request import BuildRequest
from tests.support.scripted_git import ScriptedGit

HEAD, KEPT = "1" * 40, "2" * 40
REQUEST = BuildRequest(
    "acme/shop", "feature/x", HEAD, ".kiro/specs/x", 1, Lease("work-item-processor-lock", "arn:aws:x", 1, expires_at=0)
)
REFERENCES = {"refs/remotes/origin/feature/x": HEAD, "refs/kiro-worker/checkpoints/feature/x": KEPT}


def scripted_git(folder: Path, *refused: str) -> ScriptedGit:
    """A server that refuses the fetches with these options."""
    listed = "".join(f"{reference} {commit}\\n" for reference, commit in REFERENCES.items())
    return ScriptedGit.install(
        folder / "bin",
        {
            **{f"fetch *{option} *": "echo refused >&2; exit 1" for option in refused},
            "for-each-ref *": f"printf '{listed}'",
            "read-tree *": "touch $directory/index",
        },
    )


def fetches(git: ScriptedGit) -> list[list[str]]:
    return [command.split() for command in git.commands if command.startswith("fetch ")]


def fetched_with(git: ScriptedGit) -> list[str]:
    """The fetch mode of every fetch."""
    return [next((mode for mode in (BLOBLESS, SHALLOW) if mode in words), FULL) for words in fetches(git)]


@pytest.mark.parametrize(
    ("refused", "tried", "checkpoint"),
    [
        ((), [BLOBLESS], KEPT),
        ((BLOBLESS,), [BLOBLESS, SHALLOW], None),
        ((BLOBLESS, SHALLOW), [BLOBLESS, SHALLOW, FULL], KEPT),
    ],
)
def test_first_mode_that_works_is_used(
    tmp_path: Path, refused: tuple[str, ...], tried: list[str], checkpoint: str | None
) -> None:
    git = scripted_git(tmp_path, *refused)

    checkout = check_out(REQUEST, tmp_path / "workspace", "https://git.example", None, git.environment)

    assert fetched_with(git) == tried
    assert checkout.fetch_mode == tried[-1]
    assert checkout.checkpoint == checkpoint, "a shallow fetch does not look for one, which is not the same as none"
    looks_for_checkpoint = [any("/checkpoints/feature/x" in word for word in words) for words in fetches(git)]
    assert looks_for_checkpoint == [mode != SHALLOW for mode in tried]


def test_every_mode_refused_fails_checkout(tmp_path: Path) -> None:
    git = scripted_git(tmp_path, "--quiet")

    with pytest.raises(BuildStopped, match="feature/x of acme/shop cannot be fetched: git fetch failed") as stopped:
        check_out(REQUEST, tmp_path / "workspace", "https://git.example", None, git.environment)

    assert (stopped.value.outcome, stopped.value.details) == (Outcome.CHECKOUT_FAILED, "refused")
    assert fetched_with(git) == [BLOBLESS, SHALLOW, FULL]
