"""Fixtures of the runner's tests: a stand-in GitHub, and a worker that is ready to run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiro_local.github.git_repository import read_directory
from kiro_local.github.stand_in import StandInGitHub
from tests.support.builder import Builder, as_root
from tests.support.lock_table import create_lock_table, create_table
from tests.support.worker import AGENT_KEY, BRANCH, BUCKET, DEMO, PARAMETER, PASSWORD, RECORDS, TOKEN, Worker


@pytest.fixture
def tmp_path(open_folder: Path) -> Path:
    """Return a folder in which agents, which run as another user, can read their programs and create files."""
    folder = open_folder / "of-the-test"  # so that nothing of another test is beside it
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def github() -> Iterator[StandInGitHub]:
    with StandInGitHub() as github:
        github.add_token(TOKEN)
        github.add_token(PASSWORD)
        yield github


@pytest.fixture
def worker(tmp_path: Path, aws: dict[str, str], github: StandInGitHub) -> Worker:
    """Return a worker with everything that a successful run needs: configuration, secrets, lock, and a repository."""
    repository = github.board.add_repository("acme/shop")
    files = read_directory(DEMO)
    repository.git.commit("main", {"README.md": "# shop\n"}, "Begin")
    repository.git.commit(BRANCH, files, "Write the spec", base="main")
    github.board.add_pull_request(repository, BRANCH)
    worker = Worker(tmp_path, aws, github, repository, commit=repository.git.head_of(BRANCH) or "")
    for name, value in {
        "github-token": TOKEN,
        "git-credentials": json.dumps({"username": "git", "password": PASSWORD}),
        "kiro-api-key": AGENT_KEY,
    }.items():
        created = worker.client("secretsmanager").create_secret(Name=f"kiro-worker-test-{name}", SecretString=value)
        worker.secrets[name] = created["Name"]
    worker.client("s3").create_bucket(Bucket=BUCKET)
    create_lock_table(worker.client("dynamodb"))
    create_table(worker.client("dynamodb"), RECORDS, "recordKey")
    worker.configure()
    worker.start_execution()
    worker.hold_lock()
    return worker


@pytest.fixture
def by_hand() -> dict[str, str]:
    """Return the variables that a build does not have if a person starts it."""
    set_by_the_state_machine = (
        *("WORK_ITEM_ID", "REPOSITORY", "COMMIT_SHA", "DEFAULT_COMMIT_SHA", "SPEC_PATH", "PULL_REQUEST_NUMBER"),
        *("LOCK_KEY", "LOCK_FENCE", "EXECUTION_ARN"),
    )
    return dict.fromkeys(set_by_the_state_machine, "")


@pytest.fixture
def config(worker: Worker) -> Path:
    """Return a file with the deployed configuration."""
    file = worker.folder / "project.json"
    file.write_text(worker.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"])
    return file


# Root has both. What CodeBuild does is enough for most runs of the tests.
_OWN_USER = pytest.param("runner's own user", marks=[pytest.mark.exhaustive] if os.geteuid() == 0 else [])


@pytest.fixture(params=[_OWN_USER, pytest.param("separate users", marks=as_root)])
def builder(request: pytest.FixtureRequest, worker: Worker) -> Builder:
    return Builder(worker, request.param == "separate users")
