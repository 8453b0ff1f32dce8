"""The effective settings of a repository, from all sources: the first one that has a key decides.

    parameter for this repository > the repository's file > parameter for all repositories > default or detection

What the file chooses is bounded by the installation's limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from kiro_worker.config.repository_settings import ComputeType, RepositoryFile
from kiro_worker.config.settings import (
    REPOSITORY_FILE,
    AgentSettings,
    BuildSettings,
    Check,
    CommitSettings,
    CoverageSettings,
    Settings,
)
from kiro_worker.document import camel_case
from kiro_worker.errors import ConfigurationInvalid, WorkItemInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from kiro_worker.config.model import Configuration
    from kiro_worker.config.repository_settings import CheckConfiguration

DEFAULTS: Final = "repositoryDefaults"
"""The origin of a setting that the parameter has for every repository."""
_COMPUTE_TYPES: Final[tuple[str, ...]] = get_args(ComputeType)
_NULL_COUNTS: Final = frozenset({"threshold", "max_credits", "max_credits_per_day", "max_minutes"})
"""The keys whose ``null`` is a value, and not the same as no key."""
_SINGLE: Final = ("setup", "test", "directory")


class _Source(NamedTuple):
    origin: str
    settings: RepositoryFile


def resolve(configuration: Configuration, repository: str, file: RepositoryFile | None = None) -> Settings:
    """Return the effective settings of ``repository``, whose own file is ``file``.

    Raises :class:`WorkItemInvalid` if the file chooses more than the installation's limits allow, and
    :class:`ConfigurationInvalid` if the parameter itself does.
    """
    return _Resolver(configuration, repository, file).settings()


def daily_limit(configuration: Configuration, repository: str) -> float | None:
    """Return how many credits the builds of ``repository`` may spend on one day, which only the parameter decides."""
    return _Resolver(configuration, repository, None).daily_limit()


class _Resolver:
    def __init__(self, configuration: Configuration, repository: str, file: RepositoryFile | None) -> None:
        own = [
            _Source(f"repositorySettings.{name}", settings)
            for name, settings in configuration.repository_settings.items()
            if name.lower() == repository.lower()
        ]
        files = [_Source(REPOSITORY_FILE, file)] if file else []
        self._sources = [*own, *files, _Source(DEFAULTS, configuration.repository_defaults)]
        self._limits = configuration.limits
        self._configuration = configuration
        self._origins: dict[str, str] = {}
        self._problems: dict[str, list[str]] = {}

    def settings(self) -> Settings:
        settings = Settings(
            checks=self._checks(),
            baseline=self._first("baseline") or "known",
            environment=self._environment(),
            secrets=self._secrets(),
            agent=self._agent(),
            build=self._build(),
            commits=CommitSettings(**self._part("commits")),
            max_credits_per_day=self.daily_limit(),
            origins=self._origins,
        )
        self._raise_problems()
        return settings

    def daily_limit(self) -> float | None:
        # The repository's own file has no such key.
        limit: float | None = self._first("max_credits_per_day")
        return limit

    def _first(self, *path: str, sources: Sequence[_Source] | None = None) -> Any:
        """Return the value of the first source that has the key; ``None`` if none has."""
        for source in self._sources if sources is None else sources:
            found, value = _value(source.settings, path)
            if found:
                self._origins[".".join(map(camel_case, path))] = source.origin
                return value
        return None

    def _part(self, name: str) -> dict[str, Any]:
        """Return the keys of a nested object that any source has."""
        parts = filter(None, (getattr(source.settings, name) for source in self._sources))
        keys = dict.fromkeys(key for part in parts for key in part.model_fields_set)
        values = {key: self._first(name, key) for key in keys}
        return {key: value for key, value in values.items() if value is not None or key in _NULL_COUNTS}

    def _environment(self) -> dict[str, str]:
        merged: dict[str, str] = {}
        for source in reversed(self._sources):
            merged |= source.settings.environment or {}
            self._origins |= {f"environment.{name}": source.origin for name in source.settings.environment or {}}
        return merged

    def _secrets(self) -> dict[str, str]:
        known = self._configuration.test_secrets
        named = self._first("secrets") or ()
        for variable in named:
            if variable not in known:
                self._refuse("secrets", f"{variable} is not one of {', '.join(known) or 'none'}", "testSecrets")
        return {variable: known[variable] for variable in named if variable in known}

    def _checks(self) -> tuple[Check, ...]:
        require_report = bool(self._first("require_report"))
        coverage = self._coverage(self._part("coverage"))
        for position, source in enumerate(self._sources):
            if source.settings.checks is not None:
                self._origins["checks"] = source.origin
                return tuple(
                    self._check(check, f"checks[{number}]", position, require_report, coverage)
                    for number, check in enumerate(source.settings.checks)
                )
            if any(getattr(source.settings, key) is not None for key in _SINGLE):
                break
        # A source with `checks` has decided, or a source above it replaces them by a single one.
        return (
            Check(
                directory=self._first("directory") or "",
                setup=self._first("setup"),
                test=self._first("test"),
                require_report=require_report,
                coverage=coverage,
            ),
        )

    def _check(
        self, check: CheckConfiguration, path: str, position: int, require_report: bool, coverage: CoverageSettings
    ) -> Check:
        """Return the check at ``path`` of the source at ``position``. What a source above that one has wins."""
        origin, lower = self._sources[position].origin, self._sources[position + 1 :]
        above = {source.origin for source in self._sources[:position]}
        own = check.coverage.model_dump(exclude_unset=True) if check.coverage else {}
        own = {
            key: value
            for key, value in own.items()
            if (value is not None or key in _NULL_COUNTS)
            and self._origins.get(f"coverage.{camel_case(key)}") not in above
        }
        if check.require_report is not None and self._origins.get("requireReport") not in above:
            require_report = check.require_report
            self._origins[f"{path}.requireReport"] = origin
        for key in ("name", "directory", "setup", "test"):
            if getattr(check, key) is not None:
                self._origins[f"{path}.{key}"] = origin
        self._origins |= {f"{path}.coverage.{camel_case(key)}": origin for key in own}
        return Check(
            name=check.shown_name,
            directory=check.directory or "",
            setup=self._first("setup", sources=lower) if check.setup is None else check.setup,
            test=self._first("test", sources=lower) if check.test is None else check.test,
            require_report=require_report,
            coverage=self._coverage(own, coverage),
        )

    def _coverage(self, values: dict[str, Any], base: CoverageSettings | None = None) -> CoverageSettings:
        start = base or CoverageSettings()
        return CoverageSettings(
            report=values.get("report", start.report),
            threshold=values.get("threshold", start.threshold),
            mode=values.get("mode", start.mode),
            exclude=values.get("exclude", start.exclude),
            is_default="threshold" not in values and start.is_default,
        )

    def _agent(self) -> AgentSettings:
        values = self._part("agent")
        origin = self._origins.get("agent.name")
        name, default = values.get("name", "kiro"), _default_agent(self._configuration)
        allowed = self._limits.agents if self._limits.agents is not None else (default,)
        if origin == REPOSITORY_FILE and name not in allowed:
            named = ", ".join(allowed) or "none: no file may name an agent"
            self._refuse("agent.name", f"the agent {name} is not one of {named}", "limits.agents")
        # What a source says about its own agent is not about another one, which a source above it has chosen.
        for key in ("command", "arguments", "key_variable", "harness", "model"):
            origin_of_key = self._origins.get(f"agent.{camel_case(key)}")
            if key in values and self._agent_of(origin_of_key) != name:
                del values[key], self._origins[f"agent.{camel_case(key)}"]
        for key, others in (("harness", name != "kiro"), ("arguments", name == "command")):
            if others and key in values:
                self._refuse(f"agent.{key}", f"it would be ignored, because the agent is {name}", "agent.name")
        if name == "command" and "command" not in values:
            self._refuse("agent.name", "no command is configured for the agent", f"{DEFAULTS}.agent.command")
        self._bound(values, "max_credits", self._limits.credits, "agent.maxCredits", "limits.credits")
        self._bound(values, "max_minutes", self._limits.minutes, "agent.maxMinutes", "limits.minutes", fills=False)
        return AgentSettings(**values)

    def _agent_of(self, origin: str | None) -> str:
        """Return the name of the agent that a source's keys are about. The parameter's are not about the file's."""
        names = [source.origin for source in self._sources]
        below = self._sources[names.index(origin) if origin in names else 0 :]
        known = [source for source in below if source.origin in (origin, DEFAULTS)]
        return next((agent.name for source in known if (agent := source.settings.agent) and agent.name), "kiro")

    def _build(self) -> BuildSettings:
        values, limits = self._part("build"), self._limits
        if (image := values.get("image")) and image not in limits.images and self._is_of_file("build.image"):
            allowed = ", ".join(limits.images) or "none is"
            self._refuse("build.image", f"the image {image} is not allowed ({allowed})", "limits.images")
        if size := values.get("compute_type"):
            if _COMPUTE_TYPES.index(size) > _COMPUTE_TYPES.index(limits.compute_type):
                self._refuse("build.computeType", f"{size} is larger than {limits.compute_type}", "limits.computeType")
            values["compute_type"] = f"BUILD_GENERAL1_{size}"
        self._bound(values, "timeout_minutes", limits.minutes, "build.timeoutMinutes", "limits.minutes", fills=False)
        return BuildSettings(**values)

    def _bound(
        self, values: dict[str, Any], key: str, limit: float | None, name: str, limit_name: str, *, fills: bool = True
    ) -> None:
        """Refuse a value above the limit. With ``fills``, the limit itself applies where there is no value."""
        if limit is None:
            return
        value = values.get(key)
        if value is not None and value > limit:
            self._refuse(name, f"{value:g} is more than {limit:g}", limit_name)
        elif value is None and fills:
            values[key] = limit
            self._origins[name] = limit_name

    def _is_of_file(self, key: str) -> bool:
        return self._origins.get(key) == REPOSITORY_FILE

    def _refuse(self, key: str, problem: str, limit: str) -> None:
        origin = self._origins.get(key, DEFAULTS)
        self._problems.setdefault(origin, []).append(f'"{key}" of {origin}: {problem}, which is "{limit}"')

    def _raise_problems(self) -> None:
        parameter = [text for origin, texts in self._problems.items() if origin != REPOSITORY_FILE for text in texts]
        if parameter:
            raise ConfigurationInvalid("\n".join(parameter), "correct it in the configuration parameter")
        if problems := self._problems.get(REPOSITORY_FILE):
            raise WorkItemInvalid(
                "\n".join(problems),
                f"change {REPOSITORY_FILE} on the default branch, or ask the operators of this installation to raise"
                " the limit in the configuration parameter; then move the card back",
            )


def _default_agent(configuration: Configuration) -> str:
    agent = configuration.repository_defaults.agent
    return (agent and agent.name) or "kiro"


def _value(settings: RepositoryFile, path: Sequence[str]) -> tuple[bool, Any]:
    """Return whether ``settings`` has the key at ``path``, and its value."""
    current: BaseModel | None = settings
    for name in path[:-1]:
        current = getattr(current, name, None)
    last = path[-1]
    if current is None or last not in current.model_fields_set:
        return False, None
    value = getattr(current, last)
    return value is not None or last in _NULL_COUNTS, value
