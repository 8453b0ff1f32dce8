"""The build's clients of AWS: made when they are first needed, from one session that reads each description once.

botocore without boto3, whose own part (resources, transfers, paginated conveniences) is not used here and takes as long
to import as a git command takes to run.
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
    """``clients("ssm")`` is the same client each time; any thread may ask."""

    def __init__(self) -> None:
        self._session = Session()
        self._session.register_component("data_loader", _Descriptions())
        self._made: dict[str, Any] = {}
        self._making = Lock()

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
        # Making a client is not safe in several threads at once, using one is.
        with self._making:
            if service not in self._made:
                self._made[service] = self._session.create_client(service)
            return self._made[service]


class _PlainFiles(JSONFileLoader):
    """Reads a description into plain dictionaries, which keep their order, too, and are made by the parser itself."""

    def _load_file(self, full_path: Path | str, open_method: Callable[..., Any]) -> Any:
        try:
            with open_method(full_path, "rb") as file:
                return json.loads(file.read())
        except FileNotFoundError:
            return None


class _Descriptions(Loader):
    """botocore's own, but for the list of all services: to make it, it would look into some 400 folders."""

    FILE_LOADER_CLASS = _PlainFiles

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002  # botocore's signature
        return list(SERVICES)
