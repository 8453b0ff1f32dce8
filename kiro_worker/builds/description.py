"""A build as CodeBuild describes it: the Cause of ``startBuild.sync`` in PascalCase, BatchGetBuilds in camelCase.

Both are read leniently: a part that is missing or has another shape counts as absent, because the description decides
only what people are told, and a strange one must not hide the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

IN_PROGRESS: Final = "IN_PROGRESS"
_UNREMARKABLE: Final = frozenset({"", "SUCCEEDED", IN_PROGRESS})


@dataclass(frozen=True)
class Phase:
    """One phase of a build. ``message`` is what its contexts say: ``statusCode: message``, one line per context."""

    name: str
    status: str = ""
    seconds: int = 0
    message: str = ""


@dataclass(frozen=True)
class BuildDescription:
    """A build. A text that CodeBuild did not give is empty, and a number 0. ``variables`` are those it exported.

    ``inputs`` are the environment variables that it was started with. ``log_url`` is its log in the console.
    """

    id: str
    arn: str = ""
    status: str = ""
    log_url: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    phases: tuple[Phase, ...] = ()
    image: str = ""
    compute_type: str = ""
    project: str = ""
    source: str = ""
    timeout_minutes: int = 0
    queue_timeout_minutes: int = 0
    inputs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_cause(cls, cause: str) -> BuildDescription | None:
        """The build in the Cause of a failed ``startBuild.sync``; ``None`` for any other text, or a truncated one."""
        try:
            build = json.loads(cause)["Build"]
        except (ValueError, KeyError, TypeError):
            return None
        described = cls.from_api(_camel(build))
        return described if described.id else None

    @classmethod
    def from_api(cls, build: Any) -> BuildDescription:
        """The build in an answer of BatchGetBuilds or StopBuild."""
        fields = _mapping(build)
        environment = _mapping(fields.get("environment"))
        return cls(
            id=_text(fields, "id"),
            arn=_text(fields, "arn"),
            status=_text(fields, "buildStatus"),
            log_url=_text(_mapping(fields.get("logs")), "deepLink"),
            variables=_pairs(fields.get("exportedEnvironmentVariables")),
            phases=tuple(_phase(_mapping(phase)) for phase in _list(fields.get("phases"))),
            image=_text(environment, "image"),
            compute_type=_text(environment, "computeType"),
            project=_text(fields, "projectName"),
            source=_text(_mapping(fields.get("source")), "location"),
            timeout_minutes=_number(fields, "timeoutInMinutes"),
            queue_timeout_minutes=_number(fields, "queuedTimeoutInMinutes"),
            inputs=_pairs(environment.get("environmentVariables")),
        )

    @property
    def is_running(self) -> bool:
        return self.status == IN_PROGRESS

    @property
    def failed_phase(self) -> Phase | None:
        """The first phase that did not succeed, which is the one that explains the failure."""
        return next((phase for phase in self.phases if phase.status not in _UNREMARKABLE), None)

    def exported(self, name: str) -> str:
        """The exported variable ``name``; empty if the build did not export it."""
        return dict(self.variables).get(name, "")

    def started_with(self, **inputs: str) -> bool:
        """Whether the build was started with these environment variables."""
        return inputs.items() <= dict(self.inputs).items()


def _phase(phase: Mapping[str, Any]) -> Phase:
    contexts = [_mapping(context) for context in _list(phase.get("contexts"))]
    lines = [": ".join(filter(None, (_text(each, "statusCode"), _text(each, "message")))).strip() for each in contexts]
    # CodeBuild gives every phase that succeeded an empty context, whose text is a lone colon.
    message = "\n".join(line for line in lines if line.strip(": "))
    return Phase(_text(phase, "phaseType"), _text(phase, "phaseStatus"), _number(phase, "durationInSeconds"), message)


def _pairs(variables: Any) -> tuple[tuple[str, str], ...]:
    # JSONata turns a list with a single element into that element.
    listed = [variables] if isinstance(variables, Mapping) else _list(variables)
    return tuple((_text(each, "name"), _text(each, "value")) for each in map(_mapping, listed))


def _camel(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key)[:1].lower() + str(key)[1:]: _camel(item) for key, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return "" if value is None or isinstance(value, (Mapping, list)) else str(value)


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**53 else 0
