"""The handlers of the steps with AWS's clients as stubs, and GitHub in memory behind a real URL.

A module ``test_<step>`` tests ``functions/<step>``: the fixtures ``handler`` and ``call`` are about that step.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import boto3
import pytest
from aws_lambda_powertools import Metrics
from botocore.exceptions import ClientError

from tests.support.fake_github import FakeGitHub, served

ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
CONFIGURATION = {
    "organization": "acme",
    "repository": "shop",
    "projectNumber": 1,
    "targetStatusColumn": "Ready",
    "failedStatus": "Failed",
}
WORK = {
    "repository": "acme/shop",
    "branch": "feature/x",
    "commit": "a" * 40,
    "specPath": ".kiro/specs/feature-x",
    "pullRequest": 7,
    "pullRequestId": "PR_1",
    "pullRequestUrl": "https://github.example/acme/shop/pull/7",
    "baseBranch": "main",
    "openTasks": 1,
    "defaultCommit": "d" * 40,
    "build": {"image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL", "timeoutMinutes": 150},
}
"""The ``work`` of the state document for the card of :func:`tests.support.fake_github.ready_repository`."""
VARIABLES = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "CONFIG_PARAMETER_NAME": "/kiro-worker/test/github-project-config",
    "GITHUB_TOKEN_SECRET_NAME": "kiro-worker-test-github-token",
    "GIT_CREDENTIALS_SECRET_NAME": "kiro-worker-test-git-credentials",
    "KIRO_API_KEY_SECRET_NAME": "kiro-worker-test-kiro-api-key",
    "BUILD_PROJECT_NAME": "kiro-worker-test",
    "BUILD_TIMEOUT_MINUTES": "150",
    "LOCKS_TABLE_NAME": "kiro-worker-test-locks",
    "LOCK_LEASE_SECONDS": "7200",
    "RECORDS_TABLE_NAME": "kiro-worker-test-records",
    "POWERTOOLS_METRICS_NAMESPACE": "KiroWorker",
    "POWERTOOLS_SERVICE_NAME": "a_step",
}


@dataclass
class LambdaContext:
    aws_request_id: str = "request-1"
    function_name: str = "kiro-worker-test-a-step"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:x"


@dataclass
class Aws:
    """What AWS answers, and the writes to the tables: ``updates`` to the locks, ``noted`` to the records.

    ``executions`` are those that Step Functions describes, ``items`` those of both tables, ``pin`` the build project's
    variables.
    """

    configuration: dict[str, Any] = field(default_factory=lambda: dict(CONFIGURATION))
    items: list[dict[str, Any]] = field(default_factory=list)
    executions: dict[str, dict[str, Any]] = field(default_factory=dict)
    updates: list[dict[str, Any]] = field(default_factory=list)
    noted: list[dict[str, Any]] = field(default_factory=list)
    held: bool = False
    denied: bool = False
    missing_secrets: set[str] = field(default_factory=set)
    pin: dict[str, str] = field(
        default_factory=lambda: {"KIRO_CLI_URL": "https://cli.example/kiro.tar.gz", "KIRO_CLI_SHA256": "0a" * 32}
    )

    def get_parameter(self, **request: Any) -> dict[str, Any]:
        assert request == {"Name": VARIABLES["CONFIG_PARAMETER_NAME"]}
        return {"Parameter": {"Value": json.dumps(self.configuration)}}

    def get_secret_value(self, **request: Any) -> dict[str, Any]:
        assert request == {"SecretId": VARIABLES["GITHUB_TOKEN_SECRET_NAME"]}
        return {"SecretString": "ghp_" + "0a1b" * 9}

    def describe_secret(self, **request: Any) -> dict[str, Any]:
        if request["SecretId"] in self.missing_secrets:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "none"}}, "DescribeSecret")
        assert request["SecretId"] in (VARIABLES["GIT_CREDENTIALS_SECRET_NAME"], VARIABLES["KIRO_API_KEY_SECRET_NAME"])
        return {"VersionIdsToStages": {"1": ["AWSCURRENT"]}}

    def batch_get_projects(self, **request: Any) -> dict[str, Any]:
        assert request == {"names": [VARIABLES["BUILD_PROJECT_NAME"]]}
        variables = [{"name": name, "value": value} for name, value in self.pin.items()]
        environment = {
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/standard:7.0",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": variables,
        }
        return {"projects": [{"name": VARIABLES["BUILD_PROJECT_NAME"], "environment": environment}]}

    def get_item(self, **request: Any) -> dict[str, Any]:
        tables = {VARIABLES["LOCKS_TABLE_NAME"]: "lockKey", VARIABLES["RECORDS_TABLE_NAME"]: "recordKey"}
        key = tables[request["TableName"]]
        assert request["ConsistentRead"] is True
        found = [item for item in self.items if item.get(key) == request["Key"][key]]
        return {"Item": found[0]} if found else {}

    def describe_execution(self, **request: Any) -> dict[str, Any]:
        return {"status": "RUNNING", **self.executions.get(request["executionArn"], {})}

    def get_paginator(self, operation: str) -> Aws:
        assert operation == "scan"
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        assert request["TableName"] == VARIABLES["LOCKS_TABLE_NAME"]
        owner = request.get("ExpressionAttributeValues", {}).get(":owner")
        return [{"Items": [item for item in self.items if owner in (None, item.get("owner"))]}]

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        [(table, wanted)] = request["RequestItems"].items()
        assert table == VARIABLES["RECORDS_TABLE_NAME"]
        keys = [key["recordKey"] for key in wanted["Keys"]]
        return {"Responses": {table: [item for item in self.items if item.get("recordKey") in keys]}}

    def update_item(self, **request: Any) -> dict[str, Any]:
        if self.denied:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "UpdateItem")
        if request["TableName"] == VARIABLES["RECORDS_TABLE_NAME"]:
            self.noted.append(request)
            return {}
        assert request["TableName"] == VARIABLES["LOCKS_TABLE_NAME"]
        if self.held:
            refused: Any = {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": self.items[0]}
            raise ClientError(refused, "UpdateItem")
        self.updates.append(request)
        return {}


Call = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def fresh_metrics() -> Iterator[None]:
    """Reset Powertools after each test: its metrics are class attributes, because a Lambda process runs one step."""
    yield
    for kept in (Metrics._metrics, Metrics._dimensions, Metrics._default_dimensions):
        kept.clear()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    stub = Aws()
    monkeypatch.setattr(boto3, "client", lambda _service: stub)
    return stub


@pytest.fixture
def github(aws: Aws) -> Iterator[FakeGitHub]:
    """The GitHub that the configuration names."""
    github = FakeGitHub()
    with served(github) as url:
        aws.configuration["githubApiUrl"] = url
        yield github


@pytest.fixture
def handler(aws: Aws, request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The step's module. It is imported anew for each test, because it makes its clients at import."""
    name = f"functions.{request.module.__name__.rpartition('.test_')[2]}.handler"
    yield importlib.import_module(name)
    sys.modules.pop(name)


@pytest.fixture
def call(handler: ModuleType) -> Call:
    """Invoke the step as Lambda does."""

    def invoke(state: str, document: Any, *, execution_input: Any = None, redrive_count: int = 0) -> dict[str, Any]:
        event = {
            "executionArn": ARN,
            "redriveCount": redrive_count,
            "executionInput": {} if execution_input is None else execution_input,
            "state": state,
            "document": document,
        }
        result: dict[str, Any] = handler.handler(event, LambdaContext())
        json.dumps(result)
        return result

    return invoke
