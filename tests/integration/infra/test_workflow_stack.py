from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.machine import DEFAULT_MINUTES
from infra.packaging import ROOT
from infra.settings import build_state_seconds
from kiro_worker.names import QUEUE_MINUTES
from tests.support.definitions import definition
from tests.support.stacks import Stacks

EVERY_STEP = {"ENVIRONMENT", "LOG_LEVEL", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME"}
CONFIG, TOKEN, TABLE, RECORDS, LEASE = (
    "CONFIG_PARAMETER_NAME",
    "GITHUB_TOKEN_SECRET_NAME",
    "LOCKS_TABLE_NAME",
    "RECORDS_TABLE_NAME",
    "LOCK_LEASE_SECONDS",
)
BUILD_SECRETS = {"GIT_CREDENTIALS_SECRET_NAME", "KIRO_API_KEY_SECRET_NAME"}
STEPS = {
    "fetch-work-item": ({CONFIG, TOKEN, TABLE, RECORDS}, 60),
    "validate-work-item": ({CONFIG, TOKEN, RECORDS, "BUILD_PROJECT_NAME", "BUILD_TIMEOUT_MINUTES", *BUILD_SECRETS}, 60),
    "read-build-result": ({CONFIG, TOKEN, TABLE, RECORDS, "BUILD_PROJECT_NAME"}, 60),
    "update-status": ({CONFIG, TOKEN, RECORDS}, 60),
    "acquire-lock": ({CONFIG, TABLE, LEASE, RECORDS}, 30),
    "release-lock": ({TABLE}, 30),
    "fail-run": (set(), 30),
}


def test_every_folder_has_one_function(stacks: Stacks) -> None:
    folders = {handler.parent.name for handler in (ROOT / "functions").glob("*/handler.py")}
    assert {name.replace("-", "_") for name in STEPS} == folders
    assert set(stacks.of("AWS::Lambda::Function")) == {f"kiro-worker-test-{name}" for name in STEPS}


@pytest.mark.parametrize("name", STEPS)
def test_step_gets_only_variables_it_needs(stacks: Stacks, name: str) -> None:
    variables, timeout = STEPS[name]
    function = stacks.of("AWS::Lambda::Function")[f"kiro-worker-test-{name}"]
    environment = function["Environment"]["Variables"]
    assert set(environment) == EVERY_STEP | variables
    assert environment["POWERTOOLS_SERVICE_NAME"] == name.replace("-", "_")
    assert environment["ENVIRONMENT"] == "test"
    assert function["Timeout"] == timeout


def test_steps_share_runtime_and_layer(stacks: Stacks) -> None:
    for name, function in stacks.of("AWS::Lambda::Function").items():
        assert function["Runtime"] == "python3.13"
        assert function["Architectures"] == ["arm64"]
        assert function["Handler"] == "handler.handler"
        assert function["MemorySize"] == 256
        assert len(function["Layers"]) == 1
        assert stacks.resolve(function["LoggingConfig"]["LogGroup"]) == f"AWS::Logs::LogGroup /aws/lambda/{name}"


def test_build_runs_unprivileged_on_arm(stacks: Stacks) -> None:
    project = stacks.of("AWS::CodeBuild::Project")["kiro-worker-test"]
    assert project["Source"]["Type"] == "S3"
    assert project["Source"]["BuildSpec"] == "buildspec.yml"
    environment = project["Environment"]
    assert environment["Image"] == "aws/codebuild/amazonlinux-aarch64-standard:3.0"
    assert (environment["Type"], environment["ComputeType"]) == ("ARM_CONTAINER", "BUILD_GENERAL1_SMALL")
    assert environment["PrivilegedMode"] is False
    assert (project["TimeoutInMinutes"], project["QueuedTimeoutInMinutes"]) == (150, 30)
    log_group = project["LogsConfig"]["CloudWatchLogs"]["GroupName"]
    assert stacks.resolve(log_group) == "AWS::Logs::LogGroup /aws/codebuild/kiro-worker-test"


def test_build_gets_names_of_secrets_only(stacks: Stacks) -> None:
    variables = stacks.of("AWS::CodeBuild::Project")["kiro-worker-test"]["Environment"]["EnvironmentVariables"]
    assert {variable["Type"] for variable in variables} == {"PLAINTEXT"}
    assert {variable["Name"]: stacks.resolve(variable["Value"]) for variable in variables} == {
        "ENVIRONMENT": "test",
        "CONFIG_PARAMETER_NAME": "AWS::SSM::Parameter /kiro-worker/test/github-project-config",
        "LOCKS_TABLE_NAME": "AWS::DynamoDB::Table kiro-worker-test-locks",
        "RECORDS_TABLE_NAME": "AWS::DynamoDB::Table kiro-worker-test-records",
        "LOCK_LEASE_SECONDS": "12600",
        "GITHUB_TOKEN_SECRET_NAME": "kiro-worker-test-github-token",
        "GIT_CREDENTIALS_SECRET_NAME": "kiro-worker-test-git-credentials",
        "KIRO_API_KEY_SECRET_NAME": "kiro-worker-test-kiro-api-key",
        "ARTIFACTS_BUCKET_NAME": "AWS::S3::Bucket kiro-worker-test-artifacts-<AccountId>-<Region>",
        "KIRO_CLI_URL": "",
        "KIRO_CLI_SHA256": "",
        "BUILD_IMAGE": "aws/codebuild/amazonlinux-aarch64-standard:3.0",
        "BUILD_PRIVILEGED": "false",
        "AGENT_USER": "own",
    }


@pytest.mark.parametrize(
    ("name", "file"),
    [("kiro-worker-test", "work_item.asl.json"), ("kiro-worker-test-clean-up", "clean_up.asl.json")],
)
def test_state_machine_is_its_asl_file(stacks: Stacks, name: str, file: str) -> None:
    machine = stacks.of("AWS::StepFunctions::StateMachine")[name]
    assert json.loads(machine["DefinitionString"]) == json.loads((ROOT / "statemachine" / file).read_text())
    assert machine["StateMachineType"] == "STANDARD"
    logging = machine["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)


def test_placeholder_names_its_function(stacks: Stacks) -> None:
    machines = stacks.of("AWS::StepFunctions::StateMachine")
    assert set(machines) == {"kiro-worker-test", "kiro-worker-test-clean-up"}
    for machine in machines.values():
        for placeholder, value in machine["DefinitionSubstitutions"].items():
            if placeholder == "CodeBuildProjectName":
                assert stacks.resolve(value) == "AWS::CodeBuild::Project kiro-worker-test"
            else:
                words = stacks.resolve(value).removeprefix("AWS::Lambda::Function kiro-worker-test-").split("-")
                assert placeholder == "".join(word.title() for word in words) + "FunctionArn"


def test_build_ends_before_its_state() -> None:
    """AWS does not document that the timeout of a state stops its build, so the build must end first."""
    queued_and_built = (QUEUE_MINUTES + DEFAULT_MINUTES) * 60
    assert queued_and_built < build_state_seconds(DEFAULT_MINUTES) < definition("work_item")["TimeoutSeconds"]


def test_schedule_has_few_retries_and_queue(stacks: Stacks) -> None:
    schedule = stacks.of("AWS::Scheduler::Schedule")["kiro-worker-test"]
    assert schedule["ScheduleExpression"] == "rate(5 minutes)"
    target = schedule["Target"]
    assert stacks.resolve(target["Arn"]) == "AWS::StepFunctions::StateMachine kiro-worker-test"
    assert json.loads(target["Input"]) == {"trigger": "schedule"}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 300, "MaximumRetryAttempts": 2}
    assert stacks.resolve(target["DeadLetterConfig"]["Arn"]) == "AWS::SQS::Queue kiro-worker-test-schedule-dlq"


def test_rule_passes_whole_event(stacks: Stacks) -> None:
    rule = stacks.one("AWS::Events::Rule")
    pattern = rule["EventPattern"]
    assert pattern["source"] == ["aws.states"]
    assert pattern["detail-type"] == ["Step Functions Execution Status Change"]
    assert pattern["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    (machine,) = pattern["detail"]["stateMachineArn"]
    assert stacks.resolve(machine) == "AWS::StepFunctions::StateMachine kiro-worker-test"
    (target,) = rule["Targets"]
    assert stacks.resolve(target["Arn"]) == "AWS::StepFunctions::StateMachine kiro-worker-test-clean-up"
    assert not {"Input", "InputPath", "InputTransformer"} & target.keys()


def test_stack_names_end_in_environment(assembly: Path) -> None:
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    names = {
        artifact["properties"]["stackName"]
        for artifact in artifacts.values()
        if artifact["type"] == "aws:cloudformation:stack"
    }
    assert names == {"KiroWorkerCore-test", "KiroWorkerWorkflow-test"}
