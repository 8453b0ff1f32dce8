"""The real app, synthesised once for all tests of the session: what they read is what would be deployed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from infra.packaging import HOST, ROOT, Package, package

Template = dict[str, Any]
Resource = dict[str, Any]
Synthesise = Callable[..., "subprocess.CompletedProcess[str]"]

NAMES = ("FunctionName", "StateMachineName", "TableName", "BucketName", "LogGroupName", "QueueName", "Name")


@dataclass(frozen=True)
class Stacks:
    """Both templates as one, with references resolved to `<type> <name>`, so that tests read as sentences."""

    core: Template
    workflow: Template

    @cached_property
    def resources(self) -> dict[str, Resource]:
        return {**self.core["Resources"], **self.workflow["Resources"]}

    @cached_property
    def _exports(self) -> dict[str, Any]:
        outputs = self.core["Outputs"].values()
        return {output["Export"]["Name"]: output["Value"] for output in outputs if "Export" in output}

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of every resource of a type, by name on AWS."""
        return {
            self.name(logical_id): resource.get("Properties", {})
            for logical_id, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def one(self, kind: str) -> dict[str, Any]:
        (properties,) = self.of(kind).values()
        return properties

    def name(self, logical_id: str) -> str:
        properties = self.resources[logical_id].get("Properties", {})
        named = next((properties[key] for key in NAMES if key in properties), logical_id)
        return self.resolve(named)

    def resolve(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        ((function, argument),) = value.items()
        if function == "Ref" and argument.startswith("AWS::"):
            return f"<{argument.removeprefix('AWS::')}>"
        if function == "Ref":
            return f"{self.resources[argument]['Type']} {self.name(argument)}"
        if function == "Fn::GetAtt" and argument[1] == "Arn":
            return f"{self.resources[argument[0]]['Type']} {self.name(argument[0])}"
        if function == "Fn::ImportValue":
            return self.resolve(self._exports[argument])
        if function == "Fn::Join":
            return str(argument[0]).join(self.resolve(part) for part in argument[1])
        if function == "Fn::Sub":
            return str(argument)
        raise AssertionError(f"no reading for {value}")

    def grants(self, role: Any) -> set[tuple[str, str]]:
        """(action, resource) of everything that the role of a `Role` or `RoleArn` property may do."""
        role_id = role["Fn::GetAtt"][0]
        assert "ManagedPolicyArns" not in self.resources[role_id]["Properties"]
        assert "Policies" not in self.resources[role_id]["Properties"]
        granted = set()
        for policy in self.of("AWS::IAM::Policy").values():
            if {"Ref": role_id} in policy["Roles"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    assert statement["Effect"] == "Allow"
                    for action in _list(statement["Action"]):
                        for resource in _list(statement["Resource"]):
                            granted.add((action, self.resolve(resource)))
        return granted


@pytest.fixture(scope="session")
def host_package() -> Package:
    return package(HOST)


@pytest.fixture(scope="session")
def synthesise() -> Synthesise:
    """Runs the app as `make synth` and the embedded environment do, with the given context."""

    def run(outdir: Path, **context: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "infra.app"],
            cwd=ROOT,
            env=dict(os.environ, CDK_OUTDIR=str(outdir), CDK_CONTEXT_JSON=json.dumps(context)),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory, synthesise: Synthesise) -> Path:
    """The cloud assembly of environment `test`, shared by the worker processes of one test run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    outdir = shared / "cdk.out"
    with _only_one(shared / "cdk.lock"):
        if not (outdir / "manifest.json").exists():
            done = synthesise(outdir, environment="test", packagingPlatform="host")
            assert done.returncode == 0, done.stderr
    return outdir


@pytest.fixture(scope="session")
def stacks(assembly: Path) -> Stacks:
    def template(stack: str) -> Template:
        parsed: Template = json.loads((assembly / f"{stack}.template.json").read_text(encoding="utf-8"))
        return parsed

    return Stacks(core=template("KiroWorkerCore"), workflow=template("KiroWorkerWorkflow"))


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
