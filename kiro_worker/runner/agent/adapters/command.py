"""An agent that the installation provides: the configuration's ``agent.command``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kiro_worker.runner.agent.adapters.adapter import Adapter
from kiro_worker.runner.agent.adapters.kiro import read_kiro_usage, read_kiro_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.runner.request import BuildRequest


def command_adapter(command: Sequence[str], request: BuildRequest) -> Adapter:
    """Return an adapter for ``command``, with ``{branch}`` and ``{spec_path}`` replaced.

    The program gets no key. It can report its cost by printing the Kiro CLI's closing line, but does not have to.
    """
    argv = tuple(word.replace("{branch}", request.branch).replace("{spec_path}", request.spec_path) for word in command)
    return Adapter(
        name=Path(argv[0]).name,
        argv=argv,
        unit="credits",
        read_usage=read_kiro_usage,
        read_words=read_kiro_words,
        how_to_install=f"install {argv[0]} in the build image, or correct agent.command in the configuration parameter",
        always_reports_cost=False,
    )
