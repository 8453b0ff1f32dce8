"""The throw-away stack of the probes: a CodeBuild project that sleeps and fails as it is told, and two roles.
Everything is named ``kiro-worker-probe-…`` and deleted at the end, come what may.
"""

from __future__ import annotations

import json
import textwrap
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

PREFIX: Final = "kiro-worker-probe"

# Which variables reach Step Functions when the build phase fails, of this phase and of the one after it?
BUILDSPEC: Final = textwrap.dedent(
    """
    version: 0.2
    env:
      exported-variables: [FROM_BUILD, FROM_POST_BUILD]
    phases:
      build:
        commands:
          - export FROM_BUILD=told
          - sleep "$NAP"
          - test "$FAILS" = no
      post_build:
        commands:
          - export FROM_POST_BUILD=told
    """
)


@dataclass(frozen=True)
class Place:
    """Where the probes ask. ``limit`` is the timeout in seconds that they let pass: a build must be able to begin in
    it. ``patience``: seconds after which something counts as not happening at all. ``poll``: seconds between looks.
    """

    client: Callable[[str], Any]
    project: str
    role_arn: str
    limit: int
    patience: float
    poll: float


@contextmanager
def probe_stack(client: Callable[[str], Any], *, limit: int, patience: float, poll: float) -> Iterator[Place]:
    name = f"{PREFIX}-{uuid.uuid4().hex[:8]}"
    cloudformation = client("cloudformation")
    cloudformation.create_stack(
        StackName=name, TemplateBody=json.dumps(_template(name)), Capabilities=["CAPABILITY_IAM"]
    )
    try:
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        yield Place(client, outputs["Project"], outputs["RoleArn"], limit, patience, poll)
    finally:
        cloudformation.delete_stack(StackName=name)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)


@contextmanager
def machine(place: Place, purpose: str, states: Mapping[str, Any], **fields: Any) -> Iterator[str]:
    """A throw-away state machine, by its ARN. Before it is deleted its executions are stopped, and the builds."""
    client = place.client("stepfunctions")
    definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **fields}
    arn = client.create_state_machine(
        name=f"{PREFIX}-{purpose}-{uuid.uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=place.role_arn
    )["stateMachineArn"]
    try:
        yield arn
    finally:
        for execution in client.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]:
            client.stop_execution(executionArn=execution["executionArn"])
        stop_builds(place)
        client.delete_state_machine(stateMachineArn=arn)


def stop_builds(place: Place) -> None:
    client = place.client("codebuild")
    ids = client.list_builds_for_project(projectName=place.project)["ids"]
    for build in client.batch_get_builds(ids=ids)["builds"] if ids else []:
        if build["buildStatus"] == "IN_PROGRESS":
            client.stop_build(id=build["id"])


def _template(name: str) -> dict[str, Any]:
    project = {"Fn::Sub": f"arn:${{AWS::Partition}}:codebuild:${{AWS::Region}}:${{AWS::AccountId}}:project/{name}"}
    logs = {"Fn::Sub": f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:/{name}:*"}
    # AWS's own, shared by all state machines of the account that wait for builds; the workflow's role may do the same.
    rule = {
        "Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/"
        "StepFunctionsGetEventForCodeBuildStartBuildRule"
    }
    builds = ["codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds", "codebuild:BatchGetReports"]
    rules = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
    return {
        "Description": "Kiro CodeBuild Worker: probes of what AWS does not document. Delete it if it is still here.",
        "Resources": {
            "Logs": {
                "Type": "AWS::Logs::LogGroup",
                "Properties": {"LogGroupName": f"/{name}", "RetentionInDays": 1},
            },
            "BuildRole": _role("codebuild", (["logs:CreateLogStream", "logs:PutLogEvents"], logs)),
            "StatesRole": _role("states", (builds, project), (rules, rule)),
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
        },
    }


def _role(service: str, *grants: tuple[list[str], Any]) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    statements = [{"Effect": "Allow", "Action": actions, "Resource": resource} for actions, resource in grants]
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [{"PolicyName": "probe", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}],
        },
    }
