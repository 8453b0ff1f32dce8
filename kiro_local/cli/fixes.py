"""How to fix a run's failure on this machine, because the messages of a run explain how to fix it on AWS.

They name parameters, secrets and deployments. `kiro-worker local up` fills those from a file, from environment
variables and from this checkout, each time it starts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_local.environment import NAMES
from kiro_worker import errors
from kiro_worker.outcomes import Outcome
from kiro_worker.platform_errors import cause_message

if TYPE_CHECKING:
    from pathlib import Path

    from kiro_worker.executions.history import Run

AGENT_KEY_VARIABLE: Final = "KIRO_API_KEY"
_CREDENTIALS: Final = (
    errors.SecretError,
    errors.GitHubTokenInvalid,
    errors.GitHubScopesInsufficient,
    errors.GitHubForbidden,
)
_ERROR_NAME: Final = re.compile(r"\b[A-Z][A-Za-z]+\b")


def fix_on_this_machine(run: Run, config: Path | None, token_variable: str | None) -> str:
    """How to fix the failure of ``run`` on this machine; empty if its own message says that.

    ``config`` is the configuration's file, and ``token_variable`` the environment variable with the token for a real
    GitHub. Each is ``None`` if the demo's is used.
    """
    text = f"{run.error}: {cause_message(run.cause)}".splitlines()[0]
    # The name of the error, or of the outcome and then of the error that caused it.
    fixes = (_fix(name, text, config, token_variable) for name in _ERROR_NAME.findall(text))
    fix = next(filter(None, fixes), "")
    return fix and f"{fix}, then start kiro-worker local up again"


def _fix(name: str, text: str, config: Path | None, token_variable: str | None) -> str:
    kind = getattr(errors, name, None)
    is_missing = name == Outcome.AGENT_UNAVAILABLE and re.search(r"is not installed|cannot be started", text)
    if kind is errors.AgentNotPinned or is_missing:
        return "install kiro-cli on this machine, or name another agent with --agent-command"
    if name == Outcome.AGENT_UNAVAILABLE and "API key is not accepted" in text:
        return f"export {AGENT_KEY_VARIABLE}=…"
    if not isinstance(kind, type):
        return ""
    if issubclass(kind, errors.SecretError) and NAMES.kiro_api_key_secret in text:
        return f"export {AGENT_KEY_VARIABLE}=…"
    if issubclass(kind, _CREDENTIALS) and token_variable:
        return f"correct the token: export {token_variable}=…"
    if issubclass(kind, errors.ConfigurationError) and kind is not errors.BuildProjectMissing:
        return f"edit {config}" if config else "name your configuration with --config FILE"
    return ""
