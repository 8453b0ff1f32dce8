from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiro_local.aws.deploy import DeploymentFailed, deploy
from kiro_local.aws.server import EmbeddedAws

ASSETS = {"Fn::Sub": "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"}
HANDLER = "import shared, os\ndef handler(event, context):\n    return [shared.VALUE, os.environ['TABLE'], event]\n"


@pytest.fixture
def assembly(tmp_path: Path) -> Callable[..., Path]:
    """Writes a cloud assembly as CDK does: stacks with their dependencies, and asset folders."""

    def write(stacks: dict[str, dict[str, Any]], assets: dict[str, dict[str, str]] | None = None) -> Path:
        artifacts: dict[str, Any] = {"Tree": {"type": "cdk:tree"}}
        files: dict[str, Any] = {}
        for asset, content in (assets or {}).items():
            for name, text in content.items():
                file = tmp_path / f"asset.{asset}" / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            destination = {"bucketName": ASSETS["Fn::Sub"], "objectKey": f"{asset}.zip"}
            files[asset] = {
                "source": {"path": f"asset.{asset}", "packaging": "zip"},
                "destinations": {"here": destination},
            }
        (tmp_path / "the.assets.json").write_text(json.dumps({"files": files}))
        artifacts["the.assets"] = {"type": "cdk:asset-manifest", "properties": {"file": "the.assets.json"}}
        for name, stack in stacks.items():
            template = {"Resources": stack["Resources"], "Outputs": stack.get("Outputs", {})}
            (tmp_path / f"{name}.json").write_text(json.dumps(template))
            artifacts[name] = {
                "type": "aws:cloudformation:stack",
                "dependencies": ["the.assets", *stack.get("dependencies", [])],
                "properties": {"templateFile": f"{name}.json", "stackName": f"{name}-test"},
            }
        (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
        return tmp_path

    return write


def role() -> dict[str, Any]:
    document = {"Version": "2012-10-17", "Statement": []}
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": document}}


def table() -> dict[str, Any]:
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": "locks",
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
            "TimeToLiveSpecification": {"AttributeName": "expiresAt", "Enabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        },
    }


def core() -> dict[str, Any]:
    return {
        "Resources": {"Table": table()},
        "Outputs": {"Name": {"Value": {"Ref": "Table"}, "Export": {"Name": "core:Table"}}},
    }


def workflow(layer: str = "layer") -> dict[str, Any]:
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "Call",
        "States": {
            "Call": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Arguments": {"FunctionName": "${FunctionArn}", "Payload": "{% $states.input %}"},
                "Output": "{% $states.result.Payload %}",
                "End": True,
            }
        },
    }
    return {
        "dependencies": ["Core"],
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "StateMachineName": "machine",
                    "DefinitionString": json.dumps(definition),
                    "DefinitionSubstitutions": {"FunctionArn": {"Fn::GetAtt": ["Function", "Arn"]}},
                    "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                },
            },
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "FunctionName": "function",
                    "Code": {"S3Bucket": ASSETS, "S3Key": "code.zip"},
                    "Layers": [{"Ref": "Layer"}],
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                    "Runtime": "python3.13",
                    "Handler": "handler.handler",
                    "Timeout": 30,
                    "Environment": {"Variables": {"TABLE": {"Fn::ImportValue": "core:Table"}}},
                },
            },
            "Layer": {
                "Type": "AWS::Lambda::LayerVersion",
                "Properties": {"Content": {"S3Bucket": ASSETS, "S3Key": f"{layer}.zip"}},
            },
            "Role": role(),
        },
        "Outputs": {"Arn": {"Value": {"Ref": "Machine"}}},
    }


CODE = {
    "code": {"handler.py": HANDLER},
    "layer": {"python/shared.py": "VALUE = 'old'"},
    "newer": {"python/shared.py": "VALUE = 'new'"},
}


def test_stacks_deploy_in_order_with_assets(
    embedded: EmbeddedAws, assembly: Callable[..., Path], run: Callable[..., Any]
) -> None:
    outputs = deploy(embedded.client, assembly({"Workflow": workflow(), "Core": core()}, CODE))
    assert outputs["Core-test"]["Name"] == "locks"
    assert run(outputs["Workflow-test"]["Arn"], {"a": 1}).output() == ["old", "locks", {"a": 1}]


