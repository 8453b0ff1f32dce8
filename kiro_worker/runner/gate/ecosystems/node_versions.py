"""The version of Node that a project asks for, installed from the npm registry if the image has an older one.

A newer one stays: what projects state is often old, and npm itself does not run on old versions.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.runner.gate.ecosystems.project_files import string, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles

_VERSION: Final = re.compile(r"\s*v?(\d{1,3})(?:\.\d{1,4}){0,2}\s*$")
_RANGE: Final = re.compile(r"[\dvxX.*<>=^~| -]{1,80}$")
# npm brings the library that reads such ranges. The lowest major version is the one that the project knows best.
_MISSING: Final = (
    'const semver = require(process.argv[1] + "/npm/node_modules/semver"), range = process.argv[2];'
    ' if (semver.ltr(process.version, range)) console.log("node@" + semver.minVersion(range).major)'
)


def wanted_node(files: ProjectFiles, package: Mapping[str, Any]) -> str:
    """Return the range of versions that the project asks for; empty if it asks for none, or for a name such as lts."""
    pinned = (files.beginning(".nvmrc", 100), files.beginning(".node-version", 100))
    for text in (*pinned, string(table(package, "volta"), "node")):
        if version := _VERSION.match(text):
            return f">={version[1]}"
    wanted = string(table(package, "engines"), "node").strip()
    return wanted if _RANGE.match(wanted) and re.search(r"\d", wanted) else ""


def npm_install_locally(wanted: str, package: str) -> str:
    """Return the command that installs a ``package`` with programs, ``wanted`` in the words of the shell."""
    # Newer versions of npm run the script that fetches a program only if it is allowed.
    options = f'--prefix "$HOME/.local" --no-audit --no-fund --allow-scripts={package}'
    return f"npm install --global {options} {wanted}"


def lines_that_install_node(wanted: str) -> tuple[str, ...]:
    """Return the lines of a script that install a version in the range ``wanted`` if the machine has an older one.

    If that fails, the script goes on with the machine's version.
    """
    if not wanted:
        return ()
    ask = f'node -e {shlex.quote(_MISSING)} "$(npm root --global)" {shlex.quote(wanted)} 2> /dev/null'
    install = npm_install_locally('"$missing"', "node")
    return (
        f'if missing=$({ask}) && [ -n "$missing" ]; then',
        f'  {install} || echo "$missing cannot be installed; the machine has $(node --version)"',
        "fi",
    )
