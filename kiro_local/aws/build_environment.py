"""The environment variables of a build: CodeBuild's own and those of the project, the caller and the buildspec.

Of the user's environment a build gets only what package managers need to reach their indexes, such as proxies and
certificates. On AWS, an image or the project would name them.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from kiro_local.aws.build_run import SourceMissing
from kiro_local.aws.buildspec import Buildspec
from kiro_local.aws.session import ACCOUNT, REGION, Clients
from kiro_worker.runner.sandbox.environment import network_variables
from kiro_worker.runner.sandbox.sandbox import AGENT_USER_VARIABLE

_SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True)
class BuildFacts:
    """What identifies a build, the location of its source, and its image, although it runs on this machine."""

    build_id: str
    project_name: str
    number: int
    source_location: str
    image: str = ""

    @property
    def arn(self) -> str:
        return f"arn:aws:codebuild:{REGION}:{ACCOUNT}:build/{self.build_id}"


class BuildEnvironment:
    """Composes the environment of each build."""

    def __init__(self, clients: Clients, aws_variables: Mapping[str, str]) -> None:
        """``aws_variables`` are the credentials, region and endpoint that AWS sets in every build."""
        self._clients, self._aws_variables = clients, aws_variables

    def of(
        self,
        facts: BuildFacts,
        buildspec: Buildspec,
        variables: Iterable[Mapping[str, str]],
        source: Path,
        workspace: Path,
    ) -> dict[str, str]:
        """The variables of a build. The caller's override the project's, which override the buildspec's. The setting
        for the agent's user is replaced by one that changes nothing on this machine.
        """
        home = workspace / "home"
        home.mkdir(exist_ok=True)
        overrides = {v["name"]: self._resolved(v.get("type") or "PLAINTEXT", v["value"]) for v in variables}
        if AGENT_USER_VARIABLE in overrides:
            # The project's value is "own", because CodeBuild discards its machine: there, file modes in root's home are
            # changed so that another user can reach the runtimes in it. This machine belongs to a person, so its file
            # modes must not change.
            overrides[AGENT_USER_VARIABLE] = "reachable"
        return {
            "PATH": ":".join(_path()),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            **_network(),
            **self._aws_variables,
            **_codebuild(facts, source),
            **buildspec.variables,
            **{n: self._resolved("PARAMETER_STORE", v) for n, v in buildspec.parameters.items()},
            **{n: self._resolved("SECRETS_MANAGER", v) for n, v in buildspec.secrets.items()},
            **overrides,
        }

    def _resolved(self, kind: str, value: str) -> str:
        try:
            if kind == "PARAMETER_STORE":
                answer: Any = self._clients.get("ssm").get_parameter(Name=value, WithDecryption=True)
                return str(answer["Parameter"]["Value"])
            if kind == "SECRETS_MANAGER":
                return self._secret(value)
        except ClientError as problem:
            raise SourceMissing(f"{kind} {value} cannot be read: {problem.response['Error']['Code']}") from problem
        return value

    def _secret(self, reference: str) -> str:
        """The value of ``secret-id:json-key``, or of an ARN followed by ``:json-key``."""
        parts = reference.split(":")
        size = 7 if reference.startswith("arn:") else 1
        secret, key = ":".join(parts[:size]), (parts[size : size + 1] or [""])[0]
        text = str(self._clients.get("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])
        return str(json.loads(text)[key]) if key else text


def _path() -> list[str]:
    """The directories of the running Python, the system, and this machine's git."""
    tools = [Path(found).parent for tool in ("git",) if (found := shutil.which(tool))]
    return list(dict.fromkeys([str(Path(sys.executable).parent), *_SYSTEM_PATH, *map(str, tools)]))


def _network() -> dict[str, str]:
    """The machine's variables for package managers; with a proxy, loopback is excepted, where AWS and GitHub are."""
    found = network_variables(os.environ)
    if any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name in found):
        for name in ("NO_PROXY", "no_proxy"):
            found[name] = ",".join(filter(None, (os.environ.get(name, ""), "127.0.0.1,localhost")))
    return found


def _codebuild(facts: BuildFacts, source: Path) -> dict[str, str]:
    unique = facts.build_id.rpartition(":")[2]
    return {
        "CI": "true",
        "CODEBUILD_BUILD_ARN": facts.arn,
        "CODEBUILD_BUILD_ID": facts.build_id,
        "CODEBUILD_BUILD_IMAGE": facts.image,
        "CODEBUILD_BUILD_NUMBER": str(facts.number),
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_CI": "true",
        "CODEBUILD_INITIATOR": "embedded",
        "CODEBUILD_LOG_PATH": unique,
        "CODEBUILD_RESOLVED_SOURCE_VERSION": "",
        "CODEBUILD_SOURCE_REPO_URL": facts.source_location,
        "CODEBUILD_SOURCE_VERSION": f"arn:aws:s3:::{facts.source_location}",
        "CODEBUILD_SRC_DIR": str(source),
        "CODEBUILD_START_TIME": str(int(time.time() * 1000)),
    }
