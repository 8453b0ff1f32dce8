from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings

T = TypeVar("T")

# Without Hypothesis's limit of 200 ms per example, which a busy machine exceeds.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sample", type=int, metavar="PERCENT", help="run only this share of the exhaustive tests")
    parser.addoption("--seed", help="selects the sample; by default the checked-out commit does")


def pytest_report_header(config: pytest.Config) -> str | None:
    percent = config.getoption("--sample")
    return f"sample: {percent} % of the exhaustive tests, --seed {seed_of(config)}" if percent else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--sample``, deselect the other exhaustive tests."""
    percent = config.getoption("--sample")
    if not percent:
        return
    seed = seed_of(config)
    left_out = {
        item for item in items if item.get_closest_marker("exhaustive") and not in_sample(item.nodeid, seed, percent)
    }
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def in_sample(test: str, seed: str, percent: int) -> bool:
    """Whether the sample contains ``test``. Each test is selected by itself, so that all processes select the same."""
    return int.from_bytes(hashlib.sha256(f"{seed} {test}".encode()).digest()[:4], "big") % 100 < percent


def seed_of(config: pytest.Config) -> str:
    if seed := config.getoption("--seed"):
        return str(seed)
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=config.rootpath, capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture(scope="session")
def aws_server(deployments: Deployments) -> Iterator[str]:
    """The address of a plain AWS emulator, for tests that need one service and not the whole deployment."""
    # Imported here because moto takes seconds to import and most tests do without it.
    from moto.server import ThreadedMotoServer

    from kiro_local.aws import dynamodb, routing
    from kiro_local.aws.replacements import Replacements

    deployments.close()  # replacements in moto must be undone in reverse order
    replacements = Replacements()
    dynamodb.install(replacements)
    routing.install(replacements)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()
    deployments.close()
    replacements.restore()


@pytest.fixture
def aws(aws_server: str, deployments: Deployments) -> dict[str, Any]:
    """Arguments for ``boto3.client``; the emulator is empty at the start of each test."""
    import requests

    deployments.close()  # they share moto's in-process state, which the reset below empties
    requests.post(f"{aws_server}/moto-api/reset", timeout=10).raise_for_status()
    return {
        "endpoint_url": aws_server,
        "region_name": "us-east-1",
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }


@pytest.fixture(scope="session")
def dynalite_server() -> Iterator[str]:
    from tests.support.dynalite import dynalite

    with dynalite() as address:
        yield address


@pytest.fixture
def aws_of_dynalite(dynalite_server: str) -> dict[str, Any]:
    """Arguments for ``boto3.client("dynamodb")``; there are no tables at the start of each test."""
    import boto3

    arguments: dict[str, Any] = {
        "endpoint_url": dynalite_server,
        "region_name": "us-east-1",
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }
    client = boto3.client("dynamodb", **arguments)
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
        client.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    return arguments


@pytest.fixture(params=["moto", "dynalite"])
def aws_of_each(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Arguments for each DynamoDB server in turn, for what must hold on both."""
    arguments: dict[str, Any] = request.getfixturevalue("aws" if request.param == "moto" else "aws_of_dynalite")
    return arguments


class Deployments:
    """One embedded AWS per process, kept for tests of the same kind until another kind needs its own."""

    def __init__(self) -> None:
        self._kind = ""
        self._stack = ExitStack()
        self._deployment: Any = None

    def get(self, kind: str, start: Callable[[], AbstractContextManager[T]]) -> T:
        """The running deployment if it is of this kind, or a new one."""
        if self._kind != kind:
            self.close()
            self._deployment = self._stack.enter_context(start())
            self._kind = kind
        deployment: T = self._deployment
        return deployment

    def close(self) -> None:
        self._kind, self._deployment = "", None
        self._stack.close()


@pytest.fixture(scope="session")
def deployments() -> Iterator[Deployments]:
    deployments = Deployments()
    yield deployments
    deployments.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine may use; an agent with its own user cannot read ``tmp_path``."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)
