"""Account, region and credentials of the embedded AWS, and boto3 clients that can reach nothing else."""

from __future__ import annotations

import os
import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

ACCOUNT = "123456789012"
REGION = "us-east-1"

#: Credentials that only the embedded AWS accepts.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "embedded",
    "AWS_SECRET_ACCESS_KEY": "embedded",
    "AWS_SESSION_TOKEN": "embedded",
}

# The user's profile, config and credentials files are never read, whatever the environment variables say.
_NO_USER_CONFIGURATION = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
_creating = threading.Lock()  # creating a client is not thread-safe; using one is


def loopback_session() -> boto3.Session:
    """A session with the embedded AWS's credentials and without the user's configuration."""
    return boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=CREDENTIALS["AWS_SESSION_TOKEN"],
        region_name=REGION,
        botocore_session=botocore.session.Session(session_vars=_NO_USER_CONFIGURATION),
    )


class Clients:
    """One client per service, created once and safe to share between threads."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self._session = loopback_session()
        self._clients: dict[str, Any] = {}
        # A function may run for a long time, and a retry would run it twice: only the state machine retries.
        self._config = Config(
            proxies={},
            connect_timeout=10,
            read_timeout=3600,
            retries={"max_attempts": 0},
            max_pool_connections=128,
            s3={"addressing_style": "path"},
        )

    def get(self, service: str) -> Any:
        """The client of a service."""
        with _creating:
            if service not in self._clients:
                make: Any = self._session.client  # its stubs accept literal service names only
                self._clients[service] = make(service, endpoint_url=self.endpoint_url, config=self._config)
            return self._clients[service]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()
