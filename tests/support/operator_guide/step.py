"""One invocation of a step's real function, with AWS's clients as stubs and GitHub in memory behind a URL."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import boto3
import pytest
from aws_lambda_powertools import Metrics
from botocore.exceptions import ClientError

from kiro_worker.errors import KiroWorkerError
from kiro_worker.models import Failure
from kiro_worker.platform_errors import FUNCTIONS
from tests.support.fake_github import FakeGitHub, served
from tests.support.operator_guide.problem import ARN, Seen
from tests.unit.functions.conftest import VARIABLES, Aws, LambdaContext

ITEM: Final = {"id": "CARD", "contentType": "Issue", "status": "Ready", "repository": "acme/shop"}
"""The card of a state document."""


@dataclass
class Installation:
    """What surrounds the functions: the answers of AWS, GitHub, and the variables that the deployment sets."""

    aws: Aws = field(default_factory=Aws)
    github: FakeGitHub = field(default_factory=FakeGitHub)
    variables: dict[str, str] = field(default_factory=lambda: dict(VARIABLES))

    def deny(self, operation: str, code: str, message: str) -> None:
        """Let the client's method ``operation`` fail with this error of AWS."""
        called = "".join(part.capitalize() for part in operation.split("_"))

        def refuse(**_: Any) -> None:
            raise ClientError({"Error": {"Code": code, "Message": message}}, called)

        setattr(self.aws, operation, refuse)

    def invoke(self, state: str, document: dict[str, Any], execution_input: Any = None) -> Seen:
        """Return the error of the state's function, or the end that it decides."""
        function = f"kiro-worker-test-{FUNCTIONS[state]}"
        name = f"functions.{FUNCTIONS[state].replace('-', '_')}.handler"
        event = {
            "executionArn": ARN,
            "redriveCount": 0,
            "executionInput": execution_input or {},
            "state": state,
            "document": document,
        }
        with pytest.MonkeyPatch.context() as patch, served(self.github) as url:
            self.aws.configuration.setdefault("githubApiUrl", url)
            for variable, value in self.variables.items():
                patch.setenv(variable, value)
            patch.setattr(boto3, "client", lambda _service: self.aws)
            try:
                result = importlib.import_module(name).handler(event, LambdaContext(function_name=function))
            except KiroWorkerError as error:
                return Seen(type(error).__name__, str(error))
            finally:
                sys.modules.pop(name, None)
                for kept in (Metrics._metrics, Metrics._dimensions, Metrics._default_dimensions):
                    kept.clear()
        return Seen(result["end"], result["reason"])


def in_step(
    state: str, change: Callable[[Installation], object], document: Any = None, execution_input: Any = None
) -> Callable[[], Seen]:
    """Return a function that runs the state's function in an installation with this ``change``."""

    def provoke() -> Seen:
        installation = Installation()
        change(installation)
        return installation.invoke(state, document or {}, execution_input)

    return provoke


def failed_run(state: str, error: str, message: str) -> Callable[[], Seen]:
    """Return a function that ends a run in which ``state`` failed with a platform's error, as FailRun does."""
    cause = json.dumps({"errorMessage": message, "errorType": error})
    return lambda: Installation().invoke("FailRun", {"failure": Failure(state, error, cause).to_dict()})
