"""Which files are tests, by the conventions of each ecosystem. Coverage counts product code only.

A test file runs in full when the tests run, so counting it raises the figure although it proves nothing.
"""

from __future__ import annotations

import re
from fnmatch import translate
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_JAVASCRIPT: Final = (".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte")
_JVM: Final = (".java", ".kt", ".kts", ".groovy", ".scala")
_DOTNET: Final = (".cs", ".fs", ".vb")

_FILE_NAMES: Final = (
    # https://docs.pytest.org/en/stable/explanation/goodpractices.html#conventions-for-python-test-discovery
    ((".py",), r"test_.*|.*_test|tests?|conftest"),
    # https://jestjs.io/docs/configuration#testmatch-arraystring and https://vitest.dev/config/#include
    (_JAVASCRIPT, r".*\.(?:test|spec)|(?:test|spec)"),
    # https://pkg.go.dev/cmd/go#hdr-Test_packages
    ((".go",), r".*_test"),
    # https://maven.apache.org/surefire/maven-surefire-plugin/test-mojo.html#includes and failsafe's *IT
    (_JVM, r"Test[A-Z].*|.*Tests?|.*TestCase|.*[a-z0-9](?:IT|ITCase|Spec)"),
    ((".rb",), r".*_(?:spec|test)|(?:spec|test)_helper"),
    ((".php",), r".*Test"),
    ((".swift", *_DOTNET), r".*Tests?"),
    ((".rs",), r"tests?"),
    ((".c", ".cc", ".cpp", ".cxx"), r"test_.*|.*_(?:unit)?test"),
)
_FOLDER_NAMES: Final = (
    (_JAVASCRIPT, r"tests?|__tests__|__mocks__|specs?"),
    ((".go",), r"testdata"),
    ((".rb",), r"tests?|specs?"),
    (_DOTNET, r"tests?|.*\.(?:\w*)Tests?"),
    # Only below src: a package of product code may be called "test".
    (_JVM, r"(?!)"),
)
_HELPERS: Final = frozenset(("conftest", "spec_helper", "test_helper"))
_LONGEST_PATH: Final = 4096
"""PATH_MAX on Linux: a longer path names no file."""
_ANY_FOLDER: Final = re.compile("tests?", re.IGNORECASE)
_JVM_FOLDER: Final = re.compile(r"(?:^|/)src/(?:test|\w+Test|testFixtures)/")


def _by_suffix(rules: tuple[tuple[tuple[str, ...], str], ...]) -> dict[str, re.Pattern[str]]:
    return {suffix: re.compile(pattern) for suffixes, pattern in rules for suffix in suffixes}


_FILES_BY_SUFFIX: Final = _by_suffix(_FILE_NAMES)
_FOLDERS_BY_SUFFIX: Final = _by_suffix(_FOLDER_NAMES)
SOURCE_SUFFIXES: Final = frozenset(_FILES_BY_SUFFIX)


def is_test_file(path: str) -> bool:
    """Return whether ``path``, relative to the repository, is a test or exists only for tests."""
    if _JVM_FOLDER.search(path):
        return True
    file = PurePosixPath(path)
    name = _FILES_BY_SUFFIX.get(file.suffix)
    if name and name.fullmatch(file.stem):
        return True
    folder = _FOLDERS_BY_SUFFIX.get(file.suffix, _ANY_FOLDER)
    return any(folder.fullmatch(part) for part in file.parts[:-1])


def is_test_name(path: str) -> bool:
    """Return whether the file's own name makes it one that holds tests; a helper or a folder of tests does not."""
    file = PurePosixPath(path)
    name = _FILES_BY_SUFFIX.get(file.suffix)
    return bool(name and name.fullmatch(file.stem)) and file.stem not in _HELPERS


class NotProduct:
    """Contains the paths, as reports write them, of files that do not count toward coverage: tests, and those that
    ``exclude`` names by globs.

    A report writes a path from some folder: the checkout's, a source folder, a Java package or a Go module. ``files``
    are those of the checkout, relative to it. They say which file a path means; if several have it, all must be left
    out for the path to be.
    """

    def __init__(self, folder: Path, exclude: Iterable[str] = (), files: Iterable[str] = ()) -> None:
        self._roots = tuple(f"{root.as_posix().rstrip('/')}/" for root in dict.fromkeys((folder, folder.resolve())))
        self._exclude = tuple(map(Glob, exclude))
        self._files = frozenset(files)
        self._by_end: dict[str, list[str]] = {}
        for file in self._files:
            for end in _ends(file):
                self._by_end.setdefault(end, []).append(file)
        self._known: dict[str, bool] = {}

    def __contains__(self, path: object) -> bool:
        text = str(path)
        if text not in self._known:
            self._known[text] = self._is_left_out(text)
        return self._known[text]

    def _is_left_out(self, path: str) -> bool:
        inside = next((path.removeprefix(root) for root in self._roots if path.startswith(root)), path)
        for written in dict.fromkeys((inside, inside.replace("\\", "/"))):
            if meant := self._meant_by(written.removeprefix("./")):
                return all(map(self._leaves_out, meant))
        inside = inside.replace("\\", "/").removeprefix("./")
        # The folders above a checkout on another machine mean nothing here.
        return self._leaves_out(PurePosixPath(inside).name if inside.startswith("/") else inside)

    def _leaves_out(self, file: str) -> bool:
        return is_test_file(file) or any(glob.matches(file) for glob in self._exclude)

    def _meant_by(self, path: str) -> list[str]:
        """Return the files that ``path`` can mean: itself, or those that it is the end of, or the longest end of it."""
        if len(path) > _LONGEST_PATH:
            return []
        if path in self._files:
            return [path]
        return self._by_end.get(path) or [end for end in _ends(path) if end in self._files][:1]


def _ends(path: str) -> Iterator[str]:
    """Yield the path, and then without its first folder, without its first two …"""
    while path:
        yield path
        path = path.partition("/")[2]


class Glob:
    """A glob relative to the root of the repository: ``**`` stands for any number of folders, ``*`` for a part of a
    name. What matches a folder matches everything in it.
    """

    def __init__(self, pattern: str) -> None:
        self._parts = tuple(
            None if part == "**" else re.compile(translate(part)) for part in pattern.strip("/").split("/")
        )

    def matches(self, path: str) -> bool:
        """Return whether the glob matches ``path`` or one of its folders, in time proportional to both lengths."""
        # The positions in the glob that can come next.
        states = self._with_skipped({0})
        for part in path.split("/"):
            following: set[int] = set()
            for state in states:
                expected = self._parts[state]
                if expected is None:
                    following.update((state, state + 1) if state == len(self._parts) - 1 else (state,))
                elif expected.match(part):
                    following.add(state + 1)
            states = self._with_skipped(following)
            if len(self._parts) in states:
                return True
        return False

    def _with_skipped(self, states: set[int]) -> set[int]:
        """Return ``states`` and those after each ``**``, which can stand for nothing; at the end it needs a name."""
        found = set(states)
        for state in sorted(states):
            position = state
            while position < len(self._parts) - 1 and self._parts[position] is None:
                position += 1
                found.add(position)
        return found
