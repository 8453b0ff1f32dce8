"""pnpm, yarn and bun, from the npm registry: the version that a project pins is installed, and tests it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kiro_worker.config.settings import Check, CoverageSettings
from kiro_worker.runner.gate.gate import run_gate
from kiro_worker.runner.gate.result import GateResult
from kiro_worker.runner.gate.run import Place
from kiro_worker.runner.gate.setup import Setup, plan_setup
from kiro_worker.runner.sandbox.environment import scrubbed_environment
from kiro_worker.runner.sandbox.folders import Folders
from kiro_worker.runner.sandbox.sandbox import Sandbox
from tests.support.project_folder import project

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
NODE_TEST = {"shop.test.js": "const {test} = require('node:test'); test('a', () => {}); test('b', () => {})"}
BUN_TEST = {"shop.test.js": "import {test} from 'bun:test'; test('a', () => {}); test('b', () => {})"}


@contextmanager
def printed() -> Iterator[Callable[[str], None]]:
    yield print


def require_npm(home: Path) -> None:
    """Skip the test if the registry does not answer. With CI=true, fail it."""
    asked = subprocess.run(
        ("npm", "view", "pnpm", "name", "--fetch-retries=1"),
        env={**os.environ, "PATH": PATH, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    if asked.returncode:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no npm registry: {asked.stderr[:300]}")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "workspace")
    for folder in (folders.checkout, *folders.private):
        folder.mkdir(parents=True)
    return folders


def set_up_and_test(folders: Folders, directory: str = "") -> GateResult:
    check, parent = Check(directory=directory, coverage=CoverageSettings(threshold=None)), {**os.environ, "PATH": PATH}
    Setup((check,), parent, printed, str).run(plan_setup((check,), folders.checkout), folders, Sandbox())
    return run_gate(check, Place(folders.checkout / directory, folders.home, parent, print, str))


def test_package_of_a_workspace_is_installed_from_its_root(folders: Folders) -> None:
    """Without a network, because the packages need only each other."""
    root = {"name": "shop", "workspaces": ["packages/*"]}
    packages: dict[str, object] = {"": root}
    files = {".git/HEAD": "", "packages/a/a.test.js": "const {test} = require('node:test'); test('b', require('b'))"}
    for name in ("a", "b"):
        package = {"name": name, "version": "1.0.0", "scripts": {"test": "node --test"}}
        files[f"packages/{name}/package.json"] = json.dumps(package)
        packages |= {
            f"packages/{name}": package,
            f"node_modules/{name}": {"resolved": f"packages/{name}", "link": True},
        }
    files["packages/b/index.js"] = "module.exports = () => {}"
    lock = {"name": "shop", "lockfileVersion": 3, "requires": True, "packages": packages}
    project(folders.checkout, files | {"package.json": json.dumps(root), "package-lock.json": json.dumps(lock)})

    assert set_up_and_test(folders, "packages/a").summary == "1 passed"


@pytest.mark.parametrize(
    ("manager", "version"),
    [
        ("pnpm", "9.15.0"),
        *(
            pytest.param(manager, version, marks=pytest.mark.exhaustive)
            for manager, version in (("pnpm", "8.15.9"), ("yarn", "1.22.22"), ("yarn", "4.5.0"), ("bun", "1.2.0"))
        ),
    ],
)
def test_pinned_manager_runs_the_tests(folders: Folders, manager: str, version: str) -> None:
    require_npm(folders.home)
    is_bun = manager == "bun"
    package = {"name": "shop", "packageManager": f"{manager}@{version}"}
    scripts = {"test": "bun test" if is_bun else "node --test"}
    files = {"package.json": json.dumps({**package, "scripts": scripts}), **(BUN_TEST if is_bun else NODE_TEST)}
    project(folders.checkout, files)

    result = set_up_and_test(folders)

    assert result.summary.startswith("2 pass")
    program = folders.home / ".local" / "bin" / manager
    assert not program.readlink().is_absolute(), "the agent gets a copy of the folder"
    shown = subprocess.run(
        (program, "--version"),
        cwd=folders.home,
        env=scrubbed_environment(folders.home, {"PATH": PATH}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert shown.stdout.strip() == version
