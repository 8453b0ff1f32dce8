"""Debian's real toolchains in the gate: what is detected installs, tests, and notices a defect."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kiro_worker.config.settings import Check, CoverageSettings
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.ecosystems.choose import detect
from kiro_worker.runner.gate.gate import run_gate
from kiro_worker.runner.gate.result import GateResult
from kiro_worker.runner.gate.run import Place
from kiro_worker.runner.gate.setup import Setup, plan_setup
from kiro_worker.runner.sandbox.folders import Folders
from kiro_worker.runner.sandbox.sandbox import Sandbox, sandbox
from tests.real.toolchains import PATH, ToolchainRepository, toolchain_repositories

PARENT = {"PATH": PATH}
Gate = Callable[[], GateResult]


@pytest.fixture(params=toolchain_repositories(), ids=lambda repository: repository.name)
def repository(request: pytest.FixtureRequest) -> ToolchainRepository:
    found: ToolchainRepository = request.param
    if found.missing:
        pytest.skip(found.missing)
    return found


@pytest.fixture
def folders(open_folder: Path, repository: ToolchainRepository) -> Folders:
    folders = Folders(open_folder / "workspace")
    shutil.copytree(repository.folder, folders.checkout)
    return folders


def gate_of(folders: Folders, box: Sandbox) -> Gate:
    """Set the checkout up as it is detected, and return the function that runs its tests."""
    check = Check(coverage=CoverageSettings(threshold=None))

    @contextmanager
    def log() -> Iterator[Callable[[str], None]]:
        yield print

    Setup((check,), PARENT, log, str).run(plan_setup((check,), folders.checkout), folders, box)
    place = Place(folders.checkout, folders.home, PARENT, print, str, box, folders.temporary)
    place = Place(folders.checkout, folders.home, PARENT, print, str, box, folders.temporary)
    return lambda: run_gate(check, place)


@pytest.fixture
def gate(folders: Folders) -> Iterator[Gate]:
    """The gate of a checkout that is set up, as the user of the build where only root may choose one."""
    for folder in folders.private:
        folder.mkdir()
    with sandbox(PARENT, folders.workspace, print) as box:
        box.grant(folders.checkout, *folders.private)
        yield gate_of(folders, box)


def executed(result: GateResult) -> int:
    """How many tests ran, from the report or from the first number of the summary."""
    return result.tests.executed if result.tests else int(re.findall(r"\d+", result.summary)[0])


def test_change_with_its_test_passes_and_mutant_fails(
    repository: ToolchainRepository, folders: Folders, gate: Gate
) -> None:
    shutil.copytree(repository.addition, folders.checkout, dirs_exist_ok=True)
    result = gate()
    file, text, broken = repository.mutant
    product = folders.checkout / file
    assert text in product.read_text()
    product.write_text(product.read_text().replace(text, broken))
    with pytest.raises(BuildStopped) as mutant:
        gate()

    assert executed(result) == repository.tests
    assert mutant.value.outcome is Outcome.TESTS_FAILED
    assert "exit code" in mutant.value.reason
    assert "nothing shows that a test ran" not in mutant.value.reason


@pytest.mark.parametrize("repository", toolchain_repositories(), ids=lambda repository: repository.name)
def test_missing_toolchain_is_named(repository: ToolchainRepository) -> None:
    absent = replace(repository, programs=("no-such-program",))

    assert absent.missing.startswith("no-such-program missing or broken: apt-get install ")
    assert detect(repository.folder).ecosystem == repository.ecosystem


def test_ci_installs_every_toolchain() -> None:
    script = (Path(__file__).parents[3] / ".ci" / "run").read_text()
    installed = re.search(r"packages=\((.*?)\)", script, re.DOTALL)

    assert installed
    needed = {package for repository in toolchain_repositories() for package in repository.packages}
    assert needed <= set(installed[1].split())
