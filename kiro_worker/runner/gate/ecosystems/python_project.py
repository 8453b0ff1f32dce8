"""What the manifests of a Python project say, read as untrusted input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.runner.gate.ecosystems.python_values import (
    DEV_NAMES,
    MOST_ENTRIES,
    PACKAGE_NAME,
    TEST_NAMES,
    legacy_tox,
    lines_in,
    names_for_tests,
    normalized,
    requirements_in,
    words_in,
)
from kiro_worker.runner.gate.project_settings import ProjectSettings, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_BASE_REQUIREMENTS: Final = ("requirements", "requirements/requirements", "requirements/base", "requirements/common",
                             "requirements/main", "requirements/prod", "requirements/production")  # fmt: skip
_HATCH_ENVIRONMENTS: Final = ("default", *TEST_NAMES, "hatch-test", *DEV_NAMES)


class PythonProject:
    """The manifests in ``folder``. Names of extras and groups are as written, because older tools compare them so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = ProjectSettings(folder)
        self.has = self.settings.has

    @cached_property
    def pyproject(self) -> Mapping[str, Any]:
        """``pyproject.toml``; empty if there is none."""
        return self.settings.document("pyproject.toml") or {}

    def tool(self, *keys: str) -> Mapping[str, Any]:
        """Return a table below ``tool``; empty if there is none."""
        return table(self.pyproject, "tool", *keys)

    def uses_tool(self, name: str) -> bool:
        """Return whether ``pyproject.toml`` has the table of a tool, even if it is empty."""
        return name in table(self.pyproject, "tool")

    @property
    def needs_poetry(self) -> bool:
        """Whether only Poetry can install what the tests need.

        A project that lists everything in ``[project]`` and dependency groups is installed by pip, which is faster and
        reads the settings for a package index, which Poetry ignores.
        """
        own = self.tool("poetry").keys() & {"dependencies", "dev-dependencies", "group"}
        return self.uses_tool("poetry") and (bool(own) or "project" not in self.pyproject)

    @property
    def is_distribution(self) -> bool:
        """Whether pip can install the folder."""
        setup_cfg = self.settings.document("setup.cfg") or {}
        return self.has("setup.py") or bool(
            "project" in self.pyproject
            or "build-system" in self.pyproject
            or table(setup_cfg, "metadata").get("name")
            or table(setup_cfg, "options")
        )

    @property
    def has_build_system(self) -> bool:
        """Whether the project says how it is built, so that an error when it is installed is an error of its own."""
        return "build-system" in self.pyproject or self.has("setup.py")

    @property
    def name(self) -> str:
        """The distribution's name; empty if it is unknown."""
        setup_cfg = self.settings.document("setup.cfg") or {}
        for found in (
            self._project.get("name"),
            self.tool("poetry").get("name"),
            table(setup_cfg, "metadata").get("name"),
        ):
            if isinstance(found, str) and PACKAGE_NAME.fullmatch(found):
                return found
        match = re.search(r"\bname\s*=\s*[\"']([A-Za-z0-9._-]{1,100})[\"']", self.settings.text("setup.py"))
        return match[1] if match else ""

    @property
    def requires_python(self) -> str:
        """The specifier of the Python versions that the project accepts; empty if it accepts any."""
        setup_cfg, poetry = self.settings.document("setup.cfg") or {}, self.tool("poetry", "dependencies").get("python")
        pipfile = table(self.settings.document("Pipfile"), "requires")
        for found in (
            self._project.get("requires-python"),
            poetry,
            table(setup_cfg, "options").get("python_requires"),
            pipfile.get("python_full_version", pipfile.get("python_version")),
        ):
            if isinstance(found, str):
                return found.strip()
        match = re.search(r"\bpython_requires\s*=\s*[\"']([^\"']{1,200})[\"']", self.settings.text("setup.py"))
        return match[1] if match else ""

    @cached_property
    def extras(self) -> tuple[str, ...]:
        """The extras whose names say that the tests need them."""
        setup_cfg = self.settings.document("setup.cfg") or {}
        setup_py = self.settings.text("setup.py")
        # pip only warns about an extra that does not exist.
        written = re.findall(r"[\"']([A-Za-z0-9._-]{1,40})[\"']\s*(?:\]\s*=|:)", setup_py)
        return names_for_tests(
            (
                *table(self._project, "optional-dependencies"),
                *table(self.pyproject, "tool", "setuptools", "dynamic", "optional-dependencies"),
                *self.tool("poetry", "extras"),
                *table(setup_cfg, "options.extras_require"),
                *(written if "extras_require" in setup_py else ()),
                *words_in(self.tox_environment.get("extras")),
            )
        )

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The dependency groups of PEP 735 whose names say that the tests need them."""
        return names_for_tests(self._groups)

    @property
    def poetry_groups(self) -> tuple[str, ...]:
        """Poetry's own groups that the tests need."""
        return names_for_tests((*self.tool("poetry", "group"), *self._groups))

    @property
    def pdm_groups(self) -> tuple[str, ...]:
        """The development groups of PDM that the tests need."""
        return names_for_tests((*self.tool("pdm", "dev-dependencies"), *self._groups))

    @cached_property
    def test_requirements(self) -> tuple[str, ...]:
        """The requirements files whose names say that the tests need them.

        Those for development also list linters and what builds the documentation, so they count only without others.
        """
        return self._requirements_named(TEST_NAMES) or self._requirements_named(DEV_NAMES)

    def _requirements_named(self, names: Sequence[str]) -> tuple[str, ...]:
        shapes = ("requirements-{}", "requirements_{}", "requirements.{}", "{}-requirements", "{}_requirements",
                  "requirements/{}", "requirements/requirements-{}")  # fmt: skip
        inside = (f"{name}/requirements" for name in names)
        return self._files((*(shape.format(name) for name in names for shape in shapes), *inside))

    @cached_property
    def base_requirements(self) -> tuple[str, ...]:
        """The first requirements file that lists what the code itself needs."""
        return self._files(_BASE_REQUIREMENTS)[:1]

    @property
    def dependencies(self) -> tuple[str, ...]:
        """What ``[project]`` depends on."""
        return requirements_in(self._project.get("dependencies"))

    @cached_property
    def hatch_requirements(self) -> tuple[str, ...]:
        """The requirements of Hatch's own environments for tests and development, which only Hatch would install."""
        found: list[str] = []
        for name in _HATCH_ENVIRONMENTS:
            environment = self.tool("hatch", "envs", name)
            for key in ("dependencies", "extra-dependencies"):
                found += requirements_in(environment.get(key))
        return tuple(dict.fromkeys(found))

    @cached_property
    def tox_environment(self) -> Mapping[str, Any]:
        """The settings of tox's ``testenv``; empty if tox is not configured."""
        for name in ("tox.ini", "setup.cfg"):
            if (section := (self.settings.document(name) or {}).get("testenv")) is not None:
                return table({"": section}, "")
        toml = self.settings.document("tox.toml") or self.tool("tox")
        return table(toml, "env_run_base") or legacy_tox(toml)

    @property
    def tox_requirements(self) -> tuple[str, ...]:
        """The dependencies of tox's ``testenv`` that pip understands, without those for some environments only."""
        lines = [line.strip() for line in lines_in(self.tox_environment.get("deps"))]
        return tuple(
            line for line in lines if line and line[0].isalnum() and ":" not in line.split("@")[0] and "{" not in line
        )[:MOST_ENTRIES]

    @property
    def tox_requirement_files(self) -> tuple[str, ...]:
        """The requirements files that tox's ``testenv`` installs."""
        matches = (
            re.fullmatch(r"(?:-r|--requirement[ =])\s*(?:\{toxinidir\}/|\{tox_root\}/)?([\w./-]+)", line.strip())
            for line in lines_in(self.tox_environment.get("deps"))
        )
        return tuple(match[1] for match in matches if match and self.has(match[1]))

    @property
    def tox_commands(self) -> str:
        """The commands of tox's ``testenv``, as text."""
        return str(self.tox_environment.get("commands") or "")[:10_000]

    def mentions(self, package: str) -> bool:
        """Return whether a manifest of the project names ``package`` as a dependency that would be installed."""
        names = {normalized(name) for name in self._declared()}
        return package in names

    def _declared(self) -> Iterator[str]:
        """Yield the names of the distributions that the installation is asked for."""
        selected = [*self.dependencies, *self.hatch_requirements, *self.tox_requirements]
        for extra in self.extras:
            selected += requirements_in(table(self._project, "optional-dependencies").get(extra))
        for group in self.groups:
            selected += self._group(group)
        setup_cfg = self.settings.document("setup.cfg") or {}
        for text in (
            *(self.settings.text(name) for name in self.requirement_files),
            *(str(value or "") for value in table(setup_cfg, "options.extras_require").values()),
            str(table(setup_cfg, "options").get("install_requires") or ""),
        ):
            selected += text.splitlines()[:2000]
        for requirement in selected:
            if match := re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement):
                yield match[1]
        for keys in (
            ("dependencies",),
            ("dev-dependencies",),
            *(("group", name, "dependencies") for name in self.poetry_groups),
        ):
            yield from self.tool("poetry", *keys)
        pipfile = self.settings.document("Pipfile")
        yield from (*table(pipfile, "packages"), *table(pipfile, "dev-packages"))
        for groups in (self.tool("pdm", "dev-dependencies"), {"dev": self.tool("uv").get("dev-dependencies")}):
            for value in groups.values():
                yield from (re.split(r"[^A-Za-z0-9._-]", text)[0] for text in requirements_in(value))

    @property
    def requirement_files(self) -> tuple[str, ...]:
        """Every requirements file that the tests need."""
        return tuple(dict.fromkeys((*self.base_requirements, *self.test_requirements, *self.tox_requirement_files)))

    @property
    def _project(self) -> Mapping[str, Any]:
        return table(self.pyproject, "project")

    @property
    def _groups(self) -> Mapping[str, Any]:
        return table(self.pyproject, "dependency-groups")

    def _group(self, name: str, seen: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """Return the requirements of a group and of those that it includes."""
        by_name = {normalized(key): value for key, value in self._groups.items()}
        entries = by_name.get(normalized(name))
        found: list[str] = []
        for entry in entries[:MOST_ENTRIES] if isinstance(entries, list) else ():
            if isinstance(entry, str):
                found.append(entry)
            elif (
                isinstance(entry, Mapping)
                and isinstance(included := entry.get("include-group"), str)
                and (normalized(included) not in seen)
            ):
                found += self._group(included, seen | {normalized(name), normalized(included)})
        return tuple(found)

    def _files(self, stems: Iterable[str]) -> tuple[str, ...]:
        """Return those of the requirements files that exist; the compiled one of two."""
        found = (next((f"{stem}{end}" for end in (".txt", ".in") if self.has(f"{stem}{end}")), "") for stem in stems)
        return tuple(dict.fromkeys(filter(None, found)))
