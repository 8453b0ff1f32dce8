"""The complete permissions of every role: an added, widened or missing one fails a test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.stacks import Stacks, Synthesize

CONFIG = (
    "ssm:GetParameter",
    "arn:<Partition>:ssm:<Region>:<AccountId>:parameterAWS::SSM::Parameter /kiro-worker/test/github-project-config",
)
SECRETS = "arn:<Partition>:secretsmanager:<Region>:<AccountId>:secret:kiro-worker-test"


def secret(action: str, name: str) -> set[tuple[str, str]]:
    """The permission for a secret, under its name alone and with the suffix that Secrets Manager appends."""
    return {(f"secretsmanager:{action}", f"{SECRETS}-{name}{suffix}") for suffix in ("", "-??????")}


TOKEN = secret("GetSecretValue", "github-token")
TEST_SECRETS = f"{SECRETS}-tests-*"
RECORDS = "AWS::DynamoDB::Table kiro-worker-test-records"
NOTE = ("dynamodb:UpdateItem", RECORDS)
READ, READ_MANY, WRITE = {"GetItem"}, {"GetItem", "BatchGetItem"}, {"UpdateItem"}
LOCKS = "AWS::DynamoDB::Table kiro-worker-test-locks"
DESCRIBE = ("states:DescribeExecution", "arn:<Partition>:states:<Region>:<AccountId>:execution:kiro-worker-test:*")
ITSELF = "arn:<Partition>:states:<Region>:<AccountId>:stateMachine:kiro-worker-test"
PROJECT = "AWS::CodeBuild::Project kiro-worker-test"
BUILDS = ("codebuild:BatchGetBuilds", PROJECT)
STOP = ("codebuild:StopBuild", PROJECT)
MANAGED_RULE = "arn:<Partition>:events:<Region>:<AccountId>:rule/StepFunctionsGetEventForCodeBuildStartBuildRule"
REPORTS = {
    (f"codebuild:{action}", f"AWS::CodeBuild::ReportGroup kiro-worker-test-{group}")
    for action in ("CreateReport", "UpdateReport", "BatchPutTestCases", "BatchPutCodeCoverages")
    for group in ("tests", "coverage")
}
LOG_DELIVERY = {
    (f"logs:{action}", "*")
    for action in (
        "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
        "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
    )
}  # fmt: skip

STEPS = {
    "fetch-work-item": {
        CONFIG, *TOKEN, ("dynamodb:GetItem", LOCKS), ("dynamodb:Scan", LOCKS), ("dynamodb:UpdateItem", LOCKS), DESCRIBE,
        BUILDS, STOP, ("dynamodb:GetItem", RECORDS), ("dynamodb:BatchGetItem", RECORDS), NOTE,
    },
    "validate-work-item": {
        CONFIG, *TOKEN, ("dynamodb:GetItem", RECORDS), NOTE, ("codebuild:BatchGetProjects", PROJECT),
        *secret("DescribeSecret", "git-credentials"), *secret("DescribeSecret", "kiro-api-key"),
        ("secretsmanager:DescribeSecret", TEST_SECRETS),
    },
    "read-build-result": {
        CONFIG, *TOKEN, ("dynamodb:GetItem", LOCKS), ("dynamodb:GetItem", RECORDS), NOTE,
        BUILDS, STOP, ("codebuild:ListBuildsForProject", PROJECT),
    },
    "update-status": {CONFIG, *TOKEN, ("dynamodb:GetItem", RECORDS), NOTE},
    "acquire-lock": {
        CONFIG, ("dynamodb:GetItem", LOCKS), ("dynamodb:BatchGetItem", LOCKS), ("dynamodb:UpdateItem", LOCKS), DESCRIBE,
        BUILDS, STOP, NOTE,
    },
    "release-lock": {
        ("dynamodb:GetItem", LOCKS), ("dynamodb:Scan", LOCKS), ("dynamodb:UpdateItem", LOCKS),
        ("dynamodb:DeleteItem", LOCKS), DESCRIBE, BUILDS, STOP,
    },
    "fail-run": {DESCRIBE},
}  # fmt: skip

# Every wildcard, and the reason for it.
WILDCARDS = {
    DESCRIBE[1]: "an execution's ARN ends in its name, which is not known beforehand",
    "AWS::S3::Bucket kiro-worker-test-artifacts-<AccountId>-<Region>/runs/*": "one folder per run",
    **{
        f"{SECRETS}-{name}-??????": "its random suffix differs when the secret is created again"
        for name in ("github-token", "git-credentials", "kiro-api-key")
    },
    TEST_SECRETS: "operators choose the names of the secrets for setup",
    "*": "log delivery has no resources: Step Functions Developer Guide, Logging using CloudWatch Logs",
}


def logs(group: str) -> set[tuple[str, str]]:
    resource = f"AWS::Logs::LogGroup {group}"
    return {("logs:CreateLogStream", resource), ("logs:PutLogEvents", resource)}


def invoke(*steps: str) -> set[tuple[str, str]]:
    return {("lambda:InvokeFunction", f"AWS::Lambda::Function kiro-worker-test-{step}") for step in steps}


@pytest.mark.parametrize("name", STEPS)
def test_step_has_only_its_own_permissions(stacks: Stacks, name: str) -> None:
    function = stacks.of("AWS::Lambda::Function")[f"kiro-worker-test-{name}"]
    assert stacks.grants(function["Role"]) == STEPS[name] | logs(f"/aws/lambda/kiro-worker-test-{name}")


def test_build_has_only_its_permissions(stacks: Stacks) -> None:
    granted = stacks.grants(stacks.one("AWS::CodeBuild::Project")["ServiceRole"])
    source = {resource for action, resource in granted if action.startswith("s3:GetObject")}
    assert len(source) == 1
    assert source.pop().endswith(".zip")
    assert {grant for grant in granted if not grant[0].startswith("s3:GetObject")} == {
        CONFIG,
        *TOKEN,
        *secret("GetSecretValue", "git-credentials"),
        *secret("GetSecretValue", "kiro-api-key"),
        ("secretsmanager:GetSecretValue", TEST_SECRETS),
        ("dynamodb:GetItem", LOCKS),
        ("dynamodb:BatchGetItem", LOCKS),
        ("dynamodb:UpdateItem", LOCKS),
        ("dynamodb:GetItem", RECORDS),
        ("dynamodb:UpdateItem", RECORDS),
        DESCRIBE,
        BUILDS,
        ("s3:PutObject", "AWS::S3::Bucket kiro-worker-test-artifacts-<AccountId>-<Region>/runs/*"),
        *REPORTS,
        *logs("/aws/codebuild/kiro-worker-test"),
    }


def test_build_uses_only_its_records(stacks: Stacks) -> None:
    role = stacks.one("AWS::CodeBuild::Project")["ServiceRole"]
    assert stacks.record_keys(role) == {
        "run#*": {"GetItem", "UpdateItem"},
        "branch#*": {"GetItem", "UpdateItem"},
        "day#*": {"UpdateItem"},
    }


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        (
            "fetch-work-item",
            {
                "run#*": READ,
                "breaker": READ_MANY | WRITE,
                "board": READ_MANY | WRITE,
                "card#*": READ_MANY | WRITE,
                "day#*": READ_MANY,
            },
        ),
        ("validate-work-item", {"run#*": READ, "breaker": WRITE}),
        ("acquire-lock", {"breaker": WRITE}),
        ("update-status", {"run#*": READ, "card#*": WRITE, "breaker": READ | WRITE}),
        ("read-build-result", {"run#*": READ, "branch#*": READ, "card#*": WRITE, "breaker": WRITE}),
    ],
)
def test_step_uses_only_its_records(stacks: Stacks, name: str, keys: dict[str, set[str]]) -> None:
    role = stacks.of("AWS::Lambda::Function")[f"kiro-worker-test-{name}"]["Role"]
    assert stacks.record_keys(role) == keys


def test_build_reads_only_configured_steering(synthesize: Synthesize, tmp_path: Path) -> None:
    done = synthesize(tmp_path, packagingPlatform="host", steeringPrefix="s3://acme-steering/kiro")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "KiroWorkerWorkflow.template.json").read_text("utf-8")
    policies = [
        statement
        for resource in json.loads(text)["Resources"].values()
        if resource["Type"] == "AWS::IAM::Policy"
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
    ]
    [granted] = [statement for statement in policies if "acme-steering" in json.dumps(statement)]
    assert granted["Action"] == "s3:GetObject"
    assert granted["Resource"]["Fn::Join"][1][-1] == ":s3:::acme-steering/kiro/*"


def test_workflow_runs_its_steps_its_build_and_itself(stacks: Stacks) -> None:
    machine = stacks.of("AWS::StepFunctions::StateMachine")["kiro-worker-test"]
    assert stacks.grants(machine["RoleArn"]) == {
        *invoke(*STEPS),
        *((f"codebuild:{a}", PROJECT) for a in ("StartBuild", "StopBuild", "BatchGetBuilds", "BatchGetReports")),
        *((f"events:{action}", MANAGED_RULE) for action in ("PutTargets", "PutRule", "DescribeRule")),
        ("states:StartExecution", ITSELF),
        *LOG_DELIVERY,
    }


def test_clean_up_runs_two_steps(stacks: Stacks) -> None:
    machine = stacks.of("AWS::StepFunctions::StateMachine")["kiro-worker-test-clean-up"]
    assert stacks.grants(machine["RoleArn"]) == invoke("release-lock", "update-status") | LOG_DELIVERY


def test_schedule_keeps_failed_ticks(stacks: Stacks) -> None:
    target = stacks.one("AWS::Scheduler::Schedule")["Target"]
    assert stacks.grants(target["RoleArn"]) == {
        ("states:StartExecution", "AWS::StepFunctions::StateMachine kiro-worker-test"),
        ("sqs:SendMessage", "AWS::SQS::Queue kiro-worker-test-schedule-dlq"),
    }


def test_rule_starts_only_clean_up(stacks: Stacks) -> None:
    (target,) = stacks.one("AWS::Events::Rule")["Targets"]
    assert stacks.grants(target["RoleArn"]) == {
        ("states:StartExecution", "AWS::StepFunctions::StateMachine kiro-worker-test-clean-up")
    }


def test_every_wildcard_has_reason(stacks: Stacks) -> None:
    roles = [{"Fn::GetAtt": [i, "Arn"]} for i, r in stacks.resources.items() if r["Type"] == "AWS::IAM::Role"]
    grants = set().union(*(stacks.grants(role) for role in roles))
    assert {resource for _, resource in grants if "*" in resource or "?" in resource} == set(WILDCARDS)
    assert not [action for action, _ in grants if "*" in action]
