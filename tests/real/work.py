"""One card through the whole worker: a repository with a spec, the agent, and what the build says about it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kiro_local.github.git_repository import Content
from kiro_local.github.model import Item, Repository
from kiro_worker.executions.history import Run
from kiro_worker.runner.gate.ecosystems.choose import detect
from tests.real.spec_files import spec_files
from tests.support.world import World

BRANCH: Final = "feature/confine"
SPEC: Final = ".kiro/specs/feature-confine"
CONFIGURATION_FILE: Final = ".kiro-worker.yml"
_AGENT: Final = Path(__file__).with_name("scripted_agent.py")
_DETECTED: Final = re.compile(r"^(?:\S+ )?detected: (.+)$", re.MULTILINE)
_TAP_TITLE: Final = re.compile(r"\s*# (?!(?:tests|pass|fail|ok|skip) |Subtest)(.+)")
_FAILURE: Final = re.compile(r"\s*(?:not ok \d+ ?-? ?|FAILED |ERROR |(?:FAIL|ERROR): |--- FAIL: |✖ )(\S.*)")
Edits = Mapping[str, Sequence[Mapping[str, str]]]


@dataclass(frozen=True)
class Work:
    """How a card ended: its run, what the build reports, and the run's seconds."""

    run: Run
    result: Mapping[str, Any]
    setup_log: str
    tests_log: str
    seconds: float

    @property
    def outcome(self) -> str:
        return str(self.result.get("outcome") or self.run.outcome or self.run.error)

    @property
    def detected(self) -> str:
        """What was detected, and why, as the build logs it; empty if the repository's file decides."""
        return "; ".join(_DETECTED.findall(self.setup_log)[:1])

    @property
    def problem(self) -> str:
        """Why the build failed, for the message of an assertion. The logs are in the test's output."""
        return "; ".join(str(self.result.get(key)) for key in ("reason", "remedy", "details")) or self.run.cause

    @property
    def failed_tests(self) -> list[str]:
        """The names that test runners print beside a failure. In TAP, the test's name is in a comment before it."""
        failed, title = [], ""
        for line in self.tests_log.splitlines():
            if match := _TAP_TITLE.match(line):
                title = match[1]
            elif match := _FAILURE.match(line):
                failed.append(f"{title}: {match[1]}" if line.lstrip().startswith("not ok") else match[1])
        return failed


def create_project(repository: Repository, files: Mapping[str, Content], *, version: str = "") -> None:
    """Make ``files`` the default branch, tagged with the version as the project's own repository is."""
    git = repository.git
    git.commit("main", {"README.md": None, **files}, "Import the project")
    if version:
        git.run("tag", f"v{version}", "main")


def add_card(world: World, repository: Repository, source: str, test: str) -> Item:
    """A card with a spec for the function in ``source``, on a branch with a pull request."""
    title = "Limit a number to a range"
    repository.git.commit(BRANCH, spec_files(SPEC, repository.name, source, test), "Write the spec", base="main")
    world.github.board.add_pull_request(repository, BRANCH, title=title)
    issue = world.github.board.add_issue(repository, title)
    return world.github.board.add_card(world.project, issue, status="For Implementation", branch=BRANCH)


def use_scripted_agent(world: World, edits: Mapping[str, Edits]) -> None:
    """Configure the worker with the four required keys, the stand-in's addresses and the scripted agent, and no more.

    ``edits`` maps a file of a repository to what the agent does there, by task.
    """
    script, actions = world.folder / "agent.py", world.folder / "edits.json"
    shutil.copyfile(_AGENT, script)
    actions.write_text(json.dumps(edits))
    for path in (script, actions):
        path.chmod(0o644)
    required = ("organization", "repository", "projectNumber", "targetStatusColumn", "githubApiUrl", "gitUrl")
    world.configuration = {key: world.configuration[key] for key in required}
    world.configure(agent={"command": [sys.executable, "-IS", str(script), str(actions)]})


def work_off(world: World) -> Work:
    """Run the queue until it is empty, and return how its only card ended."""
    start = time.monotonic()
    run = world.finish_alone(world.local.tick())
    seconds = time.monotonic() - start
    world.wait_until_idle()
    prefix = artifacts(run)
    result = world.local.artifact(prefix, "result.json")
    setup_log, tests_log = (world.local.artifact(prefix, name) for name in ("setup.log", "tests.log"))
    # Shown if the test fails.
    print(setup_log, tests_log, result, sep="\n")
    return Work(run, json.loads(result) if result else {}, setup_log, tests_log, seconds)


def detection(work: Work, repository: Repository, folder: Path) -> str:
    """What is detected in the default branch, which is laid out in ``folder``, and why, if possible as logged."""
    # Not with tarfile, whose safe extraction Python 3.11.3 and older do not have.
    subprocess.run(["tar", "-x", "-C", str(folder)], input=repository.git.run("archive", "main"), check=True)
    found = detect(folder)
    return f"{found.ecosystem}: {work.detected or found.reason}"


def artifacts(run: Run) -> str:
    """The address of the artifacts of the run's build; empty if it has none."""
    for state in reversed(run.states):
        for variable in (state.document.get("build") or {}).get("variables") or ():
            if variable["Name"] == "ARTIFACTS":
                return str(variable.get("Value") or "")
    return ""
