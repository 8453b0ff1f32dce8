"""The folder that the agent works in: what the runner puts there before a turn, and what it collects afterwards."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kiro_worker.errors import KiroWorkerError
from kiro_worker.runner.agent.prompt import PromptFacts
from kiro_worker.runner.agent.turn import AgentRun, run_agent
from kiro_worker.runner.repository.agent_repository import create_agent_repository
from kiro_worker.runner.repository.commit import patch_between, tree_of_files
from kiro_worker.runner.repository.commit_style import CommitStyle
from kiro_worker.runner.repository.lent_objects import open_lent_objects
from kiro_worker.runner.trust.secret_scan import require_no_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from kiro_worker.records.checkpoints import KeptWork
    from kiro_worker.runner.agent.adapters import PreparedAgent
    from kiro_worker.runner.report.log import Redaction
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.submodules import Submodules
    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.runner.sandbox.sandbox import Sandbox
    from kiro_worker.runner.trust.guard import Guard
    from kiro_worker.runner.trust.steering import Steering


@dataclass(frozen=True)
class TurnContext:
    """What every turn of a build shares. ``keep`` is called with all work so far, and pushes it to the checkpoint.

    ``note_turn`` is called with how each turn ended, before the next one starts.
    ``facts`` are what the prompts say about the checkout. ``is_setups`` tells whether a file of the checkout is as
    setup created it. It is ``None`` if there was no setup. ``virtual_environments`` are the directories of the checkout
    in which setup made one. ``style`` is how the commits are written.
    """

    home: Path
    sandbox: Sandbox
    environment: Mapping[str, str]
    sink: Callable[[str], None]
    say: Callable[[str], None]
    redaction: Redaction
    keep: Callable[[KeptWork], None]
    note_turn: Callable[[AgentRun], None]
    guard: Guard
    steering: Steering
    submodules: Submodules
    temporary: Path | None = None
    facts: PromptFacts = field(default_factory=PromptFacts)
    is_setups: Callable[[str], bool] | None = None
    virtual_environments: tuple[str, ...] = ()
    style: CommitStyle = field(default_factory=CommitStyle)


@dataclass(frozen=True)
class AgentWorkspace:
    """The agent's view of ``checkout``. ``commit`` in the methods is the commit that the turn starts from."""

    request: BuildRequest
    checkout: Checkout
    context: TurnContext

    def run_turn(self, agent: PreparedAgent, prompt: str, commit: str) -> AgentRun:
        """Put submodules and steering files in place, afresh for every turn, and run ``agent``."""
        context, checkout = self.context, self.checkout
        open_lent_objects(checkout.git)
        context.submodules.materialize(checkout)
        if context.steering.files:
            self.replace_repository(commit)
            context.steering.overlay(checkout)
        return run_agent(
            agent,
            prompt,
            checkout.folder,
            context.home,
            parent=context.environment,
            sink=context.sink,
            redact=context.redaction,
            sandbox=context.sandbox,
            temporary=context.temporary,
            virtual_environments=[checkout.folder / directory for directory in context.virtual_environments],
        )

    def collect(self) -> str:
        """Return the tree that the agent left, without the submodules and steering files, which it cannot change."""
        context, checkout = self.context, self.checkout
        if checkout.folder.is_dir():
            context.steering.remove(checkout)
            context.submodules.materialize(checkout)
        return tree_of_files(checkout, context.say, context.is_setups)

    def revert_refused_changes(self, commit: str, tree: str) -> tuple[str, KiroWorkerError | None]:
        """Return ``tree`` and ``None`` when the guard accepts it.

        Otherwise return the tree with its guarded files as they are in ``commit``, and the guard's error.
        """
        guard, redaction = self.context.guard, self.context.redaction
        try:
            guard.require_unchanged(self.checkout, commit, tree)
        except KiroWorkerError as refusal:
            require_no_secret(patch_between(self.checkout, tree), redaction.is_in)
            return guard.revert_guarded_paths(self.checkout, commit, tree), refusal
        return tree, None

    def replace_repository(self, commit: str) -> None:
        """Give the agent a new ``.git`` at ``commit``, whatever it did to the old one."""
        repository = self.checkout.folder / ".git"
        if repository.is_dir() and not repository.is_symlink():
            shutil.rmtree(repository)
        else:
            repository.unlink(missing_ok=True)
        steering_files = tuple(self.context.steering.files)
        create_agent_repository(self.checkout.git, replace(self.request, commit=commit), excluded=steering_files)


def materialize(checkout: Checkout, commit: str) -> None:
    """Put exactly the files of ``commit`` into the checkout; untracked files stay."""
    checkout.git.network("read-tree", "--reset", "-u", commit, in_work_tree=True)


def write_times(checkout: Checkout, paths: Iterable[str]) -> dict[str, int]:
    """Return when each of the files in the checkout was written last, in nanoseconds, without missing files."""
    times = {}
    for path in paths:
        with suppress(OSError):
            times[path] = (checkout.folder / path).lstat().st_mtime_ns
    return times


def clean(checkout: Checkout, commit: str) -> None:
    """Put the files of ``commit`` into the checkout, and remove the untracked files that a test run left."""
    materialize(checkout, commit)
    checkout.git.run("clean", "-ffdq", in_work_tree=True)
