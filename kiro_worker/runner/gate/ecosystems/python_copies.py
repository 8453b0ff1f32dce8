"""Whether the installation of a Python project copies sources of the repository, which the work may change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.runner.gate.project_settings import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiro_worker.runner.gate.ecosystems.python_project import PythonProject

_PATH: Final = re.compile(r"\.{1,2}(?:[/\[]|$)|/|file:|[\w.-]+/|[^#]{0,300}@\s{0,20}file:")
_EDITABLE: Final = re.compile(r"(?:-e|--editable)\b")
_INCLUDED: Final = re.compile(r"(?:-r|--requirement)[ =]?\s{0,20}([\w./-]{1,200})")
_MOST_FILES: Final = 20
_MOST_LINES: Final = 2_000


def copies_sources(project: PythonProject) -> bool:
    """Return whether a folder of the repository is installed as a copy, so that it is old after the next change."""
    return any(map(_is_copied, _requirements(project))) or any(
        _is_path(source) for sources in _tables(project) for source in _each(sources)
    )


def _is_copied(requirement: str) -> bool:
    return bool(_PATH.match(requirement)) and not _EDITABLE.match(requirement)


def _requirements(project: PythonProject) -> Iterator[str]:
    """Yield every requirement as pip reads it, those of included files, too."""
    for key in ("project", "dependency-groups"):
        yield from _texts(project.pyproject.get(key))
    yield from _texts(project.tool("pdm", "dev-dependencies"))
    yield from (*project.hatch_requirements, *project.tox_requirements)
    waiting = list(project.requirement_files)
    for name in waiting:
        # The list grows while its files are read.
        for line in project.settings.text(name).splitlines()[:_MOST_LINES]:
            text = line.strip()
            if included := _INCLUDED.match(text):
                path = f"{name.rpartition('/')[0]}/{included[1]}".lstrip("/")
                if path not in waiting and len(waiting) < _MOST_FILES:
                    waiting.append(path)
            else:
                yield text


def _texts(value: object) -> Iterator[str]:
    """Yield the requirements in lists that name a file, at any depth of tables."""
    for each in value.values() if isinstance(value, Mapping) else ():
        if isinstance(each, list):
            yield from (text for text in each if isinstance(text, str) and "file:" in text)
        else:
            yield from _texts(each)


def _tables(project: PythonProject) -> Iterator[Mapping[str, Any]]:
    """Yield the tables of other tools that map a name to where it is installed from."""
    yield project.tool("uv", "sources")
    yield project.tool("poetry", "dependencies")
    yield project.tool("poetry", "dev-dependencies")
    for name in project.tool("poetry", "group"):
        yield project.tool("poetry", "group", name, "dependencies")
    pipfile = project.settings.document("Pipfile")
    yield table(pipfile, "packages")
    yield table(pipfile, "dev-packages")


def _each(sources: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for value in sources.values():
        yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, Mapping))


def _is_path(source: Mapping[str, Any]) -> bool:
    """Return whether a dependency is a folder that is copied, which Poetry, uv and Pipenv do unless told otherwise."""
    is_local = any(isinstance(source.get(key), str) for key in ("path", "file"))
    is_linked = source.get("develop") is True or source.get("editable") is True
    return (is_local and not is_linked) or source.get("editable") is False
