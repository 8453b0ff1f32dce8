"""Which package manager a Node project uses, in which version, and how it installs and runs.

A manager that the image lacks, or has in another version, is installed from the npm registry into setup's home, at
``~/.local``. Corepack is not needed: newer versions of Node lack it, it must write next to ``node``, and it ignores
npm's own settings for registries and proxies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from kiro_worker.runner.gate.ecosystems.node_versions import lines_that_install_node, npm_install_locally, wanted_node
from kiro_worker.runner.gate.ecosystems.project_files import script, string, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles

Name = Literal["npm", "pnpm", "yarn", "bun"]

_NAMES: Final[tuple[Name, ...]] = ("npm", "pnpm", "yarn", "bun")
_LOCK_FILES: Final[Mapping[str, Name]] = {
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
    # Last, because some projects keep npm's beside that of the manager that they use.
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
}
_PINNED: Final = re.compile(r"(npm|pnpm|yarn|bun)@(\d+(?:\.\d+){0,2}(?:-[0-9A-Za-z.]+)?)(?:\+|$)")
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?$")
_PNPM_LOCK: Final = re.compile(r"lockfileVersion:\s*['\"]?(\d+)\.(\d+)")
_YARN_LOCK: Final = re.compile(r"__metadata:\s+version:\s*(\d+)")
_YARN_OF_LOCK: Final = {"4": "2.4", "5": "3.1", "6": "3.8", "8": "4.5"}
"""The last version that writes a format of the lock file. ``--immutable`` rejects one that would write another."""
_YARN_PATH: Final = re.compile(r"^yarnPath:\s*[\"']?(\.?[\w@/.-]+\.[cm]?js)[\"']?\s*$", re.MULTILINE)
_PACKAGES: Final = re.compile(r"^packages:", re.MULTILINE)
_PNPM_10_SETTING: Final = re.compile(r"^(?!packages|catalogs?)[a-z]\w*:", re.MULTILINE)
"""Any other key of ``pnpm-workspace.yaml``: versions before 10 ignore it. https://pnpm.io/settings"""
_LOCAL: Final = 'export PATH="$HOME/.local/bin:$PATH"'


@dataclass(frozen=True)
class PackageManager:
    """A manager, the ``version`` to install (a prefix such as ``9`` for any of it), and the file that decided.

    ``lock`` is its lock file; empty if the project has none. ``program`` is the file of the project that is the manager
    itself, as yarn's ``yarnPath`` names it. ``node`` is the range of versions of Node that the project asks for.
    """

    name: Name
    version: str = ""
    lock: str = ""
    decided_by: str = ""
    program: str = ""
    node: str = ""

    @property
    def is_classic_yarn(self) -> bool:
        """Whether it is yarn 1, whose options differ."""
        return self.name == "yarn" and self.version.partition(".")[0] == "1"

    @property
    def install(self) -> tuple[str, ...]:
        """The words that install the project's dependencies."""
        if self.name != "npm":
            return script(*self._lines_before, f"{self._call} {self._install_arguments}")
        words = ("npm", "ci", *_QUIET) if self.lock else ("npm", "install", "--no-package-lock", *_QUIET)
        return script(_LOCAL, *lines_that_install_node(self.node), " ".join(words)) if self.node else words

    def run(self, *arguments: str) -> tuple[str, ...]:
        """Return the words that run the manager with ``arguments``. The gate finds it where :attr:`install` puts it."""
        return (*self._call.split(), *arguments)

    @property
    def test(self) -> tuple[str, ...]:
        """The words that run the ``test`` script."""
        return self.run("test") if self.name == "npm" else self.run("run", "test")

    def program_of_package(self, *arguments: str) -> tuple[str, ...]:
        """Return the words that run a program that a dependency brings."""
        if self.name == "npm":
            return ("npx", "--no-install", *arguments)
        return self.run("exec" if self.name == "pnpm" else "run", *arguments)

    @property
    def installs_as(self) -> str:
        """What :attr:`install` does, for people."""
        if self.name == "npm":
            return "npm ci" if self.lock else "npm install"
        version = f" ({self.name} {self.version})" if self.version and not self.program else ""
        return f"{self._call} {self._install_arguments}{version}"

    @property
    def _call(self) -> str:
        return f"node {self.program}" if self.program else self.name

    @property
    def _install_arguments(self) -> str:
        if self.name == "yarn":
            if self.is_classic_yarn:
                return f"install --non-interactive {'--frozen-lockfile' if self.lock else '--no-lockfile'}"
            return f"install {'--immutable' if self.lock else '--no-immutable'}"
        if self.name == "pnpm":
            return f"install {'--frozen-lockfile' if self.lock else '--no-lockfile'}"
        return f"install {'--frozen-lockfile' if self.lock else '--no-save'}"

    @property
    def _lines_before(self) -> tuple[str, ...]:
        lines = [_LOCAL, *lines_that_install_node(self.node)]
        if not self.program:
            package = "@yarnpkg/cli-dist" if self.name == "yarn" and not self.is_classic_yarn else self.name
            wanted = f"{package}@{self.version}" if self.version else package
            lines += [
                # The folder's own settings must not choose: a corepack shim would, and might ask a question.
                f'case "$(cd / && {self.name} --version 2> /dev/null < /dev/null)" in',
                f"  {self._installed_pattern}) ;;",
                f"  *) {npm_install_locally(wanted, package)} ;;",
                "esac",
            ]
        if self.name == "yarn" and not self.is_classic_yarn:
            # Later versions of yarn read no setting of npm's.
            lines.append(
                '[ -z "${npm_config_registry:-}" ] || grep -qs "^npmRegistryServer" .yarnrc.yml ||'
                ' export YARN_NPM_REGISTRY_SERVER="${YARN_NPM_REGISTRY_SERVER:-$npm_config_registry}"'
            )
        return tuple(lines)

    @property
    def _installed_pattern(self) -> str:
        """What the version of an installed program has to match, as a pattern of the shell."""
        if not self.version:
            return "[0-9]*"
        return self.version if _VERSION.match(self.version) else f"{self.version}.*"


