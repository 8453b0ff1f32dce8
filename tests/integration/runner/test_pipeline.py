"""The whole program, as CodeBuild runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:run-1"
BUILD = "arn:aws:codebuild:us-east-1:123456789012:build/kiro-worker-test:5f2c"
BRANCH = "feature/discounts"
PASSWORD = "p4ss/w0rd+of=the&worker"
AGENT_KEY = "the-agents-own-key-42"

# An agent that does some work, and before it what a test asks of it.
WORK = """
import pathlib
pathlib.Path("shop/notes.py").write_text("NOTES = 1\\n")
tasks = pathlib.Path(".kiro/specs/feature-discounts/tasks.md")
tasks.write_text(tasks.read_text().replace("- [ ] 1.1", "- [x] 1.1"))
"""


def test_the_branch_gets_tested_commits(worker: Any) -> None:
    finished = worker.run()

    assert finished.exit_code == 0, finished.log
    assert finished.exports["OUTCOME"] == "Succeeded"
    assert finished.exports["OUTCOME_REASON"] == ""
    assert finished.exports["RESULT_COMMIT"] == worker.head() != worker.commit
    assert finished.exports["RESULT_FENCE"] == "1700000000000"
    assert (finished.exports["TASKS_DONE"], finished.exports["TASKS_OPEN"]) == ("7", "0")
    assert finished.exports["TESTS_SUMMARY"].startswith("Ran 7 tests in")
    assert finished.exports["FILES_CHANGED"] == "5"
    assert finished.exports["ARTIFACTS"] == "s3://kiro-worker-test-artifacts/runs/run-1/7/"
    assert "def apply_discount" in worker.file("shop/discounts.py")
    show = worker.repository.git.run(
        "log", "--reverse", "--format=%an|%s|%(trailers:valueonly,separator=%x2C)", f"{worker.commit}..{BRANCH}"
    )
    author, titles, trailers = zip(*(line.split("|") for line in show.decode().splitlines()), strict=True)
    assert set(author) == {"Kiro CodeBuild Worker"}
    assert [title.split()[1] for title in titles] == ["1.1", "1.2", "1.3", "2.1", "2.2"], "a commit a task"
    assert trailers[0].startswith(f"{EXECUTION},1.1 Add `apply_discount`")
    assert worker.checkpoint() == "", "the branch carries everything now"
    assert worker.lock()["owner"] == EXECUTION, "the state machine releases it, not the build"


def test_the_result_and_the_logs_are_kept_as_artifacts(worker: Any) -> None:
    finished = worker.run()

    assert json.loads(worker.artifact("result.json")) == finished.result
    assert finished.result["schemaVersion"] == 2
    assert finished.result["job"]["commit"] == worker.commit
    assert finished.result["build"] == {"id": "kiro-worker-test:5f2c", "attempt": "7"}
    assert finished.result["filesChanged"] == [
        ".kiro/specs/feature-discounts/tasks.md",
        "shop/discounts.py",
        "shop/orders.py",
        "tests/test_discounts.py",
        "tests/test_orders.py",
    ]
    assert "scripted stand-in agent" in worker.artifact("agent.log")
    assert "Ran 7 tests" in worker.artifact("tests.log")
    assert "+def apply_discount" in worker.artifact("changes.patch")


def test_a_bucket_that_is_gone_does_not_turn_a_push_into_a_failure(worker: Any) -> None:
    finished = worker.run(ARTIFACTS_BUCKET_NAME="no-such-bucket")

    assert (finished.exit_code, finished.outcome) == (0, "Succeeded")
    assert finished.exports["ARTIFACTS"] == ""
    assert "could not be uploaded" in finished.log


def test_a_run_whose_push_was_answered_by_nobody_has_succeeded(worker: Any) -> None:
    worker.github.faults.add("lost_answer", "git-receive-pack")

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (0, "Succeeded"), finished.log
    assert worker.head() == finished.exports["RESULT_COMMIT"]


def test_a_second_attempt_finds_what_the_first_had_pushed_and_runs_no_agent(worker: Any) -> None:
    first = worker.run()
    worker.configure({"command": ["this-agent-must-not-run"]})

    second = worker.run(CODEBUILD_BUILD_NUMBER="8")

    assert (second.exit_code, second.outcome) == (0, "Succeeded"), second.log
    assert "has already pushed" in second.exports["OUTCOME_REASON"]
    assert second.exports["RESULT_COMMIT"] == first.exports["RESULT_COMMIT"] == worker.head()
    assert second.exports["TASKS_DONE"] == "7"


def test_a_commit_of_another_execution_is_not_taken_for_ours(worker: Any) -> None:
    worker.run()

    other = worker.run(EXECUTION_ARN=EXECUTION.replace("run-1", "run-2"), LOCK_FENCE="1700000000000")

    assert other.outcome == "LockLost"
    worker.start_execution(EXECUTION.replace("run-1", "run-2"))
    worker.hold_lock(EXECUTION.replace("run-1", "run-2"))
    other = worker.run(EXECUTION_ARN=EXECUTION.replace("run-1", "run-2"))
    assert other.outcome == "PushRejected"
    assert "moved from" in other.exports["OUTCOME_REASON"]
    assert "agent was not started" in other.exports["OUTCOME_REASON"]


def test_an_agent_that_fails_is_reported_with_its_last_words(worker: Any) -> None:
    worker.configure(worker.agent("print('working'); print('the model said no'); raise SystemExit(3)"))

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "AgentFailed")
    assert "exit code 3" in finished.exports["OUTCOME_REASON"]
    assert json.loads(finished.exports["TAIL"]).splitlines() == ["working", "the model said no"]
    assert finished.result["tasks"] == {"done": 0, "open": 7}
    assert worker.head() == worker.commit


def test_an_agent_that_is_not_installed_is_named(worker: Any) -> None:
    worker.configure({"command": ["no-such-agent", "--now"]})

    finished = worker.run()

    assert finished.outcome == "AgentFailed"
    assert "no-such-agent cannot be started" in finished.exports["OUTCOME_REASON"]
    assert "How to fix: install no-such-agent" in finished.exports["OUTCOME_REASON"]


def test_an_agent_that_changes_nothing_is_no_success(worker: Any) -> None:
    worker.configure(worker.agent("print('all done!')"))

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "NoChanges")


def test_tests_that_fail_keep_the_branch_as_it_was(worker: Any) -> None:
    worker.configure(
        worker.agent(
            WORK + 'pathlib.Path("tests/test_no.py").write_text("import unittest\\n'
            "class T(unittest.TestCase):\\n def test(self): self.fail('not yet')\\n\")"
        )
    )

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "TestsFailed")
    assert "Ran 3 tests" in finished.exports["OUTCOME_REASON"]
    assert "not yet" in finished.result["details"]
    assert finished.exports["TASKS_DONE"] == "1"
    assert "+NOTES = 1" in worker.artifact("changes.patch"), "the work of a failed run can be had from its artifacts"
    assert worker.head() == worker.commit


def test_a_configured_test_command_is_used(worker: Any) -> None:
    worker.configure(testCommand="python3 -c 'raise SystemExit(5)'")

    finished = worker.run()

    assert finished.outcome == "TestsFailed"
    assert "exit code 5" in finished.exports["OUTCOME_REASON"]


def move_the_branch(worker: Any, files: dict[str, str]) -> None:
    """A person pushes while the agent works: the first push of ours that arrives finds it done."""

    def meanwhile(operation: str) -> None:
        if operation == "git-receive-pack" and worker.head() == worker.commit:
            worker.repository.git.commit(BRANCH, files, "by a person")

    worker.github.on_request = meanwhile


def test_work_goes_on_top_of_what_somebody_pushed_meanwhile_and_is_tested_again(worker: Any) -> None:
    worker.configure(worker.agent(WORK, mode="all"))
    move_the_branch(worker, {"theirs.txt": "1\n"})

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (0, "Succeeded"), finished.log
    log = worker.repository.git.run("log", "-2", "--format=%s", BRANCH).decode().splitlines()
    assert log == ["Implement feature-discounts", "by a person"]
    assert finished.log.count("[tests] Ran 2 tests") == 2
    assert worker.checkpoint() == ""


def test_work_that_does_not_apply_to_what_somebody_pushed_is_kept_in_the_checkpoint(worker: Any) -> None:
    worker.configure(worker.agent(WORK, mode="all"))
    move_the_branch(worker, {"shop/notes.py": "THEIRS = 1\n"})

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "PushRejected"), finished.log
    assert "does not apply cleanly" in finished.exports["OUTCOME_REASON"]
    assert worker.repository.git.run("log", "-1", "--format=%s", BRANCH).decode().strip() == "by a person"
    assert worker.file("shop/notes.py", worker.checkpoint()) == "NOTES = 1\n"


def test_the_reason_of_a_server_that_refuses_a_push_is_told(worker: Any) -> None:
    hook = worker.repository.git.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'this branch is protected' >&2\nexit 1\n")
    hook.chmod(0o755)

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "PushRejected")
    assert "remote rejected" in finished.exports["OUTCOME_REASON"]
    assert "hook declined" in finished.exports["OUTCOME_REASON"]
    assert "this branch is protected" in finished.result["details"]
    assert worker.head() == worker.commit


STEAL_THE_LOCK = """
import sys, time, boto3
boto3.client("dynamodb", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="a",
             aws_secret_access_key="b").put_item(TableName="kiro-worker-test-locks", Item={
    "lockKey": {"S": "work-item-processor-lock"}, "owner": {"S": "another-execution"},
    "fence": {"N": "1800000000000"}, "expiresAt": {"N": str(int(time.time()) + 3600)}})
