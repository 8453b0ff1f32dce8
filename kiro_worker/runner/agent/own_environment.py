"""The variables that decide where an agent sends its key, and which code runs in its process.

A repository's own file may set variables for its setup and its tests. If those also chose the agent's proxy or server,
one repository could have the installation's key sent elsewhere, or make the agent look broken for all repositories.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.runner.sandbox.environment import BuildEnvironment

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_PREFIX: Final = "environment."
_AGENTS: Final = re.compile(
    r"(?:HTTP|HTTPS|ALL|FTP|NO)_PROXY"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|SSLKEYLOGFILE|CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE|OPENSSL_\w+"
    r"|NODE_(?:OPTIONS|PATH|EXTRA_CA_CERTS|TLS_REJECT_UNAUTHORIZED)|BUN_\w+|XDG_\w+|OTEL_\w+"
    r"|(?:AMAZON|ANTHROPIC|AZURE|CLAUDE|CLOUD_ML|CODEX|GEMINI|GOOGLE|MCP|OPENAI|VERTEX)_\w+",
    re.IGNORECASE,
)


def withheld_from_agent(origins: Mapping[str, str]) -> frozenset[str]:
    """Return which variables that the repository's own file sets the agent does not get.

    ``origins`` says where each setting comes from: see :class:`~kiro_worker.config.settings.Settings`.
    """
    names = (key.removeprefix(_PREFIX) for key, origin in origins.items() if origin == REPOSITORY_FILE)
    return frozenset(name for name in names if f"{_PREFIX}{name}" in origins and _AGENTS.fullmatch(name))


def without(environment: Mapping[str, str], withheld: Collection[str]) -> Mapping[str, str]:
    """Return the environment, in which the configured variables in ``withheld`` have the value of the machine."""
    if not withheld or not isinstance(environment, BuildEnvironment):
        return environment
    configured = {name: value for name, value in environment.configured.items() if name not in withheld}
    return BuildEnvironment(environment, configured)
