"""Which tests the branch itself adds or changes. They describe the work, so their failures are never excused.

A report rarely says in which file a test is: pytest and Surefire give a module or a class, other tools only titles. So
each rule here answers "could the branch have changed this test?", and where that is not known, the answer is yes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.coverage.product import SOURCE_SUFFIXES, is_test_file, is_test_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kiro_worker.runner.gate.cases import Identity

_DOTTED_SUFFIXES: Final = frozenset((".py", ".java", ".kt", ".scala", ".groovy", ".rb", ".php", ".cs", ".fs", ".vb"))
"""The languages whose reporters write a path or package with dots: ``tests.test_shop`` for ``tests/test_shop.py``."""
_TITLED_SUFFIXES: Final = frozenset((".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte"))
"""The languages whose tests have free titles, which can look like a module of another language."""
_SUPPORT_FOLDERS: Final = re.compile(
    r"(?:test[-_]?data|_{0,2}fixtures_{0,2}|__snapshots__|__tests__|specs?)", re.IGNORECASE
)
_OWN_FOLDER_ONLY: Final = frozenset(("conftest.py", "__init__.py"))
_END_OF_PART: Final = re.compile(r"[.$\[\]() :/\\>#]|$")
_LONGEST_NAME: Final = 4096
"""PATH_MAX on Linux: no longer text names a file."""


class BranchTests:
    """The tests of a commit whose ``files`` are known, and of which the branch ``changed`` some against its base.

    All paths are relative to the repository. ``root`` is the folder in which the tests ran, for absolute paths.
    """

    def __init__(self, files: Iterable[str], changed: Iterable[str], root: str = "") -> None:
        self._files = frozenset(file for file in files if _may_hold_tests(file))
        self._root = f"{root.rstrip('/')}/" if root else ""
        self._changed = frozenset(changed)
        self._known: dict[Identity, frozenset[str]] = {}

    def must_pass(self, identity: Identity) -> bool:
        """Return whether the branch may have added or changed the test."""
        found = self.files_of(identity)
        if not found:
            return any(map(_may_hold_tests, self._changed))
        if any(file in self._changed or file.startswith(self._scopes) for file in found):
            return True
        is_titled = not identity.file and "/" not in identity.classname
        return is_titled and any(is_test_file(path) and _suffix(path) in _TITLED_SUFFIXES for path in self._changed)

    def files_of(self, identity: Identity) -> frozenset[str]:
        """Return the files that may hold the test; empty if that is not known."""
        if identity not in self._known:
            self._known[identity] = frozenset(self._find(identity))
        return self._known[identity]

    def without_test_in(self, identities: Iterable[Identity], changed: Iterable[str]) -> list[str]:
        """Return the test files among ``changed`` that hold none of the tests, by the rules of their language.

        Only languages count of which the file of at least one test is known.
        """
        known: set[str] = set()
        for identity in identities:
            known |= self.files_of(identity)
        suffixes = set(map(_suffix, known))
        return sorted(
            path
            for path in changed
            if path in self._files and path not in known and _suffix(path) in suffixes and is_test_name(path)
        )

    @property
    def has_test_files(self) -> bool:
        """Whether a file holds tests, by its name."""
        return any(map(is_test_name, self._files))

    def _find(self, identity: Identity) -> Iterable[str]:
        if identity.file:
            return self._at(identity.file)
        text = (identity.classname or identity.name)[:_LONGEST_NAME]
        # vitest writes the path of the file as the class.
        if ("/" in text or "." in text) and (found := self._at(text)):
            return found
        for end in sorted({match.start() for match in _END_OF_PART.finditer(text)}, reverse=True):
            name = text[:end]
            found = self._by_dotted_end.get(name, [])
            # One word can be any title, so only a file that is a test may have it as its name.
            found = found if "." in name else [file for file in found if is_test_file(file)]
            if found:
                return found
        return ()

    def _at(self, path: str) -> list[str]:
        written = path[:_LONGEST_NAME].replace("\\", "/").removeprefix(self._root).removeprefix("./")
        if found := self._by_end.get(written):
            return found
        return next((self._by_end[end] for end in _ends(written) if end in self._files), [])

    @cached_property
    def _by_end(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for file in self._files:
            for end in _ends(file):
                found[end].append(file)
        return dict(found)

    @cached_property
    def _by_dotted_end(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for file in self._files:
            suffix = _suffix(file)
            if suffix in _DOTTED_SUFFIXES:
                for end in _ends(file.removesuffix(suffix)):
                    found[end.replace("/", ".")].append(file)
        return dict(found)

    @cached_property
    def _scopes(self) -> tuple[str, ...]:
        """The folders whose tests use a changed file that is no test itself: data, helpers, fixtures, snapshots."""
        return tuple(f"{scope}/" if scope else "" for path in self._changed for scope in _scope_of(path))


def _scope_of(path: str) -> Iterator[str]:
    parts = path.split("/")
    suffix = _suffix(path)
    if is_test_file(path) and not is_test_name(path):
        if parts[-1] in _OWN_FOLDER_ONLY:
            yield "/".join(parts[:-1])
        else:
            # The outermost folder that makes it a test's file, or its own if its name does.
            folders = ("/".join(parts[:end]) for end in range(1, len(parts)))
            yield next((each for each in folders if is_test_file(f"{each}/x{suffix}")), "/".join(parts[:-1]))
    for position, part in enumerate(parts[:-1]):
        if _SUPPORT_FOLDERS.fullmatch(part) and not is_test_name(path):
            yield "/".join(parts[:position])
            return


def _may_hold_tests(path: str) -> bool:
    return _suffix(path) in SOURCE_SUFFIXES or is_test_file(path)


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix


def _ends(path: str) -> Iterator[str]:
    """Yield the path, and then without its first folder, without its first two …"""
    while path:
        yield path
        path = path.partition("/")[2]
