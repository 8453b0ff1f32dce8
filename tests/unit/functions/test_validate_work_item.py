from __future__ import annotations

from typing import Any

import pytest

from kiro_worker.errors import AgentNotPinned, ConfigurationInvalid, SecretMissing, WorkItemInvalid, WorkItemRefused
from tests.support.fake_github import FakeGitHub, default_branch, ready_repository
from tests.unit.functions.conftest import ARN, WORK, Aws, Call


def document(**changes: Any) -> dict[str, Any]:
    item = {"id": "CARD", "contentType": "Issue", "status": "Ready", "repository": "acme/shop", "branch": "feature/x"}
    return {"request": {}, "skipped": [], "item": item | changes}


def test_ready_card_becomes_work(call: Call, github: FakeGitHub) -> None:
    github.board.repository = ready_repository()
    assert call("ValidateWorkItem", document()) == WORK
    assert github.sent() == ["ValidateWorkItem"]


def test_installation_is_checked_before_github_is_asked(call: Call, aws: Aws, github: FakeGitHub) -> None:
    github.board.repository = ready_repository(ref=None)
    aws.pin["KIRO_CLI_SHA256"] = ""
    with pytest.raises(AgentNotPinned, match="KIRO_CLI_SHA256"):
        call("ValidateWorkItem", document())
    assert github.sent() == []


def test_unready_card_of_queue_is_invalid(call: Call, github: FakeGitHub) -> None:
    github.board.repository = ready_repository(ref=None)
    with pytest.raises(WorkItemInvalid, match="feature/x does not exist"):
        call("ValidateWorkItem", document())


def test_unready_pinned_card_is_refused(call: Call, github: FakeGitHub) -> None:
    github.board.repository = ready_repository(ref=None)
    with pytest.raises(WorkItemRefused, match="feature/x does not exist"):
        call("ValidateWorkItem", document(), execution_input={"itemId": "CARD"})


@pytest.mark.parametrize(("execution", "accepted"), [(ARN, True), (f"{ARN}-other", False)])
def test_own_push_needs_no_open_task(call: Call, aws: Aws, github: FakeGitHub, execution: str, accepted: bool) -> None:
    message = f"Implement 1\n\nKiro-Worker-Execution: {ARN}\n"
    target = {"__typename": "Commit", "oid": "a" * 40, "message": message}
    github.board.repository = ready_repository(ref={"name": "feature/x", "target": target})
    github.board.repository["tasks"]["text"] = "- [x] 1. Do it"
    pushed = {"repository": {"S": "acme/shop"}, "branch": {"S": "feature/x"}, "commits": {"SS": ["a" * 40]}}
    aws.items.append({"recordKey": {"S": f"run#{execution}"}, **pushed})
    if accepted:
        assert call("ValidateWorkItem", document())["openTasks"] == 0
    else:
        with pytest.raises(WorkItemInvalid, match="no open task"):
            call("ValidateWorkItem", document())


def test_settings_choose_machine(call: Call, aws: Aws, github: FakeGitHub) -> None:
    github.board.repository = ready_repository()
    aws.configuration["limits"] = {"images": ["acme/ci:1"], "computeType": "LARGE", "minutes": 150}
    aws.configuration["repositorySettings"] = {
        "acme/shop": {"build": {"image": "acme/ci:1", "computeType": "LARGE", "timeoutMinutes": 45}}
    }
    build = call("ValidateWorkItem", document())["build"]
    assert build == {"image": "acme/ci:1", "computeType": "BUILD_GENERAL1_LARGE", "timeoutMinutes": 45}


def test_file_of_repository_chooses_machine(call: Call, aws: Aws, github: FakeGitHub) -> None:
    github.board.repository = ready_repository(
        defaultBranchRef=default_branch("build: {computeType: LARGE, timeoutMinutes: 45}\n")
    )
    aws.configuration["limits"] = {"computeType": "LARGE"}
    build = call("ValidateWorkItem", document())["build"]
    assert (build["computeType"], build["timeoutMinutes"]) == ("BUILD_GENERAL1_LARGE", 45)


def test_missing_part_that_file_chose_is_left_to_repository(call: Call, aws: Aws, github: FakeGitHub) -> None:
    aws.configuration["repositoryDefaults"] = {"agent": {"command": "tool"}}
    aws.configuration["limits"] = {"agents": ["command", "kiro"]}
    aws.pin["KIRO_CLI_SHA256"] = ""
    github.board.repository = ready_repository()
    assert call("ValidateWorkItem", document()) == WORK
    github.board.repository = ready_repository(defaultBranchRef=default_branch("agent: {name: kiro}\n"))
    with pytest.raises(WorkItemInvalid, match=r'"agent.name" of .kiro-worker.yml: .*KIRO_CLI_SHA256'):
        call("ValidateWorkItem", document())
    aws.configuration["repositoryDefaults"] = {"agent": {"command": "tool"}, "secrets": ["NPM_TOKEN"]}
    aws.configuration["testSecrets"] = {"NPM_TOKEN": "kiro-worker-test-tests-npm"}
    aws.missing_secrets.add("kiro-worker-test-tests-npm")
    with pytest.raises(SecretMissing, match="kiro-worker-test-tests-npm"):
        call("ValidateWorkItem", document())
    del aws.configuration["repositoryDefaults"]["secrets"]
    github.board.repository = ready_repository(defaultBranchRef=default_branch("secrets: [NPM_TOKEN]\n"))
    with pytest.raises(WorkItemInvalid, match=r'"secrets" of .kiro-worker.yml: the secret kiro-worker-test-tests-npm'):
        call("ValidateWorkItem", document())


def test_no_repository_exceeds_timeout_of_installation(call: Call, aws: Aws, github: FakeGitHub) -> None:
    """The lock and the state machine last only a little longer than the installation's longest build."""
    github.board.repository = ready_repository()
    aws.configuration["limits"] = {"minutes": 2160}
    aws.configuration["repositorySettings"] = {"acme/shop": {"build": {"timeoutMinutes": 151}}}
    with pytest.raises(ConfigurationInvalid, match=r"build.timeoutMinutes.* 151 is more than the 150 minutes"):
        call("ValidateWorkItem", document())
    assert github.sent() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("build: {image: 'acme/evil:1'}", "acme/evil:1 is not allowed"),
        ("build: {timeoutMinutes: 151}", "151 is more than"),
        ("build: {computeType: XLARGE}", "XLARGE is larger than MEDIUM"),
        ("build: {image: 'aws/codebuild/amazonlinux-aarch64-standard:3.0'}", "run on x86_64"),
    ],
)
def test_file_cannot_exceed_installation(call: Call, aws: Aws, github: FakeGitHub, text: str, words: str) -> None:
    aws.configuration["limits"] = {"images": ["aws/codebuild/amazonlinux-aarch64-standard:3.0"]}
    github.board.repository = ready_repository(defaultBranchRef=default_branch(text))
    with pytest.raises(WorkItemInvalid, match=words):
        call("ValidateWorkItem", document())
