"""What the prompt says about the checkout: what setup installed, how the work is tested, and what failed before."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from kiro_worker.errors import BuildStopped
from kiro_worker.runner.agent.prompt import PromptFacts
from kiro_worker.runner.gate.baseline import names_of
from kiro_worker.runner.gate.run import find_test_command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kiro_worker.config.settings import Check
    from kiro_worker.runner.gate.baseline import Baseline
    from kiro_worker.runner.gate.setup import SetupStep


def known_facts(
    checks: Sequence[Check], checkout: Path, steps: Sequence[SetupStep], baselines: Sequence[Baseline]
) -> PromptFacts:
    """Return what is known before the agent's first turn. ``baselines`` are those of the checks, or none."""
    installed = [_in_directory(step.reason or shlex.join(step.words), step.directory) for step in steps]
    failing = [name for baseline in baselines for name in names_of(baseline.failing)]
    return PromptFacts("; ".join(installed), "; ".join(_commands(checks, checkout)), tuple(failing))


def _commands(checks: Sequence[Check], checkout: Path) -> list[str]:
    found = []
    for check in checks:
        try:
            words = find_test_command(check, checkout / check.directory)
        except BuildStopped:
            # The gate says so. The work may add the files that show how the tests run.
            continue
        script = words[-1] if words[:3] == ("sh", "-eu", "-c") else shlex.join(words)
        found.append(_in_directory(script, check.directory))
    return found


def _in_directory(text: str, directory: str) -> str:
    return f"{text} (in {directory})" if directory else text