"""


def test_a_lock_that_was_lost_before_the_push_stops_it(worker: Any) -> None:
    worker.configure(worker.agent(STEAL_THE_LOCK + WORK, worker.aws["endpoint_url"]))

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "LockLost"), finished.log
    assert "another-execution" in finished.exports["OUTCOME_REASON"]
    assert worker.head() == worker.commit
    assert worker.lock()["owner"] == "another-execution"


def test_a_lock_that_another_holds_stops_the_build_before_anything_is_fetched(worker: Any) -> None:
    worker.hold_lock("another-execution", 1_800_000_000_000)

    finished = worker.run()

    assert finished.outcome == "LockLost"
    assert not worker.github.requests.git()


def test_a_lock_that_is_gone_is_taken_again_under_a_later_fence_that_is_told(worker: Any) -> None:
    worker.client("dynamodb").delete_item(
        TableName="kiro-worker-test-locks", Key={"lockKey": {"S": "work-item-processor-lock"}}
    )

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert int(finished.exports["RESULT_FENCE"]) > 1_700_000_000_000
    assert worker.lock()["fence"] == finished.exports["RESULT_FENCE"]
    assert worker.lock()["buildId"] == "kiro-worker-test:5f2c"


@pytest.mark.parametrize("commit", ["0123456789" * 4, "f" * 40])
def test_a_commit_that_is_not_on_the_branch_is_not_built(worker: Any, commit: str) -> None:
    finished = worker.run(COMMIT_SHA=commit)

    assert (finished.exit_code, finished.outcome) == (1, "CheckoutFailed")
    assert commit in finished.exports["OUTCOME_REASON"]


def test_a_commit_of_another_branch_is_not_built(worker: Any) -> None:
    worker.repository.git.commit("feature/other", {"other.txt": "1\n"}, "Other", base="main")

    finished = worker.run(COMMIT_SHA=worker.repository.git.head_of("feature/other"))

    assert finished.outcome == "CheckoutFailed"
    assert "is not on feature/discounts any more" in finished.exports["OUTCOME_REASON"]


def test_credentials_that_git_refuses_are_a_failed_checkout(worker: Any) -> None:
    worker.client("secretsmanager").put_secret_value(
        SecretId=worker.secrets["git-credentials"], SecretString='{"username":"git","password":"wrong-password"}'
    )

    finished = worker.run()

    assert finished.outcome == "CheckoutFailed"
    assert "git credentials" in finished.exports["OUTCOME_REASON"]
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
        ("COMMIT_SHA", "--output=x"),
        ("REPOSITORY", "acme/../other"),
        ("REPOSITORY", "ext::sh -c id/x"),
        ("SPEC_PATH", ".kiro/../../etc"),
        ("SPEC_PATH", "/etc"),
        ("LOCK_FENCE", "1e9"),
    ],
)
def test_a_hostile_value_is_refused_by_the_name_of_its_variable(worker: Any, variable: str, value: str) -> None:
    finished = worker.run(**{variable: value})

    assert (finished.exit_code, finished.outcome) == (1, "WorkerFailed")
    assert finished.exports["OUTCOME_REASON"].startswith(f"WorkItemInvalid: {variable}")
    assert not worker.github.requests.git()


LOOK_AROUND = """
import glob, json, os, sys
seen = {"environment": dict(os.environ), "arguments": sys.argv, "directory": os.getcwd(), "git": {}}
for name in glob.glob(".git/**", recursive=True):
    if os.path.isfile(name) and "objects" not in name and not name.endswith("index"):
        seen["git"][name] = open(name).read()
