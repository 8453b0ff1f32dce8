"""Which files are tests, by the conventions of each ecosystem. Coverage counts product code only.

A test file runs in full when the tests run, so counting it raises the figure although it proves nothing.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
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


class RecognisedTests:
    """Contains the paths of test files as reports write them: relative, or absolute below ``folder``, the checkout."""

    def __init__(self, folder: Path) -> None:
        self._roots = tuple(f"{root.as_posix().rstrip('/')}/" for root in dict.fromkeys((folder, folder.resolve())))

    def __contains__(self, path: object) -> bool:
        inside = str(path).replace("\\", "/")
        for root in self._roots:
            if inside.startswith(root):
                return is_test_file(inside.removeprefix(root))
        # The folders above a checkout on another machine mean nothing here.
        return is_test_file(inside.removeprefix("./") if not inside.startswith("/") else PurePosixPath(inside).name)
