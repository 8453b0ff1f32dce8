"""An agent that the installation provides: the configuration's ``agent.command``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from kiro_worker.runner.agent.adapters.adapter import Adapter
from kiro_worker.runner.agent.adapters.kiro import read_kiro_usage, read_kiro_words

if TYPE_CHECKING:
    from kiro_worker.config.settings import AgentSettings
    from kiro_worker.runner.request import BuildRequest


def command_adapter(settings: AgentSettings, request: BuildRequest) -> Adapter:
    """Return an adapter for the configured command, with ``{branch}``, ``{spec_path}`` and ``{model}`` replaced.

    The program gets its key only under the name ``agent.keyVariable``. It gets no trial turn, because it may need the
    spec that its command line names. It can report its cost by printing the Kiro CLI's closing line, but does not have
    to.
    """
    values = {"{branch}": request.branch, "{spec_path}": request.spec_path, "{model}": settings.model or ""}
    words = re.compile("|".join(map(re.escape, values)))
    # In one pass, because a branch may be called "{model}".
    argv = tuple(words.sub(lambda match: values[match[0]], word) for word in settings.command or ("",))
    return Adapter(
        name=Path(argv[0]).name,
        argv=argv,
        key_variable=settings.key_variable or "",
        unit="credits",
        read_usage=read_kiro_usage,
        read_words=read_kiro_words,
        how_to_install=f"install {argv[0]} in the build image, or correct agent.command in the configuration parameter",
        always_reports_cost=False,
    )
