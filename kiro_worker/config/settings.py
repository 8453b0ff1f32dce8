"""The effective settings of one repository: every value is concrete, except commands that detection chooses later.

:func:`kiro_worker.config.resolve.resolve` makes them from the installation's parameter and the repository's own file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from kiro_worker.document import camel_case

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY_FILE: Final = ".kiro-worker.yml"
"""The repository's own file, at the root of its default branch."""
MISNAMED_FILE: Final = ".kiro-worker.yaml"
"""What people call that file by mistake. Without a word about it, nothing that it says would apply."""
AgentName = Literal["kiro", "claude", "codex", "gemini", "command"]
Baseline = Literal["known", "green", "off"]


@dataclass(frozen=True)
class CoverageSettings:
    """How coverage is measured. ``threshold`` is a percentage; ``None`` turns the check off.

    ``is_default`` means that no one configured the threshold, so that it applies only where coverage is measured.
    """

    report: str | None = None
    threshold: float | None = 80.0
    mode: Literal["all", "changed"] = "all"
    exclude: tuple[str, ...] = ()
    is_default: bool = True


@dataclass(frozen=True)
class Check:
    """One part of the repository that is set up and tested on its own.

    ``directory`` is relative to the repository's root, empty for the root. ``setup`` and ``test`` are words that run
    without a further shell; ``None`` means that detection chooses, and an empty ``setup`` that nothing is installed.
    """

    name: str = ""
    directory: str = ""
    setup: tuple[str, ...] | None = None
    test: tuple[str, ...] | None = None
    require_report: bool = False
    coverage: CoverageSettings = CoverageSettings()


@dataclass(frozen=True)
class AgentSettings:
    """The agent that implements the tasks, and the limits on its turns. See ``AgentConfiguration`` for each key."""

    name: AgentName = "kiro"
    command: tuple[str, ...] | None = None
    arguments: tuple[str, ...] = ()
    key_variable: str | None = None
    harness: Literal["v2", "v3"] | None = None
    model: str | None = None
    mode: Literal["task", "all"] = "task"
    timeout_minutes: float = 45
    max_credits: float | None = None
    max_minutes: float | None = None

    @property
    def needs_key(self) -> bool:
        """Whether the agent gets the key that the secret holds. A command gets it only under a configured name."""
        return self.name != "command" or self.key_variable is not None

    @property
    def is_kiro(self) -> bool:
        """Whether the agent is the Kiro CLI, which the build installs."""
        return self.name == "kiro"


@dataclass(frozen=True)
class BuildSettings:
    """The machine of the build. An empty ``image`` or ``compute_type`` is the CodeBuild project's own."""

    image: str = ""
    compute_type: str = ""
    timeout_minutes: int = 0


@dataclass(frozen=True)
class CommitSettings:
    """How the worker writes commits. ``author`` is ``name <address>``; ``subject`` may contain ``{title}``."""

    author: str | None = None
    sign_off: bool = False
    subject: str | None = None
    squash: bool = False


@dataclass(frozen=True)
class Settings:
    """Everything that the repository, or the installation for it, can choose.

    ``environment`` reaches setup, agent and tests. ``secrets`` maps variables, which only setup gets, to the names of
    secrets. ``origins`` maps a dotted key of the JSON form to where its value
    comes from, for example ``coverage.threshold`` to ``.kiro-worker.yml``; a key without an entry has its default.
    """

    checks: tuple[Check, ...] = (Check(),)
    baseline: Baseline = "known"
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    agent: AgentSettings = AgentSettings()
    build: BuildSettings = BuildSettings()
    commits: CommitSettings = CommitSettings()
    max_credits_per_day: float | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


def settings_document(settings: Settings) -> dict[str, Any]:
    """Return ``{effective, origins}`` as JSON: what applies, and where each value comes from."""
    values = _camel_case_keys({name: value for name, value in asdict(settings).items() if name != "origins"})
    # The names of variables are not keys of the configuration.
    effective = {**values, "environment": dict(settings.environment), "secrets": dict(settings.secrets)}
    return {"effective": effective, "origins": dict(settings.origins)}


def _camel_case_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {camel_case(key): _camel_case_keys(inner) for key, inner in value.items()}
    return [_camel_case_keys(inner) for inner in value] if isinstance(value, list | tuple) else value
