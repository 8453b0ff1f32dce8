from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from moto.server import ThreadedMotoServer

from kiro_worker.local.aws import dynamodb
from kiro_worker.local.aws.replacements import Replacements


@pytest.fixture(scope="session")
def aws_server() -> Iterator[str]:
    """A plain AWS emulator over HTTP for tests that need a service, not our whole deployment."""
    replacements = Replacements()
    dynamodb.install(replacements)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()
    replacements.restore()


@pytest.fixture
def aws(aws_server: str) -> dict[str, Any]:
    """Arguments for ``boto3.client``; the emulator is empty at the beginning of each test."""
    requests.post(f"{aws_server}/moto-api/reset", timeout=10).raise_for_status()
    return {
        "endpoint_url": aws_server,
        "region_name": "us-east-1",
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder for every user of the machine: an agent run as a user of its own sees nothing below ``tmp_path``."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)
