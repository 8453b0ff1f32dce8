"""Parses a buildspec.yml as CodeBuild does: the part of version 0.2 that a single build on Linux needs. It rejects the
rest by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")
_TOP = {"version", "env", "phases", "artifacts", "cache", "reports", "batch"}
_ENV = {"shell", "variables", "parameter-store", "secrets-manager", "exported-variables", "git-credential-helper"}
_REPORT = {"files", "base-directory", "file-format", "discard-paths"}
_PHASE = {"commands", "finally", "runtime-versions", "on-failure", "run-as"}


class BuildspecInvalid(ValueError):
    """The buildspec is invalid. CodeBuild reports it as YAML_FILE_ERROR."""


@dataclass(frozen=True)
class Phase:
    commands: tuple[str, ...] = ()
    finally_commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """A declared report: patterns of files below ``base_directory``. The embedded AWS stores no reports."""

    name: str
    files: tuple[str, ...]
    base_directory: str = "."

    def exists(self, source: Path) -> bool:
        """Whether any file in the build's folder ``source`` belongs to the report."""
        folder = source / self.base_directory
        return any(path.is_file() for pattern in self.files for path in folder.glob(pattern))


@dataclass(frozen=True)
class Buildspec:
    phases: Mapping[str, Phase]
    variables: Mapping[str, str]
    parameters: Mapping[str, str]
    secrets: Mapping[str, str]
    exported: tuple[str, ...]
    reports: tuple[Report, ...] = ()


def parse(text: str) -> Buildspec:
    """Parse a buildspec or raise BuildspecInvalid. ``runtime-versions`` has no effect; builds use this Python."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        raise BuildspecInvalid(f"the buildspec is not valid YAML: {problem}") from problem
    if not isinstance(document, dict) or str(document.get("version")) != "0.2":
        raise BuildspecInvalid("the buildspec must be a mapping with version 0.2")
    _known("", document, _TOP)
    environment = _mapping("env", document.get("env"))
    _known("env.", environment, _ENV)
    if environment.get("shell", "/bin/sh") not in ("sh", "/bin/sh"):
        raise BuildspecInvalid("env.shell: only /bin/sh is supported here")
    phases = _mapping("phases", document.get("phases"))
    _known("phases.", phases, set(PHASES))
    if not phases:
        raise BuildspecInvalid("phases: at least one is required")
    reports = _mapping("reports", document.get("reports"))
    return Buildspec(
        phases={name: _phase(name, phases.get(name)) for name in PHASES},
        variables=_strings("env.variables", environment.get("variables")),
        parameters=_strings("env.parameter-store", environment.get("parameter-store")),
        secrets=_strings("env.secrets-manager", environment.get("secrets-manager")),
        exported=_lines("env.exported-variables", environment.get("exported-variables")),
        reports=tuple(_report(name, report) for name, report in reports.items()),
    )


def _report(name: str, value: Any) -> Report:
    report = _mapping(f"reports.{name}", value)
    _known(f"reports.{name}.", report, _REPORT)
    files = _lines(f"reports.{name}.files", report.get("files"))
    return Report(name, files, str(report.get("base-directory", ".")))


def _phase(name: str, value: Any) -> Phase:
    phase = _mapping(f"phases.{name}", value)
    _known(f"phases.{name}.", phase, _PHASE)
    if phase.get("on-failure", "ABORT") != "ABORT" or "run-as" in phase:
        raise BuildspecInvalid(f"phases.{name}: on-failure other than ABORT and run-as are not supported here")
    return Phase(
        commands=_lines(f"phases.{name}.commands", phase.get("commands")),
        finally_commands=_lines(f"phases.{name}.finally", phase.get("finally")),
    )


def _known(path: str, mapping: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(map(str, mapping)) - known)
    if unknown:
        raise BuildspecInvalid(f"unknown key {path}{unknown[0]}; the known keys are {', '.join(sorted(known))}")


def _mapping(path: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BuildspecInvalid(f"{path} must be a mapping")
    return value


def _strings(path: str, value: Any) -> dict[str, str]:
    strings = _mapping(path, value)
    for name, text in strings.items():
        if isinstance(text, dict | list) or text is None:
            raise BuildspecInvalid(f"{path}.{name} must be a string")
    # YAML's booleans and numbers are strings to a shell.
    return {name: str(text).lower() if isinstance(text, bool) else str(text) for name, text in strings.items()}


def _lines(path: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(line, str | int | float) for line in value):
        raise BuildspecInvalid(f"{path} must be a list of strings")
    return tuple(str(line) for line in value)
