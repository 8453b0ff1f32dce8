from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kiro_local.aws.schedule import seconds_between
from tests.support.stacks import Stacks, Synthesize


@pytest.mark.parametrize(("name", "key"), [("locks", "lockKey"), ("records", "recordKey")])
def test_table_has_key_ttl_and_recovery(stacks: Stacks, name: str, key: str) -> None:
    table = stacks.of("AWS::DynamoDB::Table")[f"kiro-worker-test-{name}"]
    assert table["KeySchema"] == [{"AttributeName": key, "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": key, "AttributeType": "S"}]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}


def test_artifacts_are_private_and_expire(stacks: Stacks) -> None:
    bucket = stacks.of("AWS::S3::Bucket")["kiro-worker-test-artifacts-<AccountId>-<Region>"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    (lifecycle,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (lifecycle["ExpirationInDays"], lifecycle["Status"]) == (90, "Enabled")
    assert "VersioningConfiguration" not in bucket


def test_artifacts_bucket_requires_tls(stacks: Stacks) -> None:
    (statement,) = stacks.one("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_secrets_hold_placeholder(stacks: Stacks) -> None:
    assert {name: secret["SecretString"] for name, secret in stacks.of("AWS::SecretsManager::Secret").items()} == {
        "kiro-worker-test-github-token": "placeholder",
        "kiro-worker-test-git-credentials": "placeholder",
        "kiro-worker-test-kiro-api-key": "placeholder",
    }  # fmt: skip


def test_parameter_holds_placeholder(stacks: Stacks) -> None:
    parameter = stacks.of("AWS::SSM::Parameter")["/kiro-worker/test/github-project-config"]
    assert json.loads(parameter["Value"]) == {
        "organization": "your-org",
        "repository": "your-repo",
        "projectNumber": 1,
        "targetStatusColumn": "For Implementation",
    }


def test_log_groups_have_names_and_retention(stacks: Stacks) -> None:
    groups = stacks.of("AWS::Logs::LogGroup")
    assert set(groups) == {
        "/aws/lambda/kiro-worker-test-acquire-lock",
        "/aws/lambda/kiro-worker-test-fail-run",
        "/aws/lambda/kiro-worker-test-fetch-work-item",
        "/aws/lambda/kiro-worker-test-read-build-result",
        "/aws/lambda/kiro-worker-test-release-lock",
        "/aws/lambda/kiro-worker-test-update-status",
        "/aws/lambda/kiro-worker-test-validate-work-item",
        "/aws/codebuild/kiro-worker-test",
        "/aws/vendedlogs/states/kiro-worker-test",
    }
    assert {group["RetentionInDays"] for group in groups.values()} == {30}


def test_environment_test_keeps_nothing(stacks: Stacks) -> None:
    kept = {i for i, resource in stacks.resources.items() if resource.get("DeletionPolicy", "Delete") != "Delete"}
    assert kept == set()


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory, synthesize: Synthesize) -> Any:
    outdir: Path = tmp_path_factory.mktemp("production")
    done = synthesize(
        outdir, environment="production", packagingPlatform="host", lockLeaseSeconds=19000, scheduleMinutes=1
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    stacks = ("KiroWorkerCore", "KiroWorkerWorkflow")
    return {stack: json.loads((outdir / f"{stack}.template.json").read_text()) for stack in stacks}


def test_production_keeps_its_data(production: Any) -> None:
    resources = production["KiroWorkerCore"]["Resources"].values()
    kept = {resource["Type"] for resource in resources if resource.get("DeletionPolicy") == "Retain"}
    assert kept == {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Logs::LogGroup"}


def test_names_and_lease_follow_context(production: Any) -> None:
    resources = production["KiroWorkerWorkflow"]["Resources"].values()
    functions = [r["Properties"] for r in resources if r["Type"] == "AWS::Lambda::Function"]
    assert all(f["FunctionName"].startswith("kiro-worker-production-") for f in functions)
    leases = {f["Environment"]["Variables"].get("LOCK_LEASE_SECONDS") for f in functions} - {None}
    assert leases == {"19000"}


def test_schedule_follows_context(production: Any) -> None:
    resources = production["KiroWorkerWorkflow"]["Resources"].values()
    [schedule] = [r["Properties"] for r in resources if r["Type"] == "AWS::Scheduler::Schedule"]
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"] == 60
    assert seconds_between(schedule["ScheduleExpression"]) == 60
