"""What real git prints when a real server refuses or fails, and how the runner tells these answers apart.

Requests are counted and pauses recorded; nothing waits.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kiro_local.github.faults import FaultKind
from kiro_local.github.model import Repository
from kiro_local.github.push_rules import PushRule
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.models import GitCredentials
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import Git, GitFailed
from kiro_worker.runner.repository.git_causes import Cause
from kiro_worker.runner.repository.retries import PAUSES, Retries
from tests.support.worker import PASSWORD

BRANCH = "feature/discounts"
SECRET = "kiro-worker-test-git-credentials"
CREDENTIALS = GitCredentials("git", PASSWORD, SECRET)
FETCH = ("fetch", "--quiet", "origin", f"+refs/heads/{BRANCH}:refs/found")
ATTEMPTS = len(PAUSES) + 1


@dataclass
class Client:
    """A git of the runner, with the pauses that it would have made."""

    folder: Path
    url: str
    credentials: GitCredentials = CREDENTIALS
    paused: list[float] = field(default_factory=list)

    def git(self) -> Git:
        git = Git(
            self.folder / "client.git",
            work_tree=self.folder / "files",
            home=self.folder / "home",
            url=self.url,
            credentials=self.credentials,
            parent={"PATH": os.environ["PATH"]},
            retries=Retries(self.paused.append, lambda: 0.5, lambda: 0.0),
        )
        if not git.directory.exists():
            git.run("init", "--quiet", "--bare", "--template=", str(git.directory))
            git.run("config", "remote.origin.url", self.url)
        return git

    def failure(self, *arguments: str) -> GitFailed:
        with pytest.raises(GitFailed) as failed:
            self.git().network(*arguments)
        return failed.value


@pytest.fixture
def repository(github: StandInGitHub) -> Repository:
    repository = github.board.add_repository("acme/shop")
    repository.git.commit("main", {"README.md": "# shop\n"}, "Begin")
    repository.git.commit(BRANCH, {"shop.py": "PRICE = 1\n"}, "Change", base="main")
    return repository


@pytest.fixture
def client(github: StandInGitHub, repository: Repository, tmp_path: Path) -> Client:
    return Client(tmp_path, f"{github.git_url}/{repository.name_with_owner}.git")


def test_name_in_local_failure_is_no_answer(client: Client) -> None:
    """git prints a name with its line ends."""
    with pytest.raises(GitFailed) as failed:
        client.git().run("hash-object", "x\nremote: Internal Server Error")
    assert "\nremote: Internal Server Error" in failed.value.error
    assert failed.value.answer.cause is Cause.OTHER


def new_commit(client: Client) -> tuple[str, str]:
    """Return the branch's head and a new commit on top of it, which only the client has."""
    git = client.git()
    git.network(*FETCH)
    head = git.text("rev-parse", "refs/found")
    return head, git.text("commit-tree", f"{head}^{{tree}}", "-p", head, "-m", "Work")


def leased_push(old: str, new: str) -> tuple[str, ...]:
    return ("push", "--quiet", f"--force-with-lease=refs/heads/{BRANCH}:{old}", "origin", f"{new}:refs/heads/{BRANCH}")


READ_FAILURES = [
    (FaultKind.UNAUTHORIZED, 0, Cause.UNAUTHENTICATED, FaultOwner.INSTALLATION, "Authentication failed"),
    (FaultKind.FORBIDDEN, 0, Cause.FORBIDDEN, FaultOwner.INSTALLATION, "Write access to repository not granted."),
    (FaultKind.SINGLE_SIGN_ON, 0, Cause.SINGLE_SIGN_ON, FaultOwner.INSTALLATION, "SAML SSO"),
    (FaultKind.NOT_FOUND, 0, Cause.REPOSITORY_MISSING, FaultOwner.INSTALLATION, "Repository not found."),
    (FaultKind.RATE_LIMITED, 0, Cause.RATE_LIMITED, FaultOwner.SERVICE, "429"),
    (FaultKind.SERVER_ERROR, 500, Cause.UNAVAILABLE, FaultOwner.SERVICE, "Internal Server Error"),
    (FaultKind.SERVER_ERROR, 503, Cause.UNAVAILABLE, FaultOwner.SERVICE, "returned error: 503"),
    (FaultKind.BAD_GATEWAY, 0, Cause.UNAVAILABLE, FaultOwner.SERVICE, "returned error: 502"),
    (FaultKind.RESET, 0, Cause.UNAVAILABLE, FaultOwner.SERVICE, "Connection reset by peer"),
    (FaultKind.HANG_UP, 0, Cause.UNAVAILABLE, FaultOwner.SERVICE, ""),
]