seen["home"] = os.listdir(os.environ["HOME"])
open(sys.argv[1], "w").write(json.dumps(seen))
print("p4ss/w0rd+of=the&worker", "ghp_0123456789abcdefABCDEF0123456789abcd")
print("aHR0cHM6Ly9naXQ6 p4ss%2Fw0rd%2Bof%3Dthe%26worker")
print("\\033[31mred\\033[0m")
"""


def test_the_agent_gets_nothing_of_ours(worker: Any, tmp_path: Path) -> None:
    seen_file = tmp_path / "seen.json"
    worker.configure(worker.agent(LOOK_AROUND + WORK, str(seen_file)))

    finished = worker.run()

    seen = json.loads(seen_file.read_text())
    assert finished.outcome == "Succeeded", finished.log
    # LC_CTYPE is Python's own doing in the child.
    assert set(seen["environment"]) - {"LC_CTYPE"} == {"PATH", "HOME", "LANG", "TERM"}
    assert seen["environment"]["HOME"] != str(worker.folder)
    assert seen["home"] == []
    everything = json.dumps(seen)
    for secret in (PASSWORD, AGENT_KEY, "the-workers-aws-secret-access-key", "of-the-container", "ghp_0123"):
        assert secret not in everything
    assert "credential" not in everything


def test_no_secret_is_in_the_log_the_result_or_the_artifacts(worker: Any, tmp_path: Path) -> None:
    worker.configure(worker.agent(LOOK_AROUND + WORK, str(tmp_path / "seen.json")))

    finished = worker.run()

    kept = [finished.log, json.dumps(finished.result), str(finished.exports), worker.artifact("agent.log")]
    for text in kept:
        for secret in (PASSWORD, "p4ss%2Fw0rd%2Bof%3Dthe%26worker", "ghp_0123456789", AGENT_KEY):
            assert secret not in text
    assert "[redacted] [redacted]" in worker.artifact("agent.log")
    assert "\nred\n" in worker.artifact("agent.log"), "terminal codes are stripped"


def test_no_secret_is_in_the_arguments_or_environment_of_any_process(worker: Any, tmp_path: Path) -> None:
    """A git that notes how it was called, in front of the real one."""
    calls = tmp_path / "calls"
    calls.mkdir()
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\n{{ printf "%s\\n" "$@"; env; }} > {calls}/$$\nPATH="${{PATH#*:}}" exec git "$@"\n')
    wrapper.chmod(0o755)
    # `git` runs further gits from its own exec path; this one sees those that the worker starts.
    environment = worker.environment()

    finished = worker.run(PATH=f"{wrapper.parent}{os.pathsep}{environment['PATH']}")

    assert finished.outcome == "Succeeded", finished.log
    noted = [path.read_text() for path in calls.iterdir()]
    assert any("fetch" in note for note in noted)
    assert any("push" in note for note in noted)
    for note in noted:
        for secret in (PASSWORD, "p4ss%2F", "the-workers-aws", "AWS_", "CODEBUILD_", "GIT_SSH_COMMAND", TOKEN_START):
            assert secret not in note


TOKEN_START = "ghp_0123"

TAMPER = """
import os, pathlib, stat, sys
mark = sys.argv[1]
evil = f"touch {mark}"
git = pathlib.Path(".git")
(git / "config").write_text(f'''[core]
\\trepositoryformatversion = 0
\\thooksPath = {os.getcwd()}/.git/hooks
\\tfsmonitor = "{evil}; false"
\\tsshCommand = {evil}
\\tgitProxy = {evil}
[credential]
\\thelper = "!{evil}"
[url "http://127.0.0.1:1/"]
\\tinsteadOf = http
[filter "evil"]
\\tclean = {evil}
\\tsmudge = {evil}
\\tprocess = {evil}
[diff "evil"]
\\tcommand = {evil}
\\ttextconv = {evil}
[remote "origin"]
\\turl = ext::sh -c {evil}
\\tuploadpack = {evil}
\\treceivepack = {evil}
[uploadpack]
\\tpackObjectsHook = {evil}
''')
hooks = git / "hooks"
hooks.mkdir(exist_ok=True)
for name in ("pre-commit", "post-commit", "pre-push", "post-checkout", "reference-transaction", "post-index-change"):
    (hooks / name).write_text(f"#!/bin/sh\\n{evil}\\n")
    (hooks / name).chmod(0o755)
