"""The whole deployment on one machine: the product's stacks in the embedded AWS, connected to a GitHub server."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from kiro_local.assembly import ROOT, synthesize
from kiro_local.aws.deploy import deploy
from kiro_local.aws.schedule import tick
from kiro_local.aws.undocumented import ASSUMED, Undocumented
from kiro_worker.executions.follow import wait_for
from kiro_worker.names import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

    from kiro_local.aws.history import HistoryListener
    from kiro_local.aws.http import RequestListener
    from kiro_local.aws.server import LineListener
    from kiro_local.aws.step_fault import StepFault
    from kiro_worker.executions.history import Run

ENVIRONMENT: Final = "test"
NAMES: Final = Names(ENVIRONMENT)
NAME: Final = NAMES.state_machine
CONFIG_PARAMETER: Final = NAMES.configuration_parameter


@dataclass(frozen=True)
class GitHubAccess:
    """A GitHub server and the account to use. The token serves the API and is the password for git."""

    api_url: str
    git_url: str
    token: str = field(repr=False)
    username: str = "git"


class LocalEnvironment:
    """``with LocalEnvironment(access, configuration) as local: run = local.run()``.

    ``configuration`` is the content of the configuration parameter; the two addresses of ``github`` are added to it.
    ``agent_key`` is the agent's secret. ``pause_scale`` shortens the pauses between retries. ``undocumented`` is how
    AWS behaves where its documentation is silent. ``faults`` are injected; postponed work is done
    ``late_seconds`` after its caller gave up. ``root`` is the checkout to deploy. Leaving the context stops everything.
    """

    def __init__(
        self,
        github: GitHubAccess,
        configuration: Mapping[str, Any],
        *,
        port: int = 0,
        agent_key: str = "local-agent-key",
        on_build_line: LineListener | None = None,
        on_history_event: HistoryListener | None = None,
        on_request: RequestListener | None = None,
        pause_scale: float = 1.0,
        faults: Iterable[StepFault] = (),
        late_seconds: float | None = None,
        root: Path = ROOT,
        undocumented: Undocumented = ASSUMED,
    ) -> None:
        # Imported here, because moto takes seconds to import and a wrong command line must fail at once.
        from kiro_local.aws.server import EmbeddedAws

        self._root = root
        self._github = github
        self._configuration = configuration
        self._agent_key = agent_key
        self._stack = ExitStack()
        self.aws = EmbeddedAws(
            port,
            on_build_line=on_build_line,
            on_history_event=on_history_event,
            on_request=on_request,
            pause_scale=pause_scale,
            faults=faults,
            late_seconds=late_seconds,
            undocumented=undocumented,
        )
        self.state_machine_arn = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            assembly = synthesize(self._root, ENVIRONMENT)
            stack.enter_context(self.aws)
            outputs = deploy(self.aws.client, assembly)
            self.state_machine_arn = outputs[NAMES.workflow_stack]["StateMachineArn"]
            self._configure()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def client(self) -> Callable[[str], Any]:
        """A function that returns the boto3 client of a service."""
        return self.aws.client

    def run(self) -> Run:
        """Deliver one scheduled tick and wait for the end of its execution."""
        return wait_for(self.client("stepfunctions"), self.tick())

    def tick(self) -> str:
        """Deliver the schedule now and return the execution's ARN."""
        return tick(self.client, NAMES.schedule)

    def start(self, document: Any, name: str | None = None) -> str:
        """Start an execution with ``document`` as its input and return its ARN."""
        arguments = {"stateMachineArn": self.state_machine_arn, "input": json.dumps(document)}
        if name:
            arguments["name"] = name
        return str(self.client("stepfunctions").start_execution(**arguments)["executionArn"])

    def redrive(self, arn: str) -> None:
        self.client("stepfunctions").redrive_execution(executionArn=arn)

    def lock(self) -> dict[str, Any] | None:
        """The lock's item, or None if nobody holds it."""
        items = self.client("dynamodb").scan(TableName=NAMES.locks_table, ConsistentRead=True)["Items"]
        return next((item for item in items if "owner" in item), None)

    def artifact(self, prefix: str, name: str) -> str:
        """The text of a build's artifact, or an empty string if there is none. ``prefix`` is an ``s3://…`` address."""
        bucket, _, key = prefix.removeprefix("s3://").partition("/")
        client = self.client("s3")
        path = f"{key.rstrip('/')}/{name}"
        if not bucket or not client.list_objects_v2(Bucket=bucket, Prefix=path).get("KeyCount"):
            return ""
        return str(client.get_object(Bucket=bucket, Key=path)["Body"].read().decode("utf-8", "replace"))

    def configure(self, configuration: Mapping[str, Any] | str | None) -> None:
        """Write an object or a text to the configuration parameter, or delete the parameter if it is None."""
        ssm = self.client("ssm")
        if configuration is None:
            ssm.delete_parameter(Name=CONFIG_PARAMETER)
            return
        text = configuration if isinstance(configuration, str) else json.dumps(dict(configuration))
        ssm.put_parameter(Name=CONFIG_PARAMETER, Type="String", Value=text, Overwrite=True)

    def set_build_image(self, image: str) -> str:
        """Set the build project's image, and return the one before. Builds run on this machine in any case."""
        codebuild = self.client("codebuild")
        [project] = codebuild.batch_get_projects(names=[NAMES.build_project])["projects"]
        environment = project["environment"]
        codebuild.update_project(name=project["name"], environment={**environment, "image": image})
        return str(environment["image"])

    def put_secret(self, name: str, value: str) -> None:
        """Set the secret ``name``: ``github-token``, ``git-credentials`` or ``kiro-api-key``."""
        self.client("secretsmanager").put_secret_value(SecretId=NAMES.secret(name), SecretString=value)

    def _configure(self) -> None:
        github = self._github
        self.configure({**self._configuration, "githubApiUrl": github.api_url, "gitUrl": github.git_url})
        self.put_secret("github-token", github.token)
        self.put_secret("git-credentials", json.dumps({"username": github.username, "password": github.token}))
        self.put_secret("kiro-api-key", self._agent_key)
        if shutil.which("kiro-cli"):
            # Builds run on this machine, which has the Kiro CLI, like a custom image on AWS.
            self.set_build_image("this-machine")
