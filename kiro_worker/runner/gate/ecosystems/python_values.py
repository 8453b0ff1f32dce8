"""Values of Python's manifests, which can have any shape: read as lists of names and of requirements."""

from __future__ import annotations

import re
from configparser import Error as IniError
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.runner.gate.project_settings import parsed_ini, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TEST_NAMES: Final = ("test", "tests", "testing")
DEV_NAMES: Final = ("dev", "develop", "development")
"""The names of extras and dependency groups that hold what the tests need."""
PACKAGE_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,100}[A-Za-z0-9])?")
MOST_ENTRIES: Final = 200
"""No more than this many dependencies of one list are read."""


def normalized(name: str) -> str:
    """Return the name of a distribution, an extra or a group as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names_for_tests(names: Iterable[object]) -> tuple[str, ...]:
    """Return those names, without repetition, that say that the tests need what they name. Tests come first."""
    known = [name for name in names if isinstance(name, str) and PACKAGE_NAME.fullmatch(name)]
    chosen = [name for wanted in (*TEST_NAMES, *DEV_NAMES) for name in known if normalized(name) == wanted]
    return tuple(dict.fromkeys(chosen))


def requirements_in(value: object) -> tuple[str, ...]:
    """Return the requirements of a list that pip can be given as they are."""
    texts = value[:MOST_ENTRIES] if isinstance(value, list) else ()
    return tuple(text for text in texts if isinstance(text, str) and text[:1].isalnum() and "{" not in text)


def words_in(value: object) -> list[str]:
    return re.split(r"[\s,]+", value) if isinstance(value, str) else [v for v in as_list(value) if isinstance(v, str)]


def lines_in(value: object) -> list[str]:
    return value.splitlines() if isinstance(value, str) else [v for v in as_list(value) if isinstance(v, str)]


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def legacy_tox(toml: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``testenv`` of a configuration that is an INI file within ``pyproject.toml``."""
    text = toml.get("legacy_tox_ini")
    try:
        return table(parsed_ini(text), "testenv") if isinstance(text, str) else {}
    except IniError:
        return {}