def test_table_has_ttl_and_recovery(embedded: EmbeddedAws, assembly: Callable[..., Path]) -> None:
    deploy(embedded.client, assembly({"Core": core()}))
    client = embedded.client("dynamodb")
    living = client.describe_time_to_live(TableName="locks")["TimeToLiveDescription"]
    assert living == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiresAt"}
    backups = client.describe_continuous_backups(TableName="locks")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_update_passes_new_layer_to_functions(
    embedded: EmbeddedAws, assembly: Callable[..., Path], run: Callable[..., Any]
) -> None:
    deploy(embedded.client, assembly({"Core": core(), "Workflow": workflow()}, CODE))
    deploy(embedded.client, assembly({"Core": core(), "Workflow": workflow()}, CODE))
    outputs = deploy(embedded.client, assembly({"Core": core(), "Workflow": workflow("newer")}, CODE))
    assert run(outputs["Workflow-test"]["Arn"]).output() == ["new", "locks", {}]
    assert len(embedded.client("stepfunctions").list_state_machines()["stateMachines"]) == 1


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ({"Type": "AWS::Quantum::Teleporter"}, r"Resource Bad \(AWS::Quantum::Teleporter\).*no such resource type"),
        (
            {"Type": "AWS::Lambda::Function", "Properties": {"Role": "x", "Code": {}, "Runtime": "r"}},
            r"Resource Bad \(AWS::Lambda::Function\)",
        ),
        (
            {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {"StateMachineName": "m", "DefinitionString": "{", "RoleArn": "x"},
            },
            r"Resource Bad \(AWS::StepFunctions::StateMachine\)",
        ),
        ({"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "t"}}, r"Resource Bad \(AWS::DynamoDB::Table\)"),
    ],
)
def test_failed_resource_is_named(
    embedded: EmbeddedAws, assembly: Callable[..., Path], resource: dict[str, Any], message: str
) -> None:
    with pytest.raises(DeploymentFailed, match=f"Stack-test: {message}") as error:
        deploy(embedded.client, assembly({"Stack": {"Resources": {"Bad": resource}}}))
    assert error.value.remedy


def test_missing_export_is_named(embedded: EmbeddedAws, assembly: Callable[..., Path]) -> None:
    stack = workflow()
    stack["dependencies"] = []
    with pytest.raises(DeploymentFailed, match="core:Table"):
        deploy(embedded.client, assembly({"Workflow": stack}, CODE))


def test_resource_types_added_to_moto(embedded: EmbeddedAws, assembly: Callable[..., Path]) -> None:
    """A project, a schedule with its queue, a secret, a parameter with tags, and a policy."""
    resources = {
        "Role": role(),
        "Project": {
            "Type": "AWS::CodeBuild::Project",
            "Properties": {
                "Name": "project",
                "Source": {"Type": "S3", "Location": "b/k.zip", "BuildSpec": "buildspec.yml"},
                "Artifacts": {"Type": "NO_ARTIFACTS"},
                "Environment": {
                    "Type": "ARM_CONTAINER",
                    "ComputeType": "BUILD_GENERAL1_SMALL",
                    "Image": "i",
                    "EnvironmentVariables": [{"Name": "A", "Type": "PLAINTEXT", "Value": {"Ref": "Secret"}}],
                },
                "ServiceRole": {"Fn::GetAtt": ["Role", "Arn"]},
                "TimeoutInMinutes": 60,
                "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": "/own/group"}},
            },
        },
        "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "secret", "SecretString": "s"}},
        "Parameter": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/p", "Type": "String", "Value": "v", "Tags": {"a": "b"}},
        },
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dead-letters"}},
        "QueuePolicy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": {"Version": "2012-10-17", "Statement": []}},
        },
        "Schedule": {
            "Type": "AWS::Scheduler::Schedule",
            "Properties": {
                "Name": "schedule",
                "ScheduleExpression": "rate(5 minutes)",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {
                    "Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:m",
                    "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                    "Input": "{}",
                    "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}},
                },
            },
        },
    }
    outputs = {"Project": {"Value": {"Fn::GetAtt": ["Project", "Arn"]}}, "Schedule": {"Value": {"Ref": "Schedule"}}}
    deployed = deploy(embedded.client, assembly({"S": {"Resources": resources, "Outputs": outputs}}))["S-test"]
    project = embedded.client("codebuild").batch_get_projects(names=["project"])["projects"][0]
    assert deployed == {"Project": project["arn"], "Schedule": "schedule"}
    assert project["timeoutInMinutes"] == 60
    assert project["logsConfig"]["cloudWatchLogs"]["groupName"] == "/own/group"
    secret = embedded.client("secretsmanager").describe_secret(SecretId="secret")["ARN"]
    assert project["environment"]["environmentVariables"] == [{"name": "A", "type": "PLAINTEXT", "value": secret}]
    target = embedded.client("scheduler").get_schedule(Name="schedule")["Target"]
    assert target["DeadLetterConfig"]["Arn"].endswith(":dead-letters")
    assert embedded.client("ssm").get_parameter(Name="/p")["Parameter"]["Value"] == "v"


def test_update_keeps_secret_value(embedded: EmbeddedAws, assembly: Callable[..., Path]) -> None:
    def stack(description: str) -> dict[str, Any]:
        properties = {"Name": "secret", "SecretString": "placeholder", "Description": description}
        return {"Resources": {"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": properties}}}

    deploy(embedded.client, assembly({"S": stack("one")}))
    embedded.client("secretsmanager").put_secret_value(SecretId="secret", SecretString="the operator's")
    deploy(embedded.client, assembly({"S": stack("two")}))
    assert embedded.client("secretsmanager").get_secret_value(SecretId="secret")["SecretString"] == "the operator's"
