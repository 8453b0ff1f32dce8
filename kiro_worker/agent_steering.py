"""What each agent reads from a repository as instructions or settings.

The guard keeps these files as they are on the default branch, which a person reviewed. The lists follow what the agents
were seen to read at the pinned versions, or what their documentation names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

STEERING: Final[Mapping[str, tuple[str, ...]]] = {
    "kiro": (
        ".kiro/agents",
        ".kiro/hooks",
        ".kiro/prompts",
        ".kiro/settings",
        ".kiro/skills",
        ".kiro/steering",
        "AGENTS.md",
    ),
    "claude": ("CLAUDE.md", "CLAUDE.local.md", ".claude", ".mcp.json"),
    "codex": ("AGENTS.override.md", "AGENTS.md", ".codex", ".agents"),
    # Its .env can name another server for the key.
    "gemini": ("GEMINI.md", ".gemini", ".agents", ".env"),
}
"""Files and folders by the agent's name. A name without a slash counts in every folder.

An installation's own command is not listed: the operators add what it reads to ``guardedPaths``.
"""
