"""The temporary stack of the probes: a CodeBuild project that sleeps and fails on request, and two roles. Everything is
named ``kiro-worker-probe-…`` and always deleted at the end.
"""

from __future__ import annotations

import json
import textwrap
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from infra.stacks.grants import NEVER_OVERRIDDEN

PREFIX: Final = "kiro-worker-probe"

# Exports one variable in the build phase, which fails on request, and one in the phase after it, to find out which of
# them Step Functions receives.
BUILDSPEC: Final = textwrap.dedent(
    """
    version: 0.2
    env:
      exported-variables: [FROM_BUILD, FROM_POST_BUILD]
    phases:
      build:
        commands:
          - export FROM_BUILD=set
          - sleep "$PAUSE_SECONDS"
          - test "$FAILS" = no
      post_build:
        commands:
          - export FROM_POST_BUILD=set
    """
)

# Declares a report for which no file exists.
REPORTING_BUILDSPEC: Final = textwrap.dedent(
    """
    version: 0.2
    phases:
      build:
        commands: ["true"]
    reports:
      missing:
        files: ["absent.xml"]
        file-format: JUNITXML
    """
)


@dataclass(frozen=True)
class ProbeContext:
    """The account and stack that a probe uses, and its times in seconds. ``limit`` is the timeout that probes let
    expire; a build must be able to start within it. After ``patience`` an expected event counts as missing. ``poll`` is
    the interval between checks.
    """

    client: Callable[[str], Any]
    project: str
    role_arn: str
    limit: int
    patience: float
    poll: float
    #: The role that may start builds only as the workflow's role may.
    restricted_role_arn: str = ""


@contextmanager
def probe_stack(client: Callable[[str], Any], *, limit: int, patience: float, poll: float) -> Iterator[ProbeContext]:
    """Create the stack, and delete it at the end."""
    name = f"{PREFIX}-{uuid.uuid4().hex[:8]}"
    cloudformation = client("cloudformation")
    cloudformation.create_stack(
        StackName=name, TemplateBody=json.dumps(_template(name)), Capabilities=["CAPABILITY_IAM"]
    )
    try:
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        yield ProbeContext(
            client, outputs["Project"], outputs["RoleArn"], limit, patience, poll, outputs["RestrictedRoleArn"]
        )
    finally:
        cloudformation.delete_stack(StackName=name)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)


@contextmanager
def machine(context: ProbeContext, purpose: str, states: Mapping[str, Any], **fields: Any) -> Iterator[str]:
    """The ARN of a temporary state machine. At the end, stop its executions and builds, and delete it."""
    client = context.client("stepfunctions")
    definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **fields}
    arn = client.create_state_machine(
        name=f"{PREFIX}-{purpose}-{uuid.uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=context.role_arn
    )["stateMachineArn"]
    try:
        yield arn
    finally:
        for execution in client.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]:
            client.stop_execution(executionArn=execution["executionArn"])
        stop_builds(context)
        client.delete_state_machine(stateMachineArn=arn)


def stop_builds(context: ProbeContext) -> None:
    """Stop every running build of the probes' project."""
    client = context.client("codebuild")
    ids = client.list_builds_for_project(projectName=context.project)["ids"]
    for build in client.batch_get_builds(ids=ids)["builds"] if ids else []:
        if build["buildStatus"] == "IN_PROGRESS":
            client.stop_build(id=build["id"])


def _template(name: str) -> dict[str, Any]:
    project = {"Fn::Sub": f"arn:${{AWS::Partition}}:codebuild:${{AWS::Region}}:${{AWS::AccountId}}:project/{name}"}
    logs = {"Fn::Sub": f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:/{name}:*"}
    # CodeBuild names a report's group after the project and the report.
    groups = {
        "Fn::Sub": f"arn:${{AWS::Partition}}:codebuild:${{AWS::Region}}:${{AWS::AccountId}}:report-group/{name}-*"
    }
    reports = [f"codebuild:{action}" for action in ("CreateReportGroup", "CreateReport", "UpdateReport")]
    # AWS's own rule, shared by all state machines of the account that wait for builds. The workflow's role has the same
    # permissions on it.
    rule = {
        "Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/"
        "StepFunctionsGetEventForCodeBuildStartBuildRule"
    }
    builds = ["codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds", "codebuild:BatchGetReports"]
    rules = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
    return {
        "Description": "Kiro CodeBuild Worker: probes of undocumented behavior. Delete this stack if it still exists.",
        "Resources": {
            "Logs": {
                "Type": "AWS::Logs::LogGroup",
                "Properties": {"LogGroupName": f"/{name}", "RetentionInDays": 1},
            },
            "BuildRole": _role("codebuild", (["logs:CreateLogStream", "logs:PutLogEvents"], logs), (reports, groups)),
            "StatesRole": _role("states", (builds, project), (rules, rule)),
            "RestrictedRole": _role(
                "states",
                (builds[:1], project, {"Null": dict.fromkeys(NEVER_OVERRIDDEN, "true")}),
                (builds[1:], project),
                (rules, rule),
            ),
            "Project": {
                "Type": "AWS::CodeBuild::Project",
                "Properties": {
                    "Name": name,
                    "ServiceRole": {"Fn::GetAtt": ["BuildRole", "Arn"]},
                    "Source": {"Type": "NO_SOURCE", "BuildSpec": BUILDSPEC},
                    "Artifacts": {"Type": "NO_ARTIFACTS"},
                    "Environment": {
                        "Type": "ARM_CONTAINER",
                        "Image": "aws/codebuild/amazonlinux-aarch64-standard:3.0",
                        "ComputeType": "BUILD_GENERAL1_SMALL",
                    },
                    "TimeoutInMinutes": 15,
                    "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": {"Ref": "Logs"}}},
                },
            },
        },
        "Outputs": {
            "Project": {"Value": {"Ref": "Project"}},
            "RoleArn": {"Value": {"Fn::GetAtt": ["StatesRole", "Arn"]}},
            "RestrictedRoleArn": {"Value": {"Fn::GetAtt": ["RestrictedRole", "Arn"]}},
        },
    }


def _role(service: str, *grants: tuple[Any, ...]) -> dict[str, Any]:
    """A role with permissions, each of which is the actions, the resource, and perhaps a condition."""
    trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    keys = ("Action", "Resource", "Condition")
    statements = [{"Effect": "Allow", **dict(zip(keys, grant, strict=False))} for grant in grants]
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [{"PolicyName": "probe", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}],
        },
    }
