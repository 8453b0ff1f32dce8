"""The runner's AWS clients, created on first use from one session that reads each service description once.

They come from botocore, without boto3: the runner uses none of what boto3 adds (resources, transfers), and importing it
takes as long as running a git command.
"""

from __future__ import annotations

import json
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_sts import STSClient

SERVICES: Final = ("codebuild", "dynamodb", "s3", "secretsmanager", "ssm", "stepfunctions", "sts")


class Clients:
    """``clients("ssm")`` returns the same client each time, in any thread."""

    def __init__(self) -> None:
        self._session = Session()
        self._session.register_component("data_loader", _ServiceDescriptions())
        self._clients: dict[str, Any] = {}
        self._creating = Lock()

    @overload
    def __call__(self, service: Literal["codebuild"]) -> CodeBuildClient: ...
    @overload
    def __call__(self, service: Literal["dynamodb"]) -> DynamoDBClient: ...
    @overload
    def __call__(self, service: Literal["s3"]) -> S3Client: ...
    @overload
    def __call__(self, service: Literal["secretsmanager"]) -> SecretsManagerClient: ...
    @overload
    def __call__(self, service: Literal["ssm"]) -> SSMClient: ...
    @overload
    def __call__(self, service: Literal["stepfunctions"]) -> SFNClient: ...
    @overload
    def __call__(self, service: Literal["sts"]) -> STSClient: ...
    def __call__(self, service: str) -> Any:
        # Creating a client is not thread-safe; using one is.
        with self._creating:
            if service not in self._clients:
                self._clients[service] = self._session.create_client(service)
            return self._clients[service]


class _PlainFiles(JSONFileLoader):
    """Reads a description into plain dictionaries, which also preserve order and are faster to create."""

    def _load_file(self, full_path: Path | str, open_method: Callable[..., Any]) -> Any:
        try:
            with open_method(full_path, "rb") as file:
                return json.loads(file.read())
        except FileNotFoundError:
            return None


class _ServiceDescriptions(Loader):
    """botocore's loader, with a fixed list of services, because listing them reads some 400 folders."""

    FILE_LOADER_CLASS = _PlainFiles

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002  # the signature is botocore's
        return list(SERVICES)
