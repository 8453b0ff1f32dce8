"""Problems that a build has with git's server and with its lock."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kiro_worker.models import GitCredentials, Lease
from kiro_worker.names import Names
from kiro_worker.runner.repository.checkout import Checkout, check_out
from kiro_worker.runner.repository.checkpoint import Checkpoint
from kiro_worker.runner.repository.git import Git
from kiro_worker.runner.repository.publish import publish
from kiro_worker.runner.repository.retries import Retries
from kiro_worker.runner.request import BuildRequest
from tests.support.lock_table import ONE, TWO, LockWorld
from tests.support.operator_guide.installation import put_secret
from tests.support.operator_guide.problem import REDRIVE, Problem, Seen, failed_build, stopped
from tests.support.scripted_git import ScriptedGit

CREDENTIALS: Final = Names("test").git_credentials_secret
OFFERED: Final = GitCredentials("git", "a-password", CREDENTIALS)
ACCESS: Final = "fatal: unable to access 'https://github.com/acme/shop.git/': The requested URL returned error: 403"
DECLINED: Final = " ! [remote rejected] feature/x -> feature/x ({})"
COMMIT, MOVED, WORK = ("a" * 40, "b" * 40, "c" * 40)
REQUEST: Final = BuildRequest("acme/shop", "feature/x", COMMIT, "specs", 7, Lease("lock", ONE, 1, expires_at=0))
NO_RETRY: Final = Retries(sleep=lambda _: None)


def push(*output: str, head: str = COMMIT, tasks: str = "") -> Callable[[], Seen]:
    """Return a function that pushes work, to which the server answers with this output.

    ``head`` is where the branch is on the server then, and ``tasks`` the list of tasks in the work.
    """

    def provoke() -> Seen:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            git = Git(
                folder / "trusted.git",
                work_tree=folder / "checkout",
                home=folder / "home",
                url="https://github.com/acme/shop.git",
                credentials=OFFERED,
                parent=_answering(folder, "push *", output, head, tasks).environment,
                retries=NO_RETRY,
            )
            checkout = Checkout(git.work_tree, git, "feature/x", COMMIT, COMMIT)
            checkpoint = Checkpoint(REQUEST, checkout, None, lambda _: None)
            return stopped(lambda: publish(checkout, WORK, checkpoint, "specs/tasks.md"))

    return provoke


def checkout() -> Seen:
    """Return how a build ends whose branch the server does not have."""
    with tempfile.TemporaryDirectory() as name:
        git = _answering(Path(name), "fetch *", ("fatal: couldn't find remote ref refs/heads/feature/x",))
        workspace = Path(name) / "workspace"
        return stopped(lambda: check_out(REQUEST, workspace, "https://github.com", OFFERED, git.environment))


def _answering(folder: Path, command: str, output: tuple[str, ...], head: str = "", tasks: str = "") -> ScriptedGit:
    (folder / "output").write_text("\n".join(output))
    (folder / "tasks.md").write_text(tasks)
    answers = {command: f"cat '{folder}/output' >&2; exit 1", "cat-file *": f"cat '{folder}/tasks.md'"}
    answers["ls-tree *"] = f"printf '100644 blob {WORK}\\tspecs/tasks.md\\0'"
    if head:
        answers["ls-remote *"] = f"printf '{head}\\trefs/heads/feature/x\\n'"
    answers[f"merge-base --is-ancestor {WORK} *"] = "exit 1"
    return ScriptedGit.install(folder / "bin", answers)


def lost_lock() -> Seen:
    """Return how a build ends whose lock another run has taken over."""
    world = LockWorld.in_memory()
    lease = world.locks.acquire("work-item-processor-lock", ONE)
    world.running.discard(ONE)
    world.locks.acquire("work-item-processor-lock", TWO)
    return stopped(lambda: world.locks.ensure(lease))


SERVER: Final = (
    Problem(
        "git asks for a user name: the credentials are not accepted",
        "PushRejected",
        "the server does not accept the git credentials",
        CREDENTIALS,
        put_secret(CREDENTIALS),
        push("fatal: could not read Username for 'https://github.com': terminal prompts disabled"),
    ),
    Problem(
        "The git credentials may not push",
        "PushRejected",
        "may not do this",
        CREDENTIALS,
        put_secret(CREDENTIALS),
        push("remote: Permission to acme/shop.git denied to bot.", ACCESS),
    ),
    Problem(
        "The server rejects the push to a protected branch",
        "PushRejected",
        "the branch is protected",
        "feature/x cannot be pushed",
        "exempt the branch from the rule",
        push("remote: error: GH006: Protected branch update failed for refs/heads/feature/x."),
    ),
    Problem(
        "The work changes a workflow file",
        "PushRejected",
        "the work changes a workflow file",
        ".github/workflows/ci.yml",
        "keep workflow files out of the spec",
        push(
            DECLINED.format(
                "refusing to allow a Personal Access Token to create or update workflow `.github/workflows/ci.yml`"
                " without `workflow` scope"
            )
        ),
    ),
    Problem(
        "Push protection finds a secret",
        "PushRejected",
        "the work contains a secret",
        "feature/x cannot be pushed",
        "replace the secret, remove it from the spec and the branch",
        push("remote: - GITHUB PUSH PROTECTION", DECLINED.format("push declined due to repository rule violations")),
    ),
    Problem(
        "The branch moved during the build",
        "PushRejected",
        "another push moved the branch during the build",
        "the push to feature/x was rejected",
        REDRIVE,
        push(" ! [rejected] feature/x -> feature/x (fetch first)", head=MOVED),
    ),
    Problem(
        "The branch was deleted during the build",
        "PushRejected",
        "the branch was deleted during the build",
        "feature/x cannot be pushed",
        f"restore it with git push origin {COMMIT}:refs/heads/feature/x",
        push("error: failed to push some refs", head=""),
    ),
    Problem(
        "Tasks are open when the work is to be pushed",
        "Incomplete",
        "0 of 1 tasks done",
        "1 Do it is open in cccccccccccc",
        REDRIVE,
        push("", tasks="- [ ] 1. Do it"),
    ),
    Problem(
        "A proxy does not let git through",
        "PushRejected",
        "the proxy refuses the connection",
        "feature/x cannot be pushed",
        "check HTTPS_PROXY and the rules of the proxy",
        push("fatal: unable to access 'https://github.com/x/': Received HTTP code 407 from proxy after CONNECT"),
    ),
    Problem(
        "git's server does not answer",
        "GitHubUnavailable",
        "the server gave no usable answer",
        "feature/x cannot be pushed",
        "wait until https://www.githubstatus.com reports no incident",
        push("fatal: unable to access 'https://github.com/acme/shop.git/': The requested URL returned error: 503"),
    ),
    Problem(
        "The build lost its lock",
        "LockLost",
        "has been held by",
        "the lock work-item-processor-lock",
        "replay the card when that execution has ended",
        lost_lock,
    ),
    Problem(
        "The branch was deleted before the build started",
        "CheckoutFailed",
        "the server has no such ref or commit",
        "the branch feature/x of acme/shop",
        "check that the branch exists and that the git credentials can read it",
        checkout,
    ),
    Problem(
        "The runner itself breaks",
        "WorkerFailed",
        "the runner broke: KeyError: 'odd'",
        "the build log",
        REDRIVE,
        lambda: failed_build(KeyError("odd")),
    ),
)