_QUIET: Final = ("--no-audit", "--no-fund")


def package_manager_of(files: ProjectFiles) -> PackageManager:
    """Return the manager of the project in ``files``: as its ``package.json`` pins it, or else as its lock file says.

    A project without either uses npm.
    """
    package = files.json("package.json")
    name, version, decided_by = _pinned(package)
    lock = next((lock for lock in _LOCK_FILES if files.has(lock) and name in ("", _LOCK_FILES[lock])), "")
    if not name:
        name = _LOCK_FILES[lock] if lock else _without_lock(files)
    node = wanted_node(files, package)
    if name == "yarn":
        return replace(_yarn(files, version, lock, decided_by or lock), node=node)
    if name == "pnpm" and not version:
        version = _pnpm_version(files, package, lock)
    return PackageManager(name, "" if name == "npm" else version, lock, decided_by or lock, node=node)


def _pinned(package: Mapping[str, Any]) -> tuple[Name | Literal[""], str, str]:
    """Return what ``package.json`` pins: manager, version, and the key that does; empty if it pins nothing."""
    if pin := _PINNED.match(string(package, "packageManager")):
        name = next(name for name in _NAMES if name == pin[1])
        return name, pin[2], "packageManager"
    for key, pins in (
        ("devEngines", _dev_engine(package)),
        # https://docs.volta.sh/guide/understanding#managing-your-project
        ("volta", {name: string(table(package, "volta"), name) for name in ("pnpm", "yarn")}),
    ):
        for name in _NAMES:
            if _VERSION.match(pins.get(name, "")):
                return name, pins[name], key
    return "", "", ""


def _dev_engine(package: Mapping[str, Any]) -> Mapping[str, str]:
    """Return manager and version of npm's newer form, ``devEngines.packageManager``."""
    engine = table(package, "devEngines", "packageManager")
    return {string(engine, "name"): string(engine, "version")}


def _without_lock(files: ProjectFiles) -> Name:
    if files.has("pnpm-workspace.yaml"):
        return "pnpm"
    if files.has(".yarnrc.yml"):
        return "yarn"
    return "bun" if files.has("bunfig.toml") else "npm"


def _yarn(files: ProjectFiles, version: str, lock: str, decided_by: str) -> PackageManager:
    path = _YARN_PATH.search(files.text(".yarnrc.yml"))
    # A file of the repository, which is as trusted as its tests. It is also what yarn itself would start.
    program = f"./{path[1].removeprefix('./')}" if path and files.has(path[1]) else ""
    if not version:
        metadata = _YARN_LOCK.search(files.beginning(lock)) if lock else None
        is_berry = bool(metadata or program or files.has(".yarnrc.yml"))
        version = _YARN_OF_LOCK.get(metadata[1] if metadata else "", "4") if is_berry else "1"
    return PackageManager("yarn", version, lock, decided_by, program if not version.startswith("1.") else "")


def _pnpm_version(files: ProjectFiles, package: Mapping[str, Any], lock: str) -> str:
    """Return the major version that reads the lock file without changing it. https://github.com/pnpm/spec"""
    engine = re.match(r"(?:\^|~|=|v)?\s*(\d{1,3})(?:\.|$)", string(table(package, "engines"), "pnpm"))
    if engine:
        return engine[1]
    found = _PNPM_LOCK.search(files.beginning(lock)) if lock else None
    if found and int(found[1]) < 9:
        return {5: "7"}.get(int(found[1]), "8") if int(found[1]) >= 5 else "6"
    workspace = files.text("pnpm-workspace.yaml")
    needs_10 = bool(workspace) and (not _PACKAGES.search(workspace) or bool(_PNPM_10_SETTING.search(workspace)))
    return "10" if needs_10 or not found else "9"