@pytest.mark.parametrize("operation", ["git-upload-pack-refs", "git-upload-pack"])
@pytest.mark.parametrize(("kind", "status", "cause", "owner", "quoted"), READ_FAILURES)
def test_failed_fetch_is_told_apart(
    github: StandInGitHub,
    client: Client,
    operation: str,
    kind: FaultKind,
    status: int,
    cause: Cause,
    owner: FaultOwner,
    quoted: str,
) -> None:
    github.faults.add(kind, operation, times=None, status=status or 403)

    failure = client.failure(*FETCH)

    stop = stop_because(failure, Outcome.CHECKOUT_FAILED, "the branch cannot be fetched", "look")
    if operation.endswith("-refs"):
        assert quoted in stop.reason
    elif cause is Cause.SINGLE_SIGN_ON:
        cause = Cause.FORBIDDEN  # git shows the server's text only in answer to its first request
    assert failure.answer.cause is cause, failure.error
    assert stop.owner is owner
    is_transient = owner is FaultOwner.SERVICE
    assert failure.attempts == (ATTEMPTS if is_transient else 1)
    assert client.paused == (list(PAUSES) if is_transient else [])
    if kind in (FaultKind.SERVER_ERROR, FaultKind.BAD_GATEWAY, FaultKind.FORBIDDEN, FaultKind.NOT_FOUND):
        # The transfer library repeats other requests by itself: on a reused connection, or with the credentials.
        assert len([request for request in github.requests.git(operation) if request.fault]) == failure.attempts
    assert (SECRET in stop.reason) is (owner is FaultOwner.INSTALLATION)
    assert stop.reason.startswith("GitHub") is is_transient
    assert PASSWORD not in f"{stop}{stop.details}"


@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        (FaultKind.BAD_GATEWAY, "git-upload-pack-refs"),
        (FaultKind.BAD_GATEWAY, "git-upload-pack"),
        (FaultKind.HANG_UP, "git-upload-pack"),
        (FaultKind.RESET, "git-upload-pack-refs"),
    ],
)
def test_passing_failure_is_retried(github: StandInGitHub, client: Client, kind: FaultKind, operation: str) -> None:
    github.faults.add(kind, operation, times=2)

    client.git().network(*FETCH)

    assert len([request for request in github.requests.git(operation) if request.fault]) == 2
    assert client.paused == list(PAUSES[:2])


@pytest.mark.parametrize("kind", [FaultKind.SERVER_ERROR, FaultKind.HANG_UP])
def test_leased_push_is_retried_and_arrives_once(
    github: StandInGitHub, repository: Repository, client: Client, kind: FaultKind
) -> None:
    old, new = new_commit(client)
    github.faults.add(kind, "git-receive-pack", times=1, status=502)

    client.git().network(*leased_push(old, new))

    assert repository.git.head_of(BRANCH) == new
    has_arrived = kind is FaultKind.HANG_UP
    assert len(github.requests.git("git-receive-pack")) == (1 if has_arrived else 2), "what arrived is not sent again"
    assert len(client.paused) == 1


def test_push_without_lease_is_not_repeated(github: StandInGitHub, client: Client) -> None:
    _, new = new_commit(client)
    github.faults.add(FaultKind.RESET, "git-receive-pack", times=None)

    failure = client.failure("push", "--quiet", "origin", f"{new}:refs/heads/{BRANCH}")

    assert (failure.attempts, client.paused) == (1, [])
    assert failure.answer.cause is Cause.UNAVAILABLE


REFUSED_PUSHES = [
    (PushRule.RESTRICTED, Cause.PROTECTED_BRANCH, FaultOwner.REPOSITORY, "not authorized to push to this branch"),
    (PushRule.SIGNATURES, Cause.SIGNATURES, FaultOwner.REPOSITORY, "Commits must have verified signatures."),
    (PushRule.RULESET_SIGNATURES, Cause.SIGNATURES, FaultOwner.REPOSITORY, "GH013"),
    (PushRule.RULESET_PULL_REQUEST, Cause.RULES, FaultOwner.REPOSITORY, "Changes must be made through a pull request"),
    (PushRule.RULESET_LOCKED, Cause.RULES, FaultOwner.REPOSITORY, "Cannot update this protected ref"),
    (PushRule.RULESET_COMMIT_MESSAGE, Cause.COMMIT_RULES, FaultOwner.REPOSITORY, "Commit message must match"),
    (PushRule.WORKFLOW_SCOPE, Cause.WORKFLOW_SCOPE, FaultOwner.CARD, "`.github/workflows/test.yml` without"),
    (PushRule.LARGE_FILE, Cause.LARGE_FILES, FaultOwner.CARD, "File data/big.bin is 301.74 MB"),
    (PushRule.PUSH_PROTECTION, Cause.SECRETS, FaultOwner.CARD, "Push cannot contain secrets"),
    (PushRule.WORKFLOW_TIMEOUT, Cause.UNAVAILABLE, FaultOwner.SERVICE, "due to timeout"),
    (PushRule.FAILURE, Cause.UNAVAILABLE, FaultOwner.SERVICE, "fatal error in commit_refs"),
]


