"""The settings of a project's own test tools, read from its files as the tools read them.

The files are the agent's: only small regular files inside the folder are read, with the parsers of the standard
library, and a file that cannot be read counts as missing and gets a note.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from configparser import ConfigParser
from configparser import Error as IniError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.runner.gate.report_files import Unreadable, read_report, regular_file_in
from kiro_worker.runner.sandbox.printable import printable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MAX_SETTINGS_BYTES: Final = 512 * 1024
_LONGEST_CAUSE: Final = 200
_MOST_DOTS: Final = 100
_LONG_KEY: Final = re.compile(
    r"(?:^[ \t\[]*|[{,][ \t]{0,50})(?:(?:[\w-]{1,200}|\"[^\".]{0,200}\"|'[^'.]{0,200}')[ \t]{0,50}\.[ \t]{0,50}){100}"
)
_PYTEST_FILES: Final = (
    # In pytest's order of precedence: https://docs.pytest.org/en/stable/reference/customize.html
    *("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"),
)
_ALWAYS_PYTEST: Final = frozenset(_PYTEST_FILES[:4])
"""These configure pytest even if they are empty."""
_COVERAGE_FILES: Final = (
    # https://coverage.readthedocs.io/en/latest/config.html
    *((".coveragerc", ""), (".coveragerc.toml", ""), ("setup.cfg", "coverage:"), ("tox.ini", "coverage:")),
    ("pyproject.toml", ""),
)


@dataclass(frozen=True)
class CoverageRequest:
    """What pytest's ``addopts`` say about coverage: that it ``is_measured``, or that it ``is_off``."""

    is_measured: bool = False
    is_off: bool = False


class ProjectSettings:
    """Reads the settings in ``folder``. ``notes`` says which files could not be read, and why."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._documents: dict[str, Mapping[str, Any] | None] = {}
        self.notes: list[str] = []

    def has(self, name: str) -> bool:
        """Return whether the folder has a regular file ``name``."""
        return regular_file_in(self._folder, name) is not None

    def document(self, name: str) -> Mapping[str, Any] | None:
        """Return the parsed file; None if there is none. A file that cannot be parsed is empty, and gets a note."""
        if name not in self._documents:
            self._documents[name] = self._parsed(name)
        return self._documents[name]

    def text(self, name: str) -> str:
        """Return the content of a small regular file; empty if there is none, or it cannot be read."""
        path = regular_file_in(self._folder, name)
        try:
            return read_report(path, MAX_SETTINGS_BYTES).decode("utf-8-sig", "replace") if path else ""
        except Unreadable as error:
            self.notes.append(printable_name(f"file ignored: {error}"))
            return ""

    @property
    def uses_pytest(self) -> bool:
        """Whether pytest is configured, or has a ``conftest.py``."""
        return self._pytest() is not None or self.has("conftest.py") or self.has("tests/conftest.py")

    @property
    def pytest_coverage(self) -> CoverageRequest:
        """What the ``addopts`` of pytest's configuration say about coverage."""
        is_measured = is_off = False
        previous = ""
        for option in _words((self._pytest() or {}).get("addopts")):
            plugin = option if previous == "-p" else option.removeprefix("-p")
            if plugin != option or previous == "-p":
                is_off = is_off or plugin.strip() in ("no:cov", "no:pytest_cov")
            elif option == "--cov" or option.startswith("--cov="):
                is_measured = True
            elif option == "--cov-reset":
                is_measured = False
            elif option == "--no-cov":
                is_off = True
            previous = option
        return CoverageRequest(is_measured and not is_off, is_off)

    @property
    def coverage_run(self) -> Mapping[str, Any]:
        """The ``run`` section of coverage.py's configuration, from the first file that configures it."""
        for name, prefix in _COVERAGE_FILES:
            document = self.document(name)
            if document is None:
                continue
            sections = {key: value for key, value in document.items() if key.startswith(prefix)}
            if name.endswith(".toml"):
                sections = dict(table(document, "tool", "coverage")) or (sections if name != "pyproject.toml" else {})
            if sections or name == ".coveragerc":
                return table(sections, f"{prefix}run")
        return {}

    def _pytest(self) -> Mapping[str, Any] | None:
        """Return pytest's settings from the file that pytest would use; None if no file configures it."""
        for name in _PYTEST_FILES:
            document = self.document(name)
            if document is None:
                continue
            found = _pytest_section(name, document)
            if found is not None or name in _ALWAYS_PYTEST:
                return found or {}
        return None

    def _parsed(self, name: str) -> Mapping[str, Any] | None:
        path = regular_file_in(self._folder, name)
        if path is None:
            return None
        try:
            return _parser_of(name)(read_report(path, MAX_SETTINGS_BYTES).decode("utf-8-sig"))
        except Unreadable as error:
            cause = str(error)
        except (ValueError, IniError, RecursionError) as error:
            cause = f"{name}: {str(error)[:_LONGEST_CAUSE]}"
        self.notes.append(printable_name(f"settings ignored: {cause}"))
        return {}


def _parser_of(name: str) -> Callable[[str], Mapping[str, Any]]:
    if name.endswith(".toml") or name == "Pipfile":
        return parsed_toml
    return _json_object if name.endswith(".json") else parsed_ini


def parsed_toml(text: str) -> Mapping[str, Any]:
    """Return a TOML document. Raises :class:`ValueError`, also for a key of very many parts.

    The parser's time grows with the square of their number.
    """
    if any(line.count(".") > _MOST_DOTS and _LONG_KEY.search(line) for line in text.splitlines()):
        raise ValueError("a key has too many parts")
    return tomllib.loads(text)


def _json_object(text: str) -> Mapping[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("the file contains no object")
    return document


def parsed_ini(text: str) -> Mapping[str, Any]:
    """Return the sections of an INI file. Raises :class:`configparser.Error`."""
    # No section gives defaults to the others, and nothing is interpolated.
    parser = ConfigParser(interpolation=None, strict=False, allow_no_value=True, default_section="\0")
    parser.read_string(text)
    return {section: dict(parser.items(section)) for section in parser.sections()}


def table(document: Mapping[str, Any] | None, *keys: str) -> Mapping[str, Any]:
    """Return the object below ``keys``; empty if there is none."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _pytest_section(name: str, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if name == "pyproject.toml":
        settings = table(document, "tool").get("pytest")
        if not isinstance(settings, dict):
            return None
        ini_options = settings.get("ini_options")
        # Since pytest 9, [tool.pytest] itself has settings.
        return ini_options if isinstance(ini_options, dict) else settings
    section = document.get("tool:pytest" if name == "setup.cfg" else "pytest")
    return section if isinstance(section, dict) else None


def _words(value: object) -> list[str]:
    """Return options that are written as a list or as one string."""
    if isinstance(value, list):
        return [word for word in value if isinstance(word, str)]
    try:
        return shlex.split(value) if isinstance(value, str) else []
    except ValueError:
        return []