pathlib.Path(".gitattributes").write_text("* filter=evil diff=evil\\n")
pathlib.Path(os.environ["HOME"], ".gitconfig").write_text((git / "config").read_text())
nested = pathlib.Path("vendor/thing/.git")
(nested / "objects").mkdir(parents=True)
(nested / "refs").mkdir()
(nested / "HEAD").write_text("ref: refs/heads/main\\n")
(nested / "config").write_text((git / "config").read_text())
pathlib.Path("vendor/thing/kept.txt").write_text("kept\\n")
"""


def test_an_agent_that_tampers_with_its_repository_runs_nothing_of_it(worker: Any, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    worker.configure(worker.agent(TAMPER + WORK, str(mark)))

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert not mark.exists()
    assert worker.head() == finished.exports["RESULT_COMMIT"]
    assert worker.file("vendor/thing/kept.txt") == "kept\n"


COMMIT = """
import pathlib, subprocess
def git(*words): subprocess.run(["git", *words], check=True)
pathlib.Path("shop/first.py").write_text("FIRST = 1\\n")
git("add", "--all")
git("commit", "--quiet", "--message", "First things first")
pathlib.Path("shop/second.py").write_text("SECOND = 2\\n")
git("add", "--all")
git("commit", "--quiet", "--message", "Second\\n\\nWith a body.")
print(subprocess.run(["git", "status", "--short"], capture_output=True, text=True).stdout or "clean")
"""


def test_the_commits_of_an_agent_are_kept_and_the_last_one_gets_our_trailer(worker: Any) -> None:
    worker.configure(worker.agent(COMMIT, mode="all"))

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    log = worker.repository.git.run(
        "log", "--format=%s|%(trailers:key=Kiro-Worker-Execution,valueonly)", f"{worker.commit}..{BRANCH}"
    )
    assert log.decode().split("\n") == [f"Second|{EXECUTION}", "", "First things first|", ""]
    assert "clean" in worker.artifact("agent.log")


def test_what_an_agent_left_uncommitted_follows_its_commits(worker: Any) -> None:
    worker.configure(worker.agent(COMMIT + WORK, mode="all"))

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    log = worker.repository.git.run("log", "--format=%s", f"{worker.commit}..{BRANCH}")
    assert log.decode().splitlines() == ["Implement feature-discounts", "Second", "First things first"]


UNRELATED = """
import subprocess
def git(*words): return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()
tree = git("write-tree")
git("reset", "--quiet", "--soft", git("commit-tree", "-m", "out of nowhere", tree))
"""


def test_a_history_that_does_not_descend_from_the_pinned_commit_is_not_kept(worker: Any) -> None:
    worker.configure(worker.agent(UNRELATED + WORK, mode="all"))

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "own commits are not kept" in finished.log
    log = worker.repository.git.run("log", "--format=%s", f"{worker.commit}..{BRANCH}")
    assert log.decode().splitlines() == ["Implement feature-discounts"]


@pytest.mark.parametrize(
    "ruin",
    [
        "import shutil; shutil.rmtree('.git')",
        "import pathlib; pathlib.Path('.git/HEAD').write_text('ref: refs/heads/../../../../etc/passwd\\n')",
        "import pathlib, os; os.remove('.git/HEAD'); os.mkfifo('.git/HEAD')",
        "import pathlib; pathlib.Path('.git/refs/heads/feature/discounts').write_text('0' * 39 + '1\\n')",
        "import os; os.remove('.git/HEAD'); os.symlink('/etc/hostname', '.git/HEAD')",
    ],
)
def test_a_ruined_repository_of_the_agent_costs_no_work(worker: Any, ruin: str) -> None:
    worker.configure(worker.agent(ruin + "\n" + WORK, mode="all"))

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("shop/notes.py") == "NOTES = 1\n"


def test_an_agent_that_removes_its_folder_has_failed(worker: Any) -> None:
    worker.configure(worker.agent("import os, shutil; shutil.rmtree(os.getcwd())"))

    assert worker.run().outcome == "AgentFailed"


LEAVE_A_DAEMON = """
import os, subprocess, sys, time
# One in the group, one in a session of its own, both holding the output open.
code = "import os,sys,time,signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " \\
       "open(sys.argv[1] + '/' + str(os.getpid()), 'w').close(); time.sleep(300)"
