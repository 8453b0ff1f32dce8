"""The steps of the pipeline that write or spend, as a protocol with two implementations.

:class:`~kiro_worker.runner.build_effects.BuildEffects` carries them out.
:class:`~kiro_worker.runner.dry_run_effects.DryRunEffects` describes what they would do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from kiro_worker.runner.repository.submodules import Submodules
from kiro_worker.runner.trust.steering import Steering

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from kiro_worker.config.settings import Settings
    from kiro_worker.records.checkpoints import KeptWork
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.checkpoint import Checkpoint
    from kiro_worker.runner.trust.guard import Guard


@dataclass
class Prepared:
    """What the steps that read have prepared for the steps that write.

    ``submodules`` and ``steering`` stay empty if the configuration names none.
    """

    checkout: Checkout
    checkpoint: Checkpoint
    guard: Guard
    settings: Settings
    submodules: Submodules = field(default_factory=lambda: Submodules({}))
    steering: Steering = field(default_factory=Steering)


class Effects(Protocol):
    """Everything that the pipeline does besides reading, in the order in which it calls these methods."""

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Run the phase ``name``. A build stops at its first error; a dry run notes it and continues if it can."""
        ...

    def note(self, topic: str, text: str, fact: Any = None) -> None:
        """Report a finding. ``fact`` is the same finding as a JSON value, for programs that read a dry run."""
        ...

    def hold_lock(self) -> None:
        """Make sure that this run holds the lock. Raise :class:`LockError` if it does not."""
        ...

    def use_settings(self, settings: Settings) -> None:
        """Use the effective settings of the repository in every later step."""
        ...

    def load_agent_key(self) -> None:
        """Load the key if the agent needs one. Raise :class:`SecretError` if it cannot be used."""
        ...

    def check_push(self, prepared: Prepared, start: KeptWork) -> KeptWork:
        """Find out whether the server accepts pushes, and return where the agent starts: see ``push_check``."""
        ...

    def install_agent(self) -> None:
        """Install the agent if the build image does not have it. Raise :class:`BuildStopped` if that fails."""
        ...

    def try_agent(self, prepared: Prepared, start: KeptWork) -> None:
        """Give the agent a short turn before it gets the spec. Raise :class:`BuildStopped` if the agent cannot work."""
        ...

    def set_up(self, prepared: Prepared) -> None:
        """Run the configured setup command before the agent starts."""
        ...

    def take_baseline(self, prepared: Prepared) -> None:
        """Run the project's tests on the pinned commit. Raise :class:`BuildStopped` if the agent must not start."""
        ...

    def sandboxed(self) -> AbstractContextManager[None]:
        """Provide what the agent and the tests run with: their user, their limits and the agent's log."""
        ...

    def implement(self, prepared: Prepared, start: KeptWork) -> None:
        """Let the agent implement the open tasks, beginning at ``start``."""
        ...

    def pass_gate(self, prepared: Prepared) -> None:
        """Run the project's tests on the committed work. Raise :class:`BuildStopped` if they do not pass."""
        ...

    def push(self, prepared: Prepared) -> str:
        """Push the work to the branch, and return the branch's new commit."""
        ...

    def remove_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove the checkpoint, because the branch contains its work."""
        ...

    def remove_empty_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove the checkpoint if it holds no work, because the build ends without any."""
        ...
