from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

import pytest

from kiro_local.aws.server import EmbeddedAws
from tests.conftest import Deployments

T = TypeVar("T")

ROLE = "arn:aws:iam::123456789012:role/any"


@pytest.fixture(autouse=True)
def _close_other_deployments(deployments: Deployments) -> None:
    """A process can run only one embedded AWS."""
    deployments.close()


@pytest.fixture
def function_lines() -> list[tuple[str, str]]:
    """The output of the functions of ``embedded``: function and line."""
    return []


@pytest.fixture
def build_lines() -> list[tuple[str, str]]:
    """The output of the builds of ``embedded``: build id and line."""
    return []


@pytest.fixture
def embedded(function_lines: list[tuple[str, str]], build_lines: list[tuple[str, str]]) -> Iterator[EmbeddedAws]:
    with EmbeddedAws(
        pause_scale=0.01,
        minute_seconds=0.2,
        on_function_line=lambda *line: function_lines.append(line),
        on_build_line=lambda *line: build_lines.append(line),
    ) as aws:
        yield aws


@pytest.fixture
def zip_of() -> Callable[[Mapping[str, str]], bytes]:
    return _zipped


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """The function :func:`until`, which waits for a condition."""
    return until


def _zipped(files: Mapping[str, str]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return archive.getvalue()


def until(condition: Callable[[], T], seconds: float = 20) -> T:
    """The value of the condition as soon as it is truthy."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"the condition did not become true within {seconds} s"
        time.sleep(0.01)
    return value


def _deploy_function(
    aws: EmbeddedAws, name: str, text: str, layers: list[Mapping[str, str]] | None = None, **settings: Any
) -> str:
    try:
        aws.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument="{}")
    except aws.client("iam").exceptions.EntityAlreadyExistsException:
        pass
    client = aws.client("lambda")
    arns = [
        client.publish_layer_version(LayerName=f"{name}-{index}", Content={"ZipFile": _zipped(files)})[
            "LayerVersionArn"
        ]
        for index, files in enumerate(layers or [])
    ]
    client.create_function(
        FunctionName=name,
        Role=ROLE,
        Runtime="python3.13",
        Handler="handler.handler",
        Code={"ZipFile": _zipped({"handler.py": text})},
        Layers=arns,
        **settings,
    )
    return name


@pytest.fixture
def deploy_function() -> Callable[..., str]:
    return _deploy_function


@pytest.fixture
def function(embedded: EmbeddedAws) -> Callable[..., str]:
    """Deploys the source of a handler module to ``embedded`` and returns the function's name."""
    return partial(_deploy_function, embedded)


def _deploy_project(
    aws: EmbeddedAws,
    buildspec: str,
    files: Mapping[str, str] | None = None,
    name: str = "builder",
    variables: Mapping[str, str] | None = None,
    **settings: Any,
) -> str:
    storage = aws.client("s3")
    if not storage.list_buckets()["Buckets"]:
        storage.create_bucket(Bucket="sources")
    archive = _zipped({"buildspec.yml": buildspec, **(files or {})})
    storage.put_object(Bucket="sources", Key=f"{name}.zip", Body=archive)
    aws.client("codebuild").create_project(
        name=name,
        source={"type": "S3", "location": f"sources/{name}.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "ARM_CONTAINER",
            "image": "any",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": n, "value": v} for n, v in (variables or {}).items()],
        },
        serviceRole=ROLE,
        **settings,
    )
    return name


@pytest.fixture
def deploy_project() -> Callable[..., str]:
    return _deploy_project


@pytest.fixture
def project(embedded: EmbeddedAws) -> Callable[..., str]:
    """Creates a CodeBuild project in ``embedded`` from a buildspec and other files, and returns its name."""
    return partial(_deploy_project, embedded)


@pytest.fixture
def machine(embedded: EmbeddedAws) -> Callable[..., str]:
    """Creates a state machine from its states and returns its ARN."""

    def create(states: Mapping[str, Any], name: str = "machine", **fields: Any) -> str:
        definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **fields}
        created = embedded.client("stepfunctions").create_state_machine(
            name=name, definition=json.dumps(definition), roleArn=ROLE
        )
        return str(created["stateMachineArn"])

    return create


class Run:
    """An execution, read through the API."""

    def __init__(self, embedded: EmbeddedAws, arn: str) -> None:
        self.states = embedded.client("stepfunctions")
        self.arn = arn

    def describe(self) -> dict[str, Any]:
        return dict(self.states.describe_execution(executionArn=self.arn))

    def ended(self) -> dict[str, Any]:
        return until(lambda: described if (described := self.describe())["status"] != "RUNNING" else {})

    def output(self) -> Any:
        described = self.ended()
        assert described["status"] == "SUCCEEDED", described
        return json.loads(described["output"])

    def history(self) -> list[dict[str, Any]]:
        return list(self.states.get_execution_history(executionArn=self.arn)["events"])

    def event_types(self) -> list[str]:
        return [event["type"] for event in self.history()]

    def entered(self, state: str) -> bool:
        return any(event.get("stateEnteredEventDetails", {}).get("name") == state for event in self.history())


@pytest.fixture
def run(embedded: EmbeddedAws) -> Callable[..., Run]:
    def start(machine_arn: str, document: Any = None, **fields: Any) -> Run:
        started = embedded.client("stepfunctions").start_execution(
            stateMachineArn=machine_arn, input=json.dumps({} if document is None else document), **fields
        )
        return Run(embedded, started["executionArn"])

    return start
