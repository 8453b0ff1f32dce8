"""Node projects: npm, pnpm, yarn and bun, alone or with workspaces."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.package_managers import package_manager_of
from kiro_worker.runner.gate.ecosystems.parts import choose_parts
from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles, script, string, strings, table
from kiro_worker.runner.sandbox.printable import listed, printable_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from kiro_worker.runner.gate.ecosystems.package_managers import PackageManager

_INSTALL_SCRIPTS: Final = ("preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare")
"""https://docs.npmjs.com/cli/using-npm/scripts#npm-install"""
_DEPENDENCIES: Final = ("dependencies", "devDependencies", "optionalDependencies", "resolutions", "overrides")
_MAX_PACKAGES: Final = 100
_NO_TEST_SCRIPT: Final = "no test specified"
_PNPM_PACKAGE: Final = re.compile(r"^[ \t]*-[ \t]*['\"]?([^'\"#\s]+)['\"]?[ \t\r]*$", re.MULTILINE)
_MAX_PATTERNS: Final = 50
_MAX_LEVELS_UP: Final = 6


def detect_node(folder: Path) -> Detected | None:
    """Return how the Node project in ``folder`` is installed and tested; None if it has no ``package.json``.

    A package of a workspace is installed from the workspace's root, where the lock file is.
    """
    files = ProjectFiles(folder)
    if not files.has("package.json"):
        return None
    package = files.json("package.json")
    root, path_up = _workspace_root(folder)
    manager = package_manager_of(ProjectFiles(root))
    setup = manager.install
    if path_up:
        setup = script(f"cd {path_up}", *(setup[3:] if setup[0] == "sh" else (" ".join(setup),)))
    packages = _workspace_packages(files, package)
    found = Detected(
        *("node", _setup_reason(manager, path_up), setup),
        follows_sources=not any(map(_is_built_by_install, _documents(files, package, packages, root))),
    )
    if test_script(package):
        return replace(found, reason=f"{found.reason}; its test script → {manager.name} test", test=manager.test)
    if manager.name == "bun" and files.names("*.test.*", "*_test.*", "*.spec.*", "*_spec.*", levels=4):
        return replace(found, reason=f"{found.reason}; test files → bun test", test=manager.run("test"))
    if words := _task_runner(files, package, manager):
        runner = next(word for word in words if word in ("turbo", "nx", "lerna"))
        return replace(found, reason=f"{found.reason}; {runner} → its test task", test=words)
    return replace(found, problem=_problem(files, packages, manager), likely=bool(packages))


def test_script(package: Mapping[str, Any]) -> str:
    """Return the ``test`` script of a ``package.json``; empty if there is none, or only npm's placeholder."""
    found = string(table(package, "scripts"), "test")
    return "" if _NO_TEST_SCRIPT in found else found.strip()


def _documents(
    files: ProjectFiles, package: Mapping[str, Any], packages: tuple[str, ...], root: Path
) -> Iterator[Mapping[str, Any]]:
    """Yield the ``package.json`` of every package that an installation touches."""
    yield package
    yield ProjectFiles(root).json("package.json")
    yield from (files.json(f"{path}/package.json") for path in packages[:_MAX_PACKAGES])


def _is_built_by_install(package: Mapping[str, Any]) -> bool:
    """Return whether an installation runs a script of the package, which may compile its sources, or copies a folder.

    Yarn and bun copy what ``file:`` names, and pnpm a folder outside the workspace.
    """
    dependencies = (table(package, key) for key in _DEPENDENCIES)
    copies = any(string(each, name).startswith(("file:", ".", "/")) for each in dependencies for name in each)
    return copies or any(string(table(package, "scripts"), name) for name in _INSTALL_SCRIPTS)


def _setup_reason(manager: PackageManager, path_up: str) -> str:
    deciding = [manager.decided_by, manager.lock] if manager.decided_by != manager.lock else [manager.lock]
    names = [f"{path_up}/{name}" if path_up else name for name in deciding if name] or ["package.json"]
    reason = f"{' and '.join(names)} → {manager.installs_as}"
    if manager.node:
        reason += f"; asks for node {manager.node}"
    return reason


