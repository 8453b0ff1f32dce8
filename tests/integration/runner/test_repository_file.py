"""The repository's own file in whole builds: read from the default branch, and from nowhere else."""

from __future__ import annotations

import json

import pytest

from kiro_local.github.git_repository import Symlink
from kiro_worker.config.settings import REPOSITORY_FILE
from tests.support.worker import BRANCH, WORK, Worker

TESTS = "test: echo Ran {count} tests in 0.1s\n"


def commit_file(worker: Worker, text: str, branch: str = "main") -> None:
    worker.repository.git.commit(branch, {REPOSITORY_FILE: text}, "Configure the worker")


def test_file_of_default_branch_decides(worker: Worker) -> None:
    worker.configure(worker.agent(WORK, mode="all"), test="exit 1")
    commit_file(worker, TESTS.format(count=3) + "coverage: {threshold: null}\nenvironment: {GREETING: hello}\n")

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert finished.result["tests"]["summary"] == "Ran 3 tests in 0.1s"
    settings = finished.result["settings"]
    assert settings["origins"]["test"] == REPOSITORY_FILE
    assert settings["origins"]["agent.name"] == "repositoryDefaults"
    assert settings["effective"]["environment"] == {"GREETING": "hello"}


def test_file_of_cards_branch_changes_nothing(worker: Worker) -> None:
    worker.configure(worker.agent(WORK, mode="all"), test="echo Ran 1 test in 0.1s")
    commit_file(worker, TESTS.format(count=99), BRANCH)
    worker.commit = worker.repository.git.head_of(BRANCH) or ""

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert finished.result["tests"]["summary"] == "Ran 1 test in 0.1s"
    assert REPOSITORY_FILE not in json.dumps(finished.result["settings"]["origins"])


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("text", "reason"),
    [("tests: x\n", 'unknown key "tests"'), ("agent: {name: codex}\n", "the agent codex is not one of command")],
)
def test_wrong_file_starts_no_agent(worker: Worker, text: str, reason: str) -> None:
    worker.configure(worker.agent(WORK, mode="all"))
    commit_file(worker, text)

    finished = worker.run()

    assert finished.result["error"] == "WorkItemInvalid"
    assert reason in finished.result["reason"]
    assert [phase["name"] for phase in finished.result["phases"]][-1] == "settings"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (".kiro-worker.yaml", "test: x\n", ".kiro-worker.yaml on the default branch ("),
        (REPOSITORY_FILE, "test: caf\xe9\n".encode("latin-1"), "line 1: is not UTF-8"),
        (REPOSITORY_FILE, "test: x\n".encode("utf-16"), "not UTF-8"),
        (REPOSITORY_FILE, "#" * 64_001, "is 64001 bytes, but the limit is 64000"),
        (f"{REPOSITORY_FILE}/x", "test: x\n", "is not a file"),
    ],
)
def test_file_that_cannot_be_read_is_not_ignored(worker: Worker, name: str, content: str | bytes, reason: str) -> None:
    worker.repository.git.commit("main", {name: content}, "Configure the worker")

    finished = worker.run()

    assert (finished.result["error"], finished.exports["OUTCOME_OWNER"]) == ("WorkItemInvalid", "card")
    assert reason in finished.result["reason"]


def test_wrong_file_does_not_hide_earlier_push(worker: Worker) -> None:
    first = worker.run()
    commit_file(worker, "tests: x\n")

    second = worker.run(CODEBUILD_BUILD_NUMBER="8")

    assert (first.outcome, second.outcome) == ("Succeeded", "Succeeded"), second.log
    assert "has already pushed" in second.exports["OUTCOME_REASON"]


@pytest.mark.exhaustive
def test_link_is_no_file(worker: Worker) -> None:
    worker.repository.git.commit("main", {REPOSITORY_FILE: Symlink("elsewhere")}, "Link the file")

    assert "is not a file" in worker.run().result["reason"]


def test_secret_reaches_setup_only(worker: Worker) -> None:
    """The value of a secret appears neither in the log nor in the environment of the agent and the tests."""
    value = "npm_aB3dE5gH7jK9"
    worker.client("secretsmanager").create_secret(Name="kiro-worker-test-tests-npm", SecretString=value)
    look = 'if [ -n "${NPM_TOKEN-}" ]; then echo here it is: $NPM_TOKEN; else echo nothing; fi'
    agent = f"import os\nprint('agent', 'NPM_TOKEN' in os.environ)\n{WORK}"
    worker.configure(
        worker.agent(agent, mode="all"),
        testSecrets={"NPM_TOKEN": "kiro-worker-test-tests-npm"},
        secrets=["NPM_TOKEN"],
        setup=f"{look}\ntest $NPM_TOKEN = {value}",
        test=["sh", "-c", f"{look}; echo Ran 1 test in 0.1s"],
    )

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert value not in finished.log
    assert "[setup] here it is: " in finished.log
    assert "[tests] nothing" in finished.log
    assert "[agent] agent False" in finished.log
