"""Go modules and workspaces."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles
from kiro_worker.runner.sandbox.printable import printable_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COMMENT: Final = re.compile(r"//[^\n]*")
_USE: Final = re.compile(r"^[ \t]*use(?:[ \t]*\(|[ \t]+(\S+))", re.MULTILINE)
_MAX_MODULES: Final = 200
_LEVELS: Final = 8


def detect_go(folder: Path) -> Detected | None:
    """Return how the Go module or workspace in ``folder`` is tested; None if there is none.

    Vendored dependencies need no setup.
    """
    files = ProjectFiles(folder)
    file = files.first("go.work", "go.mod")
    if not file:
        return None
    is_vendored = files.has("vendor/modules.txt")
    setup = () if is_vendored else ("go", "mod", "download")
    source = "vendor/modules.txt → no setup" if is_vendored else f"{file} → go mod download"
    if file == "go.mod":
        has_tests = bool(files.names("*_test.go", levels=_LEVELS))
        return Detected("go", f"{source}; go.mod → go test", setup, ("go", "test", "./..."), likely=has_tests)
    modules = _used_modules(files.text(file))
    outside = [module for module in modules if ".." in module.split("/") or module.startswith("/")]
    if not modules or outside:
        cause = f"uses {printable_name(outside[0])}, which is outside this folder" if outside else "uses no module"
        problem = (
            f'go.work {cause}. Write the test command into .kiro-worker.yml, for example "test: go test ./api/..."'
        )
        return Detected("go", source, setup, problem=problem)
    # Where go.work is, "./..." matches only the packages of a module in the same folder.
    packages = tuple("./..." if module == "." else f"./{module}/..." for module in modules)
    return Detected("go", f"{source}; its modules → go test", setup, ("go", "test", *packages))


def _used_modules(text: str) -> list[str]:
    """Return the folders that the ``use`` directives of a ``go.work`` name, without ``./``."""
    found: dict[str, None] = {}
    for names in _use_directives(_COMMENT.sub("", text)):
        for name in names.split():
            path = name.strip('"`').strip()
            found["/".join(part for part in path.split("/") if part not in ("", ".")) if path[:1] != "/" else path] = (
                None
            )
    return [name or "." for name in found][:_MAX_MODULES]


def _use_directives(text: str) -> Iterator[str]:
    """Yield what each directive names: one folder, or the lines of a block. The text is read once."""
    position = 0
    while directive := _USE.search(text, position):
        position = directive.end()
        if directive[1]:
            yield directive[1]
        elif (end := text.find(")", position)) >= 0:
            yield text[position:end]
            position = end
        else:
            return
