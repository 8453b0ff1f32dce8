from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


@pytest.fixture(scope="session")
def aws_server(deployments: Deployments) -> Iterator[str]:
    """A plain AWS emulator over HTTP for tests that need a service, not our whole deployment."""
    # moto takes seconds to import, and most tests do without it.
    from moto.server import ThreadedMotoServer

    from kiro_local.aws import dynamodb
    from kiro_local.aws.replacements import Replacements

    deployments.close()  # what is replaced in moto is put back in the opposite order
    replacements = Replacements()
    dynamodb.install(replacements)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()
    deployments.close()
    replacements.restore()


@pytest.fixture
def aws(aws_server: str, deployments: Deployments) -> dict[str, Any]:
    """Arguments for ``boto3.client``; the emulator is empty at the beginning of each test."""
    import requests

    deployments.close()  # moto keeps its state in the process: it is theirs that is emptied, too
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
    """Arguments for ``boto3.client("dynamodb")``; there are no tables at the beginning of each test."""
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
    """Of one DynamoDB and of the other, for what must hold on any."""
    arguments: dict[str, Any] = request.getfixturevalue("aws" if request.param == "moto" else "aws_of_dynalite")
    return arguments


class Deployments:
    """One embedded AWS a process: that of one kind of tests is kept for the next of them, until others want theirs."""

    def __init__(self) -> None:
        self._kind = ""
        self._stack = ExitStack()
        self._live: Any = None

    def get(self, kind: str, start: Callable[[], AbstractContextManager[T]]) -> T:
        """The live one of that kind, or a new one."""
        if self._kind != kind:
            self.close()
            self._live = self._stack.enter_context(start())
            self._kind = kind
        live: T = self._live
        return live

    def close(self) -> None:
        self._kind, self._live = "", None
        self._stack.close()


@pytest.fixture(scope="session")
def deployments() -> Iterator[Deployments]:
    deployments = Deployments()
    yield deployments
    deployments.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder for every user of the machine: an agent run as a user of its own sees nothing below ``tmp_path``."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)