for own_session in (False, True):
    subprocess.Popen([sys.executable, "-c", code, sys.argv[1]], start_new_session=own_session)
while len(os.listdir(sys.argv[1])) < 2:
    time.sleep(0.01)
"""


def test_what_the_agent_leaves_running_is_gone_when_its_turn_ends(worker: Any, tmp_path: Path) -> None:
    daemons = tmp_path / "daemons"
    daemons.mkdir()
    daemons.chmod(0o777)
    worker.configure(worker.agent(LEAVE_A_DAEMON + WORK, str(daemons), mode="all"))
    started = time.monotonic()

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert time.monotonic() - started < 60, "a daemon that holds the output open is not waited for"
    assert len(list(daemons.iterdir())) == 2
    for daemon in daemons.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(daemon.name), 0)


def test_an_agent_that_writes_its_key_into_a_file_trips_the_guard(worker: Any, tmp_path: Path) -> None:
    kiro = tmp_path / "bin" / "kiro-cli"
    kiro.parent.mkdir()
    kiro.write_text(
        '#!/bin/sh\ncat > /dev/null\necho "KEY = \'$KIRO_API_KEY\'" > shop/key.py\necho "▸ Credits: 1 • Time: 2s"\n'
    )
    kiro.chmod(0o755)
    worker.configure("kiro")

    finished = worker.run(PATH=f"{kiro.parent}{os.pathsep}{worker.environment()['PATH']}")

    assert finished.outcome == "GuardTripped"
    assert worker.head() == worker.commit
    listed = worker.client("s3").list_objects_v2(Bucket="kiro-worker-test-artifacts")["Contents"]
    assert not [entry["Key"] for entry in listed if entry["Key"].endswith(".patch")]


KIRO = """#!/bin/sh
echo "$@" > {seen}/arguments
cat > {seen}/prompt
env > {seen}/environment
echo "NOTES = 1" > shop/notes.py
printf '\\033[32m ▸ Credits: 0.42 • Time: 1m 5s\\033[0m\\n' >&2
"""


def test_the_kiro_cli_is_run_headless_with_its_key_alone(worker: Any, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    seen.chmod(0o777)
    kiro = tmp_path / "bin" / "kiro-cli"
    kiro.parent.mkdir()
    kiro.write_text(KIRO.format(seen=seen))
    kiro.chmod(0o755)
    worker.configure({"name": "kiro", "mode": "all"})

    finished = worker.run(PATH=f"{kiro.parent}{os.pathsep}{worker.environment()['PATH']}")

    assert finished.outcome == "Succeeded", finished.log
    assert (seen / "arguments").read_text() == "chat --no-interactive --v2 --trust-all-tools\n"
    environment = dict(line.split("=", 1) for line in (seen / "environment").read_text().splitlines())
    assert environment.pop("KIRO_API_KEY") == AGENT_KEY
    assert set(environment) <= {"PATH", "HOME", "LANG", "TERM", "PWD", "OLDPWD", "SHLVL", "_"}
    prompt = (seen / "prompt").read_text()
    assert "- .kiro/specs/feature-discounts/requirements.md" in prompt
    assert "- 1.1 Add `apply_discount`" in prompt.replace("1.1. ", "1.1 ")
    assert "Describe discounts in the README" not in prompt, "an optional task is not asked for"
    assert finished.result["agent"] == {"credits": 0.42, "seconds": 65}
    assert AGENT_KEY not in finished.log


def test_a_kiro_cli_that_did_not_work_at_all_is_not_taken_at_its_exit_code(worker: Any, tmp_path: Path) -> None:
    kiro = tmp_path / "bin" / "kiro-cli"
    kiro.parent.mkdir()
    kiro.write_text("#!/bin/sh\ncat > /dev/null\nexit 0\n")
    kiro.chmod(0o755)
    worker.configure("kiro")

    finished = worker.run(PATH=f"{kiro.parent}{os.pathsep}{worker.environment()['PATH']}")

    assert finished.outcome == "AgentFailed"
    assert "rejected API key" in finished.exports["OUTCOME_REASON"]


def test_a_key_that_is_still_a_placeholder_is_told_before_the_agent_is_started(worker: Any) -> None:
    worker.client("secretsmanager").put_secret_value(
        SecretId=worker.secrets["kiro-api-key"], SecretString="placeholder"
    )
    worker.configure("kiro")

    finished = worker.run()

    assert finished.outcome == "WorkerFailed"
    assert finished.exports["OUTCOME_REASON"].startswith("SecretPlaceholder: ")


def test_a_server_that_refuses_partial_clones_gets_a_full_one(worker: Any) -> None:
    worker.repository.git.run("config", "uploadpack.allowFilter", "false")

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log


def test_a_partial_clone_that_breaks_off_is_followed_by_a_full_one(worker: Any) -> None:
    worker.github.faults.add("forbidden", "git-upload-pack")

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log


def test_a_result_is_left_behind_even_when_nothing_could_begin(worker: Any) -> None:
    finished = worker.run(CONFIG_PARAMETER_NAME="")

    assert (finished.exit_code, finished.outcome) == (1, "WorkerFailed")
    assert "CONFIG_PARAMETER_NAME" in finished.exports["OUTCOME_REASON"]


def test_a_result_is_left_behind_when_aws_does_not_answer(worker: Any) -> None:
    finished = worker.run(AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_MAX_ATTEMPTS="1")

    assert (finished.exit_code, finished.outcome) == (1, "WorkerFailed")
    assert finished.exports["ARTIFACTS"] == ""


def test_a_build_that_its_execution_left_behind_does_not_begin(worker: Any) -> None:
    worker.client("stepfunctions").stop_execution(executionArn=EXECUTION)

    finished = worker.run()

    assert finished.outcome == "LockLost"
    assert "has ended" in finished.log
    assert not worker.github.requests.git()


@pytest.fixture
def by_hand() -> dict[str, str]:
    """What a build that a person starts has not got."""
    set_by_the_state_machine = (
        *("WORK_ITEM_ID", "REPOSITORY", "COMMIT_SHA", "SPEC_PATH", "PULL_REQUEST_NUMBER"),
        *("LOCK_KEY", "LOCK_FENCE", "EXECUTION_ARN"),
    )
    return dict.fromkeys(set_by_the_state_machine, "")


def test_a_build_by_hand_finds_the_rest_takes_the_lock_and_releases_it(worker: Any, by_hand: dict[str, str]) -> None:
    worker.client("dynamodb").delete_item(
        TableName="kiro-worker-test-locks", Key={"lockKey": {"S": "work-item-processor-lock"}}
    )

    finished = worker.run(**by_hand)

    assert finished.outcome == "Succeeded", finished.log
    assert worker.head() == finished.exports["RESULT_COMMIT"]
    assert finished.result["job"]["owner"] == BUILD
    assert "owner" not in worker.lock()
    assert worker.lock()["branch"] == BRANCH
    assert finished.exports["ARTIFACTS"].endswith("/runs/5f2c/7/")


def test_a_build_by_hand_does_not_begin_while_another_holds_the_lock(worker: Any, by_hand: dict[str, str]) -> None:
    worker.hold_lock("somebody")

    finished = worker.run(**by_hand)

    assert finished.outcome == "LockLost"
    assert worker.lock()["owner"] == "somebody"


def test_a_build_by_hand_releases_the_lock_when_it_fails(worker: Any, by_hand: dict[str, str]) -> None:
    worker.client("dynamodb").delete_item(
        TableName="kiro-worker-test-locks", Key={"lockKey": {"S": "work-item-processor-lock"}}
    )
    worker.configure(worker.agent("raise SystemExit(1)"))

    finished = worker.run("--branch", BRANCH, **(by_hand | {"BRANCH_NAME": ""}))

    assert finished.outcome == "AgentFailed", finished.log
    assert "owner" not in worker.lock()


def test_a_build_by_hand_says_what_a_branch_lacks(worker: Any, by_hand: dict[str, str]) -> None:
    finished = worker.run(**(by_hand | {"BRANCH_NAME": "feature/none"}))

    assert finished.outcome == "WorkerFailed"
    assert "WorkItemInvalid: the branch feature/none does not exist" in finished.exports["OUTCOME_REASON"]


WAIT = """
import os, sys, time
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(300)
"""


def test_a_build_that_is_stopped_takes_its_agent_along_and_still_reports(worker: Any, tmp_path: Path) -> None:
    pid_file = tmp_path / "agent.pid"
    worker.configure(worker.agent(WAIT, str(pid_file)))
    (worker.folder / "src").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "kiro_worker.runner"],
        cwd=worker.folder / "src",
        env=worker.environment(),
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < until:
        time.sleep(0.02)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=60) == 1
    result = json.loads((worker.folder / "src" / "result.json").read_text())
    assert result["outcome"] == "WorkerFailed"
    assert "stopped" in result["reason"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
