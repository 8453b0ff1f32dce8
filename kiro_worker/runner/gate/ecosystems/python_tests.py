"""How the tests of a Python project run, found out from its settings and from the first lines of its test files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.report_files import Unreadable, read_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kiro_worker.runner.gate.ecosystems.python_project import PythonProject

_MOST_FILES: Final = 20_000
_MOST_TESTS: Final = 100
_LARGEST_TEST: Final = 256 * 1024
_SKIPPED: Final = frozenset(("build", "dist", "docs", "env", "examples", "node_modules", "site-packages", "venv"))
_OTHER_PROJECT: Final = frozenset(("pyproject.toml", "setup.py", "Pipfile", "package.json"))
_TEST_FILE: Final = re.compile(r"test_.*\.py|tests?\.py|.+_tests?\.py")
_USES_PYTEST: Final = re.compile(rb"^[ \t]*(?:import|from)[ \t]+pytest\b|^(?:async[ \t]+)?def[ \t]+test", re.MULTILINE)
_USES_UNITTEST: Final = re.compile(rb"TestCase\b")
_TEST_METHOD: Final = re.compile(rb"^[ \t]+(?:async[ \t]+)?def[ \t]+test", re.MULTILINE)


@dataclass(frozen=True)
class TestFiles:
    """The Python test files of a folder. Pytest also runs those that use unittest."""

    __test__ = False

    paths: tuple[str, ...] = ()
    needs_pytest: bool = False
    uses_unittest: bool = False

    @classmethod
    def found_in(cls, folder: Path) -> TestFiles:
        """Return what the first test files in ``folder`` show."""
        paths = tuple(islice(_test_files(folder), _MOST_TESTS))
        contents = [_content(folder / path) for path in paths]
        return cls(
            paths,
            any(map(_needs_pytest, contents)),
            any(map(_USES_UNITTEST.search, contents)),
        )


def unittest_options(folder: Path, files: TestFiles) -> tuple[str, ...] | None:
    """Return the options with which unittest finds all test files; None if it cannot.

    It looks only into folders that are packages, and only at files whose names begin with ``test``.
    """
    paths = [Path(path) for path in files.paths]
    if not all(path.name.startswith("test") for path in paths):
        return None
    parents = {folder / parent for path in paths for parent in path.parents if parent.parts}
    if all((parent / "__init__.py").is_file() for parent in parents):
        return ("discover", "-v")
    if {str(path.parent) for path in paths} == {"tests"}:
        return ("discover", "-v", "-s", "tests")
    return None


def is_django(project: PythonProject) -> bool:
    """Return whether the project's ``manage.py`` is Django's."""
    return "DJANGO_SETTINGS_MODULE" in project.settings.text("manage.py")


def _test_files(folder: Path) -> Iterator[str]:
    remaining = _MOST_FILES
    for parent, folders, names in os.walk(folder):
        if parent != str(folder) and _is_other_project(Path(parent), names):
            folders.clear()
            continue
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _SKIPPED and not name.endswith(".egg-info")
        )
        for name in sorted(names):
            remaining -= 1
            if remaining < 0:
                return
            if _TEST_FILE.fullmatch(name):
                yield str(Path(parent, name).relative_to(folder))


def _is_other_project(folder: Path, names: Sequence[str]) -> bool:
    """Return whether a folder below the root is a project, whose tests need more than the root's project installs."""
    is_for_tests = folder.name in ("test", "tests", "testing")
    return any(name in _OTHER_PROJECT for name in names) or ("requirements.txt" in names and not is_for_tests)


def _needs_pytest(content: bytes) -> bool:
    is_plain_class = _TEST_METHOD.search(content) and not _USES_UNITTEST.search(content)
    return bool(is_plain_class or _USES_PYTEST.search(content))


def _content(path: Path) -> bytes:
    try:
        return read_report(path, _LARGEST_TEST)
    except Unreadable:
        return b""
