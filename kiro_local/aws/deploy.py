"""Deploys a CDK cloud assembly as `cdk deploy` does: assets to the bootstrap bucket, then the stacks in order.

It deploys the synthesized template itself, unchanged. The layout of the assembly is CDK's: ``manifest.json`` lists the
stacks with their templates and dependencies, ``*.assets.json`` the files and their destinations.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from kiro_local.aws.session import ACCOUNT, REGION
from kiro_worker.errors import KiroWorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client

_BOOTSTRAP_VERSION: Final = "/cdk-bootstrap/hnb659fds/version"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_REMEDY: Final = "correct the named resource in infra/, then deploy again"


class DeploymentFailed(KiroWorkerError):
    """A stack did not become complete. The message names the resources that failed and why."""


def deploy(client: Callable[[str], Any], assembly: Path) -> Mapping[str, Mapping[str, str]]:
    """Deploy every stack of ``assembly`` and return the outputs by stack name. ``client`` returns the boto3 client of a
    service.
    """
    manifest = json.loads((assembly / "manifest.json").read_text("utf-8"))
    artifacts: dict[str, Any] = manifest["artifacts"]
    client("ssm").put_parameter(Name=_BOOTSTRAP_VERSION, Type="String", Value="30", Overwrite=True)
    _upload_assets(client("s3"), assembly, artifacts)
    cloudformation: CloudFormationClient = client("cloudformation")
    return {name: _deploy_stack(cloudformation, name, assembly / template) for name, template in _stacks(artifacts)}


def _stacks(artifacts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The name and template file of each stack, dependencies first."""
    ordered: dict[str, tuple[str, str]] = {}

    def visit(key: str) -> None:
        artifact = artifacts[key]
        if artifact["type"] != "aws:cloudformation:stack" or key in ordered:
            return
        for dependency in artifact.get("dependencies", []):
            visit(dependency)
        properties = artifact["properties"]
        ordered[key] = (properties.get("stackName", key), properties["templateFile"])

    for key in artifacts:
        visit(key)
    return list(ordered.values())


def _upload_assets(s3: S3Client, assembly: Path, artifacts: Mapping[str, Any]) -> None:
    for artifact in artifacts.values():
        if artifact["type"] != "cdk:asset-manifest":
            continue
        manifest = json.loads((assembly / artifact["properties"]["file"]).read_text("utf-8"))
        for asset in manifest["files"].values():
            source = assembly / asset["source"]["path"]
            body = _zip(source) if asset["source"]["packaging"] == "zip" else source.read_bytes()
            for destination in asset["destinations"].values():
                bucket = _resolved(destination["bucketName"])
                s3.create_bucket(Bucket=bucket)
                s3.put_object(Bucket=bucket, Key=_resolved(destination["objectKey"]), Body=body)


def _resolved(text: str) -> str:
    return text.replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Region}", REGION)


def _zip(folder: Path) -> bytes:
    """The folder as a zip whose bytes depend only on names, modes and contents."""
    buffer = io.BytesIO()
    # Stored, not deflated, because it crosses loopback once and is unpacked immediately.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
                entry.external_attr = (path.stat().st_mode & 0o777) << 16
                archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def _deploy_stack(cloudformation: CloudFormationClient, name: str, template: Path) -> Mapping[str, str]:
    arguments: dict[str, Any] = {
        "StackName": name,
        "TemplateBody": template.read_text("utf-8"),
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }
    known = {
        stack["StackName"]
        for page in cloudformation.get_paginator("list_stacks").paginate()
        for stack in page["StackSummaries"]
    }
    try:
        if name in known:
            cloudformation.update_stack(**arguments)
        else:
            cloudformation.create_stack(**arguments)
    except ClientError as failure:  # the emulator answers with the reason that AWS reports in the stack's events
        raise DeploymentFailed(f"{name}: {failure.response['Error']['Message']}", _REMEDY) from failure
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    if not stack["StackStatus"].endswith("_COMPLETE") or "ROLLBACK" in stack["StackStatus"]:
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
            for event in events
            if event["ResourceStatus"].endswith("_FAILED")
        ]
        raise DeploymentFailed(
            f"{name} is {stack['StackStatus']}: {'; '.join(reasons) or stack.get('StackStatusReason', '')}", _REMEDY
        )
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
