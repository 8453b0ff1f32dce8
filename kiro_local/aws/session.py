"""Who and where everybody is in the embedded AWS, and boto3 clients that can reach nothing else."""

from __future__ import annotations

import os
import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

ACCOUNT = "123456789012"
REGION = "us-east-1"

#: What a process needs to reach the embedded AWS and cannot use anywhere else.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "embedded",
    "AWS_SECRET_ACCESS_KEY": "embedded",
    "AWS_SESSION_TOKEN": "embedded",
}

# Profile, config and credentials files of the machine's owner are never read, whatever the environment says.
_NOTHING_OF_THE_OWNER = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
_creating = threading.Lock()  # creating a client is not thread-safe; using one is


def loopback_session() -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=CREDENTIALS["AWS_SESSION_TOKEN"],
        region_name=REGION,
        botocore_session=botocore.session.Session(session_vars=_NOTHING_OF_THE_OWNER),
    )


class Clients:
    """One client a service, made once, safe to share between threads."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self._session = loopback_session()
        self._clients: dict[str, Any] = {}
        # A Lambda or a build may take its time, and a retry would run it twice: the state machine retries, nobody else.
        self._config = Config(
            proxies={},
            connect_timeout=10,
            read_timeout=3600,
            retries={"max_attempts": 0},
            max_pool_connections=128,
            s3={"addressing_style": "path"},
        )

    def get(self, service: str) -> Any:
        with _creating:
            if service not in self._clients:
                make: Any = self._session.client  # its stubs know only literal names
                self._clients[service] = make(service, endpoint_url=self.endpoint_url, config=self._config)
            return self._clients[service]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()