def _workspace_root(folder: Path) -> tuple[Path, str]:
    """Return the folder of the workspace that the package in ``folder`` belongs to, and the path up to it.

    It is the folder itself, and the path empty, if no folder above it is a workspace's with this package. Nothing
    above the repository's root is looked at.
    """
    files = ProjectFiles(folder)
    if not package_manager_of(files).lock:
        here, path = folder, ""
        for _ in range(_MAX_LEVELS_UP):
            if (here / ".git").exists():
                break
            here, path = here.parent, f"{path}/..".lstrip("/")
            above = ProjectFiles(here)
            package = above.json("package.json")
            is_member = str(folder.relative_to(here)) in _workspace_packages(above, package)
            if is_member:
                return here, path
    return folder, ""


def _workspace_packages(files: ProjectFiles, package: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the folders of the workspace's packages, relative to its root; empty if it is no workspace."""
    workspaces = package.get("workspaces")
    patterns = [
        *strings(workspaces if isinstance(workspaces, list) else table(package, "workspaces").get("packages")),
        *_lerna_patterns(files),
        *_PNPM_PACKAGE.findall(_packages_of(files.text("pnpm-workspace.yaml"))),
    ]
    found = {
        path for pattern in patterns[:_MAX_PATTERNS] if not pattern.startswith("!") for path in files.folders(pattern)
    }
    return tuple(sorted(path for path in found if files.has(f"{path}/package.json")))


def _lerna_patterns(files: ProjectFiles) -> tuple[str, ...]:
    if not files.has("lerna.json"):
        return ()
    return strings(files.json("lerna.json").get("packages")) or ("packages/*",)


def _packages_of(workspace: str) -> str:
    """Return the lines of the ``packages`` list in a ``pnpm-workspace.yaml``."""
    _, _, rest = f"\n{workspace}".partition("\npackages:")
    return re.split(r"\n(?=[A-Za-z])", rest)[0]


def _task_runner(files: ProjectFiles, package: Mapping[str, Any], manager: PackageManager) -> tuple[str, ...]:
    """Return the words that run the tests of all packages with turbo, nx or lerna; empty if none is set up.

    Results are not taken from a cache, which would repeat an old output.
    """
    dependencies = {*table(package, "devDependencies"), *table(package, "dependencies")}
    turbo = files.json("turbo.json")
    if "turbo" in dependencies and "test" in {*table(turbo, "tasks"), *table(turbo, "pipeline")}:
        return manager.program_of_package("turbo", "run", "test", "--force")
    if "nx" in dependencies and files.has("nx.json"):
        return manager.program_of_package("nx", "run-many", "--target=test", "--skip-nx-cache")
    if "lerna" in dependencies and files.has("lerna.json"):
        return manager.program_of_package("lerna", "run", "test")
    return ()


def _problem(files: ProjectFiles, packages: tuple[str, ...], manager: PackageManager) -> str:
    tested = [path for path in packages if test_script(files.json(f"{path}/package.json"))]
    if not tested:
        return (
            'package.json has no "test" script. Add one, or write the command into .kiro-worker.yml, for example'
            f' "test: {manager.name} run test:unit"'
        )
    why = f'package.json is the root of a workspace without a "test" script; {listed(tested, printable_name)} have one'
    return f"{choose_parts(tested, why)}\nor, for all packages at once,\ntest: {_all_packages(manager)}"


def _all_packages(manager: PackageManager) -> str:
    """Return the command that runs the test scripts of all packages."""
    if manager.name == "pnpm":
        return "pnpm --recursive run test"
    if manager.name == "bun":
        return "bun run --filter '*' test"
    if manager.name == "yarn":
        is_classic = manager.is_classic_yarn
        return "yarn workspaces run test" if is_classic else "yarn workspaces foreach --all run test"
    return "npm test --workspaces --if-present"
