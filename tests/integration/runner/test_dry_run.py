"""The plan that a dry run prints, and what would stop the build."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiro_local.github.git_repository import Content
from tests.support.dry_run import NO_AWS, dry_run, dry_run_on_aws, dry_run_without_aws, free_lock
from tests.support.worker import BRANCH, CHECKPOINT, EXECUTION, LOCK_KEY, TOKEN, Worker

TASKS = ".kiro/specs/feature-discounts/tasks.md"


def test_plan_without_aws_shows_every_step(worker: Worker, config: Path) -> None:
    done = dry_run_without_aws(worker, config, GITHUB_TOKEN=TOKEN)

    assert done.exit_code == 0, done.out + done.error
    lines = done.lines
    assert lines["job"].startswith(f"acme/shop {BRANCH} at {worker.commit[:12]}, pull request #1, spec in .kiro/specs/")
    assert "not checked without AWS" in lines["lock"]
    assert lines["guard"].startswith("the branch changes no guarded file, compared with the default branch")
    assert lines["checkpoint"].startswith("none")
    assert "scripted_agent.py, at most 45 minutes per turn" in lines["agent"]
    assert [lines[f"turn {number}"][:3] for number in range(1, 6)] == ["1.1", "1.2", "1.3", "2.1", "2.2"]
    assert lines["tests"].startswith("python3 -m unittest discover") or "coverage run" in lines["tests"]
    assert "setup" not in lines
    assert lines["coverage"] == "not required"
    assert lines["push"].endswith(f"until then each finished task to {CHECKPOINT}")
    assert done.out.endswith("\nnothing would stop the build\n")


def test_plan_shows_what_is_detected_and_why(worker: Worker) -> None:
    worker.configure(setup=None)
    free_lock(worker)

    done, document = dry_run_on_aws(worker), dry_run_on_aws(worker, "--json").document

    assert done.lines["setup"].startswith("detected: no manifest → a virtual environment without packages; tests that")
    assert done.lines["tests"].startswith(".venv/bin/python -m unittest discover -v (detected in the files of")
    [step] = document["setup"]
    assert step["command"][:3] == ["sh", "-eu", "-c"]
    assert step["reason"].endswith("tests that use unittest → unittest")


def test_plan_names_projects_of_repository_with_several(worker: Worker) -> None:
    worker.configure(setup=None)
    gone = dict.fromkeys(("tests/__init__.py", "tests/test_orders.py"))
    projects = {f"{name}/go.mod": "module x\n" for name in ("api", "web")} | {"api/x_test.go": "", "web/x_test.go": ""}
    worker.repository.git.commit(BRANCH, {**gone, **projects}, "Split")
    free_lock(worker)

    done = dry_run_on_aws(worker)

    assert done.exit_code == 1
    assert "would stop: SetupFailed: nothing can be chosen to test: the root is no project" in done.out
    assert "  - directory: api\n  - directory: web" in done.out


def test_spec_folder_of_another_name_is_found_without_card(worker: Worker, config: Path) -> None:
    moved: dict[str, Content] = {}
    for name in ("requirements.md", "design.md", "tasks.md"):
        path = f".kiro/specs/feature-discounts/{name}"
        moved |= {path: None, f".kiro/specs/discounts/{name}": worker.file(path)}
    worker.repository.git.commit(BRANCH, moved, "Rename the spec")

    done = dry_run_without_aws(worker, config, GITHUB_TOKEN=TOKEN)

    assert done.exit_code == 0, done.out + done.error
    assert done.lines["job"].endswith("spec in .kiro/specs/discounts")


def test_plan_on_aws_reads_what_is_deployed(worker: Worker) -> None:
    worker.configure(coverage={"threshold": 90}, test=["make", "test"], agent={"command": ["tool"], "mode": "all"})
    free_lock(worker)

    done = dry_run_on_aws(worker, "--json")

    assert (done.exit_code, done.outcomes) == (0, []), done.out
    document = done.document
    assert document["wouldGo"] is True
    assert document["job"]["commit"] == worker.commit
    assert document["lock"] == {"key": "work-item-processor-lock", "owner": None}
    assert document["guard"] == {"different": []}
    assert [len(turn) for turn in document["turns"]] == [5], "all open tasks in one turn"
    assert document["agent"]["argv"] == ["tool"]
    assert document["tests"]["command"] == ["make", "test"]
    assert document["coverage"]["threshold"] == 90
    assert document["artifacts"].startswith("s3://kiro-worker-test-artifacts-123456789012-us-east-1/runs/")


def test_held_lock_would_stop_build(worker: Worker) -> None:
    done = dry_run_on_aws(worker, "--json")

    assert (done.exit_code, done.outcomes) == (1, ["LockLost"])
    assert EXECUTION in done.document["stops"][0]["reason"]
    assert done.document["turns"], "the dry run goes on after the lock"


def test_ended_holder_would_lose_lock(worker: Worker) -> None:
    ended = EXECUTION.replace("run-1", "run-0")
    worker.hold_lock(ended)

    done = dry_run_on_aws(worker)

    assert done.exit_code == 0, done.out
    assert done.out.count(f"would be taken over from {ended}") == 1


@pytest.mark.parametrize(("builds", "outcomes"), [(1, ["LockLost"]), (2, [])])
def test_taken_slots_would_stop_build(worker: Worker, builds: int, outcomes: list[str]) -> None:
    worker.configure(lockScope="repository", maxConcurrentBuilds=builds)
    worker.hold_lock(key=f"{LOCK_KEY}#slot-1")

    done = dry_run_on_aws(worker, "--json")

    assert done.outcomes == outcomes, done.out
    assert done.document["slots"] == {"total": builds, "owners": [EXECUTION]}


def test_guarded_file_is_refused_before_a_build(worker: Worker, config: Path) -> None:
    worker.repository.git.commit(BRANCH, {"AGENTS.md": "Obey.\n"}, "Steer")

    done = dry_run_without_aws(worker, config, "--token-variable", "MY_TOKEN", MY_TOKEN=TOKEN)

    assert done.exit_code == 1
    assert f"{BRANCH} changes files that steer an agent or run commands (AGENTS.md)" in done.out
    assert not worker.github.requests.git()


def test_guarded_file_would_stop_build(worker: Worker, config: Path) -> None:
    worker.repository.git.commit(BRANCH, {"AGENTS.md": "Obey.\n"}, "Steer")
    worker.github.faults.add("bad_gateway", "compare")

    done = dry_run_without_aws(worker, config, "--token-variable", "MY_TOKEN", MY_TOKEN=TOKEN)

    assert done.exit_code == 1
    assert "would stop: GuardTripped: " in done.out
    assert "AGENTS.md" in done.out
    assert "How to fix: merge the default branch" in done.out
    assert "\nturn 1" in done.out


def test_title_cannot_control_terminal(worker: Worker, config: Path) -> None:
    worker.repository.git.commit(BRANCH, {TASKS: "# Tasks\n\n- [ ] 1. Say \x1b]0;owned\x07\x1b[31mred\n"}, "Speak")

    done = dry_run_without_aws(worker, config, GITHUB_TOKEN=TOKEN)

    assert "turn 1      1 Say red\n" in done.out
    assert all(character.isprintable() or character == "\n" for character in done.out)


def test_hidden_text_would_stop_build(worker: Worker, config: Path) -> None:
    worker.repository.git.commit(BRANCH, {TASKS: "# Tasks\n\n- [ ] 1. Say red\u202e\n"}, "Speak")

    done = dry_run_without_aws(worker, config, GITHUB_TOKEN=TOKEN)

    assert f"{TASKS}, line 3 contains an invisible character (U+202E RIGHT-TO-LEFT OVERRIDE): remove it" in done.out
    assert all(character.isprintable() or character == "\n" for character in done.out)


def test_finished_spec_would_stop_build(worker: Worker) -> None:
    worker.repository.git.commit(BRANCH, {TASKS: "# Tasks\n\n- [x] 1. Done\n"}, "Done")

    done = dry_run_on_aws(worker, "--json")

    assert (done.exit_code, done.outcomes) == (1, ["WorkerFailed"])
    assert "has no open task" in done.document["stops"][0]["reason"]


def test_plan_starts_at_checkpoint(worker: Worker) -> None:
    worker.configure(
        worker.agent(
            "import pathlib, sys\nif '\\n- 1.2' in sys.stdin.read(): sys.exit(3)\n"
            "pathlib.Path('shop/new.py').write_text('x')"
        )
    )
    assert worker.run().outcome == "AgentFailed"
    assert worker.checkpoint()
    free_lock(worker)

    done = dry_run_on_aws(worker, "--json")

    assert done.exit_code == 0, done.out
    kept = worker.checkpoint()
    assert done.document["checkpoint"] == {"commit": kept, "startsAt": kept, "ignored": ""}
    assert done.document["records"] == {"table": "kiro-worker-test-records"}
    assert [turn[0][:3] for turn in done.document["turns"]] == ["1.2", "1.3", "2.1", "2.2"]


def test_missing_tests_would_fail_gate(worker: Worker) -> None:
    names = worker.repository.git.run("ls-tree", "-r", "--name-only", BRANCH).decode().split()
    worker.repository.git.commit(BRANCH, dict.fromkeys(name for name in names if "test" in name), "No tests")
    free_lock(worker)

    done = dry_run_on_aws(worker, "--json")

    assert (done.exit_code, done.outcomes) == (1, ["TestsFailed"])
    assert "test: make test" in done.document["stops"][0]["remedy"]
    assert done.document["push"]["branch"] == BRANCH, "the dry run goes on after the gate"


def test_refused_token_is_named(worker: Worker, config: Path) -> None:
    done = dry_run_without_aws(worker, config, "--json", GITHUB_TOKEN="ghp_wrong")

    assert (done.exit_code, done.outcomes) == (1, ["WorkerFailed"])
    [stop] = done.document["stops"]
    assert stop["reason"].startswith("GitHubTokenInvalid: ")
    assert stop["remedy"] == "create a token with the scopes repo and project, then export GITHUB_TOKEN=…"


def test_missing_aws_credentials_suggest_file(worker: Worker) -> None:
    done = dry_run_on_aws(worker, **{**NO_AWS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"})

    assert done.exit_code == 1
    assert "would stop: WorkerFailed: AWS cannot be used: Unable to locate credentials" in done.out
    assert "--config FILE" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "project.json"], "needs --branch"),
        (["--branch", BRANCH], "needs --environment NAME or --config FILE"),
        (["--branch", BRANCH, "--environment", "test", "--config", "x"], "needs --environment NAME or --config FILE"),
        (["--branch", BRANCH, "--config", "project.json"], "GITHUB_TOKEN is not set: export GITHUB_TOKEN="),
        (["--branch", BRANCH, "--config", "no-such-file"], "cannot be read"),
    ],
)
def test_wrong_usage_is_explained(worker: Worker, config: Path, arguments: list[str], message: str) -> None:
    variables = {"GITHUB_TOKEN": TOKEN} if "no-such-file" in arguments else {}

    done = dry_run(worker, *arguments, **variables)

    assert done.exit_code == 2
    assert message in done.error
