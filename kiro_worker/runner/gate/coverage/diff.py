"""Coverage of the lines that a change adds."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.coverage.model import Ratio
from kiro_worker.runner.gate.coverage.product import SOURCE_SUFFIXES, Glob, is_test_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kiro_worker.runner.gate.coverage.model import Coverage

_HUNK: Final = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPE: Final = re.compile(rb'\\(?:([0-3][0-7]{2})|([abtnvfr"\\]))')
_ESCAPED: Final = bytes.maketrans(b"abtnvfr", b"\a\b\t\n\v\f\r")


def changed_lines_coverage(
    coverage: Coverage,
    patch: bytes,
    root: str = "",
    exclude: Iterable[str] = (),
    directory: str = "",
    elsewhere: Iterable[str] = (),
) -> Ratio | None:
    """Return how many of the executable lines of product code that ``patch`` adds ran.

    Returns None if the report contains none of the patch's files, because it then proves nothing, unless tests and the
    files that the globs in ``exclude`` name are the only code that the patch changes. ``root`` is the folder with which
    absolute paths in the report begin.

    Only files in ``directory``, and not in the folders ``elsewhere`` of other checks, count. A patch that changes none
    of them has no lines to run.
    """
    if coverage.by_line is None:
        return None
    # A backslash can be a part of a name, or Windows' separator: the file names of the patch decide.
    reported = {_relative(path.replace("\\", "/"), root): lines for path, lines in coverage.by_line.items()}
    reported |= {_relative(path, root): lines for path, lines in coverage.by_line.items()}
    covered = total = 0
    others = tuple(f"{folder}/" for folder in elsewhere if _is_below(folder, directory))
    everything = changed_lines(patch)
    changed = {
        path[len(directory) + 1 if directory else 0 :]: lines
        for path, lines in everything.items()
        if _is_below(path, directory) and not path.startswith(others)
    }
    if everything and not changed and (directory or others):
        return Ratio(0, 0)
    globs = tuple(map(Glob, exclude))
    left_out = {path for path in changed if is_test_file(path) or any(glob.matches(path) for glob in globs)}
    code = SOURCE_SUFFIXES.union(PurePosixPath(path).suffix for path in reported)
    matched = bool(left_out) and not any(PurePosixPath(path).suffix in code for path in changed.keys() - left_out)
    for path, added in changed.items():
        if path in left_out:
            continue
        names = [path] if path in reported else [name for name in reported if _is_same_file(name, path)]
        if not names:
            continue
        # Several folders can hold a file of that name: take the path that is closest in length.
        lines = reported[min(names, key=lambda name: abs(len(name) - len(path)))]
        matched = True
        executable = added & lines.keys()
        total += len(executable)
        covered += sum(lines[line] for line in executable)
    return Ratio(covered, total) if matched else None


def changed_lines(patch: bytes) -> dict[str, set[int]]:
    """Return the numbers of the lines that a git patch adds, by path.

    Hunks are read by their lengths, so that an added line that itself looks like a patch is not mistaken for one.
    """
    files: dict[str, set[int]] = {}
    path, number, old_left, new_left = "", 0, 0, 0
    for line in patch.split(b"\n"):
        if old_left > 0 or new_left > 0:
            kind = line[:1]
            if kind == b"+":
                files.setdefault(path, set()).add(number)
            number += kind in (b"+", b" ", b"")
            new_left -= kind in (b"+", b" ", b"")
            old_left -= kind in (b"-", b" ", b"")
        elif hunk := _HUNK.match(line):
            old_left, number, new_left = int(hunk[1] or b"1"), int(hunk[2]), int(hunk[3] or b"1")
        elif line.startswith(b"+++ "):
            path = unquoted(line[4:]).decode(errors="replace").removeprefix("b/")
    return {path: lines for path, lines in files.items() if path != "/dev/null"}


def unquoted(name: bytes) -> bytes:
    r"""Return a file name as it is, from the form in which git's patches write it.

    Git quotes a name that has a control character, a quote, a backslash or, by default, a byte above 127, like a C
    string (``"b/na\303\257ve.py"``), and ends a name that has a space with a tab.
    https://git-scm.com/docs/git-config#Documentation/git-config.txt-corequotePath
    """
    name = name.removesuffix(b"\t")
    if len(name) < 2 or not (name.startswith(b'"') and name.endswith(b'"')):
        return name
    return _ESCAPE.sub(
        lambda escape: bytes([int(escape[1], 8)]) if escape[1] else escape[2].translate(_ESCAPED), name[1:-1]
    )


def _is_below(path: str, directory: str) -> bool:
    return not directory or path.startswith(f"{directory}/")


def _relative(path: str, root: str) -> str:
    inside = path.removeprefix(f"{root.rstrip('/')}/") if root else path
    return inside.removeprefix("./")


def _is_same_file(reported: str, path: str) -> bool:
    """Return whether ``reported`` means ``path``. Reports prepend a module name, or leave out the source folder."""
    return "/" in reported and (path.endswith(f"/{reported}") or reported.endswith(f"/{path}"))
