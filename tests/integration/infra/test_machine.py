"""The stacks of an installation that chooses everything about its build machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kiro_worker.names import CORE_STACK, WORKFLOW_STACK
from tests.support.stacks import Stacks, Synthesize

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/ci:7"
OTHER = "210987654321.dkr.ecr.us-east-1.amazonaws.com/python"
CONTEXT: dict[str, object] = {
    "packagingPlatform": "host",
    "runnerPython": "image",
    "architecture": "x86_64",
    "buildImage": IMAGE,
    "imageRepositories": OTHER,
    "computeType": "LARGE",
    "buildTimeoutMinutes": "30",
    "privileged": "true",
    "vpcId": "vpc-0a1b2c3d",
    "subnetIds": "subnet-0a1b2c3d,subnet-0a1b2c3e",
    "securityGroupIds": ["sg-0a1b2c3d"],
}
SUBNETS = [f"arn:<Partition>:ec2:<Region>:*:subnet/subnet-0a1b2c3{end}" for end in "de"]
INTERFACES = "arn:<Partition>:ec2:<Region>:<AccountId>:network-interface/*"


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory, synthesize: Synthesize) -> Stacks:
    outdir: Path = tmp_path_factory.mktemp("machine")
    done = synthesize(outdir, **CONTEXT)
    assert done.returncode == 0, done.stderr
    assert "Warning: Context buildTimeoutMinutes is 30, " in done.stderr
    core, workflow = (
        json.loads((outdir / f"{name}.template.json").read_text()) for name in (CORE_STACK, WORKFLOW_STACK)
    )
    return Stacks(core=core, workflow=workflow)


@pytest.fixture(scope="module")
def project(chosen: Stacks) -> dict[str, Any]:
    return chosen.one("AWS::CodeBuild::Project")


def test_project_is_machine_of_context(project: dict[str, Any]) -> None:
    environment = {key: value for key, value in project["Environment"].items() if key != "EnvironmentVariables"}
    assert environment == {
        "Type": "LINUX_CONTAINER",
        "Image": IMAGE,
        "ComputeType": "BUILD_GENERAL1_LARGE",
        "PrivilegedMode": True,
        # CodeBuild's own credentials cannot pull from another account or a private registry.
        "ImagePullCredentialsType": "SERVICE_ROLE",
    }
    variables = {variable["Name"]: variable["Value"] for variable in project["Environment"]["EnvironmentVariables"]}
    assert (variables["BUILD_PRIVILEGED"], variables["BUILD_IMAGE"]) == ("true", IMAGE)
    assert project["TimeoutInMinutes"] == 30
    assert project["VpcConfig"] == {
        "VpcId": "vpc-0a1b2c3d",
        "Subnets": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"],
        "SecurityGroupIds": ["sg-0a1b2c3d"],
    }


def test_functions_have_architecture_of_wheels(chosen: Stacks) -> None:
    assert {str(f["Architectures"]) for f in chosen.of("AWS::Lambda::Function").values()} == {"['x86_64']"}
    assert chosen.one("AWS::Lambda::LayerVersion")["CompatibleArchitectures"] == ["x86_64"]


def test_times_follow_from_build(chosen: Stacks) -> None:
    machine = chosen.of("AWS::StepFunctions::StateMachine")["kiro-worker-test"]
    assert json.loads(machine["DefinitionString"])["TimeoutSeconds"] == (30 + 30) * 60 + 300 + 900
    functions = chosen.of("AWS::Lambda::Function")
    lease = functions["kiro-worker-test-acquire-lock"]["Environment"]["Variables"]["LOCK_LEASE_SECONDS"]
    assert lease == str((30 + 30) * 60 + 300 + 900 + 600)
    validate = functions["kiro-worker-test-validate-work-item"]["Environment"]["Variables"]
    assert validate["BUILD_TIMEOUT_MINUTES"] == "30"


def statements(chosen: Stacks, action: str) -> list[dict[str, Any]]:
    """The statements of all policies with an action, with references resolved."""
    found = [
        statement
        for resource in chosen.resources.values()
        if resource["Type"] == "AWS::IAM::Policy"
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
        if action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    ]
    return [statement | {"Resource": resolved(chosen, statement["Resource"])} for statement in found]


def resolved(chosen: Stacks, value: Any) -> Any:
    return [chosen.resolve(each) for each in value] if isinstance(value, list) else chosen.resolve(value)


def test_build_may_pull_only_named_repositories(chosen: Stacks) -> None:
    [token] = statements(chosen, "ecr:GetAuthorizationToken")
    assert token["Resource"] == "*"
    [pull] = statements(chosen, "ecr:BatchGetImage")
    assert pull["Resource"] == [
        "arn:<Partition>:ecr:eu-central-1:123456789012:repository/team/ci",
        "arn:<Partition>:ecr:us-east-1:210987654321:repository/python",
    ]


def test_network_permissions_end_at_subnets(chosen: Stacks) -> None:
    [create] = statements(chosen, "ec2:CreateNetworkInterface")
    group = "arn:<Partition>:ec2:<Region>:*:security-group/sg-0a1b2c3d"
    assert create["Resource"] == [INTERFACES, *SUBNETS, group]
    for action in ("ec2:DeleteNetworkInterface", "ec2:CreateNetworkInterfacePermission"):
        [statement] = statements(chosen, action)
        assert statement["Resource"] == INTERFACES
        assert resolved(chosen, statement["Condition"]["ArnLike"]["ec2:Subnet"]) == SUBNETS
    [attach] = statements(chosen, "ec2:CreateNetworkInterfacePermission")
    assert attach["Condition"]["StringEquals"] == {"ec2:AuthorizedService": "codebuild.amazonaws.com"}
    [describe] = statements(chosen, "ec2:DescribeSubnets")
    assert describe["Resource"] == "*"
    assert all(action.startswith("ec2:Describe") for action in describe["Action"])


def test_network_permissions_exist_before_project(chosen: Stacks) -> None:
    """CodeBuild refuses to create a project in a VPC whose role lacks them."""
    [project] = [r for r in chosen.resources.values() if r["Type"] == "AWS::CodeBuild::Project"]
    policies = [chosen.resources[name] for name in project["DependsOn"]]
    assert "ec2:CreateNetworkInterface" in json.dumps(policies)


def test_request_overrides_only_the_machine(chosen: Stacks) -> None:
    [start] = statements(chosen, "codebuild:StartBuild")
    assert start["Action"] == "codebuild:StartBuild"
    null = start["Condition"]["Null"]
    assert set(null.values()) == {"true"}
    assert {
        "codebuild:environment.privilegedMode",
        "codebuild:serviceRole",
        "codebuild:source.buildspec",
        "codebuild:source.location",
    } <= set(null)
    # What RunBuild sets.
    assert not {"codebuild:environment", "codebuild:environment.image", "codebuild:environment.computeType"} & set(null)


def test_installation_without_choices_grants_neither(stacks: Stacks) -> None:
    for action in ("ecr:GetAuthorizationToken", "ec2:CreateNetworkInterface", "ec2:DescribeSubnets"):
        assert statements(stacks, action) == []
    assert "VpcConfig" not in stacks.one("AWS::CodeBuild::Project")


def test_wrong_context_is_named_before_packaging(synthesize: Synthesize, tmp_path: Path) -> None:
    done = synthesize(tmp_path, packagingPlatform="host", buildTimeoutMinutes=3)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Context buildTimeoutMinutes is 3, but it must be a whole number of minutes from 5 to 2160.\n"
    )