@pytest.mark.parametrize(("rule", "cause", "owner", "quoted"), REFUSED_PUSHES)
def test_refused_push_is_told_apart(
    github: StandInGitHub,
    repository: Repository,
    client: Client,
    rule: PushRule,
    cause: Cause,
    owner: FaultOwner,
    quoted: str,
) -> None:
    old, new = new_commit(client)
    repository.git.refuse_pushes(BRANCH, rule)

    failure = client.failure(*leased_push(old, new))

    stop = stop_because(failure, Outcome.PUSH_REJECTED, "the branch cannot be pushed", "look")
    assert (failure.answer.cause, stop.owner) == (cause, owner), failure.error
    assert quoted in stop.reason, failure.error
    assert repository.git.head_of(BRANCH) == old
    assert len(github.requests.git("git-receive-pack")) == (ATTEMPTS if owner is FaultOwner.SERVICE else 1)


def test_refusal_that_passes_is_retried(repository: Repository, client: Client) -> None:
    old, new = new_commit(client)
    repository.git.refuse_pushes(BRANCH, PushRule.WORKFLOW_TIMEOUT, times=2)

    client.git().network(*leased_push(old, new))

    assert repository.git.head_of(BRANCH) == new


def archive(repository: Repository, _: Client) -> None:
    repository.is_archived = True


def decline(repository: Repository, _: Client) -> None:
    hook = repository.git.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'no pushes on Fridays' >&2\nexit 1\n")
    hook.chmod(0o755)


def check_objects(repository: Repository, client: Client) -> None:
    repository.git.run("config", "receive.fsckObjects", "true")
    git = client.git()
    blob = git.run("hash-object", "-w", "--stdin", stdin=b"x\n").decode().strip()
    entry = b"100644 .git\0" + bytes.fromhex(blob)
    tree = git.run("hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=entry).decode().strip()
    client.folder.joinpath("new").write_text(git.text("commit-tree", tree, "-p", "refs/found", "-m", "Bad"))


def move(repository: Repository, _: Client) -> None:
    repository.git.commit(BRANCH, {"theirs.py": "1\n"}, "By a person")


def delete(repository: Repository, _: Client) -> None:
    repository.git.delete_branch(BRANCH)


@pytest.mark.parametrize(
    ("happens", "cause", "quoted"),
    [
        (archive, Cause.REPOSITORY_READ_ONLY, "This repository was archived so it is read-only."),
        (decline, Cause.HOOK, "no pushes on Fridays"),
        (check_objects, Cause.MALFORMED_OBJECTS, "hasDotgit"),
        (move, Cause.MOVED, "stale info"),
        (delete, Cause.MOVED, "stale info"),
    ],
)
def test_servers_state_is_told_apart(
    repository: Repository, client: Client, happens: Callable[[Repository, Client], None], cause: Cause, quoted: str
) -> None:
    old, new = new_commit(client)
    happens(repository, client)
    file = client.folder / "new"

    failure = client.failure(*leased_push(old, file.read_text() if file.exists() else new))

    assert failure.answer.cause is cause, failure.error
    assert quoted in failure.answer.quote, failure.error
    assert client.paused == []


def test_missing_branch_is_told_apart(client: Client) -> None:
    failure = client.failure("fetch", "--quiet", "origin", "refs/heads/no-such-branch")

    assert failure.answer.cause is Cause.REFERENCE_MISSING


def test_missing_credentials_are_told_apart(client: Client) -> None:
    git = client.git()
    git._credentials = None

    with pytest.raises(GitFailed) as failed:
        git.network(*FETCH)

    assert failed.value.answer.cause is Cause.UNAUTHENTICATED


def test_unreachable_server_is_unavailable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = Client(tmp_path, f"http://127.0.0.1:{port}/acme/shop.git")

    failure = client.failure(*FETCH)

    assert failure.answer.cause is Cause.UNAVAILABLE
    assert failure.attempts == ATTEMPTS


def test_credentials_in_output_are_redacted(repository: Repository, client: Client) -> None:
    old, new = new_commit(client)
    hook = repository.git.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho 'you sent {PASSWORD}' >&2\nexit 1\n")
    hook.chmod(0o755)

    failure = client.failure(*leased_push(old, new))

    assert "you sent [redacted]" in failure.answer.quote
    assert PASSWORD not in failure.error


def test_nothing_is_repeated_late(client: Client, github: StandInGitHub) -> None:
    github.faults.add(FaultKind.BAD_GATEWAY, "git-upload-pack-refs", times=None)
    times = iter([0.0, 200.0, 301.0])
    git = client.git()
    git._retries = Retries(client.paused.append, lambda: 0.0, lambda: next(times))

    with pytest.raises(GitFailed) as failed:
        git.network(*FETCH)

    assert failed.value.attempts == 2
    assert client.paused == [PAUSES[0] / 2]
