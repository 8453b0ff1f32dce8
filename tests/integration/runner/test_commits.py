"""Commits as a team's rules want them, in whole builds: author, sign-off, subject, and one commit instead of many."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kiro_worker.records.runs import read_run, read_summary
from kiro_worker.records.table import RecordsTable
from tests.support.acting_agent import ActingAgent, boxes
from tests.support.worker import BRANCH, EXECUTION, RECORDS, Worker

TASKS = ".kiro/specs/feature-discounts/tasks.md"
BOT = 'Acme "K" \\ #1 Bot <bot@acme.com>'
"""A name that git would read otherwise if it were not quoted."""
STYLE = {"author": BOT, "signOff": True, "subject": "feat: {title}"}
FORGE = """
import os, pathlib, subprocess
person = {"GIT_AUTHOR_NAME": "A Boss", "GIT_AUTHOR_EMAIL": "boss@acme.com", "GIT_AUTHOR_DATE": "@4102444800 +0000"}
def git(*words, stdin=""):
    environment = {**os.environ, **person, "GIT_COMMITTER_NAME": "A Boss", "GIT_COMMITTER_EMAIL": "boss@acme.com"}
    run = subprocess.run(["git", *words], check=True, env=environment, input=stdin, capture_output=True, text=True)
    return run.stdout
pathlib.Path("shop/first.py").write_text("FIRST = 1\\n")
git("add", "--all")
git("commit", "--quiet", "--file=-", stdin="Closes #1 [skip ci]\\n\\nSigned-off-by: A Boss <boss@acme.com>\\n")
print("I am", git("config", "user.name"))
pathlib.Path("shop/second.py").write_text("SECOND = 2\\n")
git("add", "--all")
git("commit", "--quiet", "--message", "placeholder")
raw = git("cat-file", "commit", "HEAD").partition("\\n\\n")[0]
signed = raw + "\\ngpgsig -----BEGIN PGP SIGNATURE-----\\n \\n iQ==\\n -----END PGP SIGNATURE-----\\n\\n"
signed += "fix: Second @alice\\n\\nCo-authored-by: A Boss <boss@acme.com>\\nRefs: PROJ-7\\n"
git("reset", "--quiet", "--soft", git("hash-object", "-t", "commit", "-w", "--stdin", stdin=signed).strip())
"""


def log_of(worker: Worker, form: str, commits: str) -> list[str]:
    shown = worker.repository.git.run("log", "--reverse", "-z", f"--format={form}", commits).decode()
    return [entry.strip("\n") for entry in shown.strip("\0").split("\0")]


def test_agents_commits_are_written_anew(worker: Worker) -> None:
    worker.configure(worker.agent(FORGE, mode="all"), commits=STYLE)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    since = f"{worker.commit}..{BRANCH}"
    assert set(log_of(worker, "%an <%ae>%n%cn <%ce>", since)) == {f"{BOT}\n{BOT}"}
    first, second = log_of(worker, "%B", since)
    co_author = f"Co-authored-by: {Path(sys.executable).name} <agent.of.kiro.codebuild.worker@users.noreply.github.com>"
    assert first.split("\n\n") == ["feat: closes no. 1 (skip ci)", f"{co_author}\nSigned-off-by: {BOT}"]
    subject, trailers = second.split("\n\n")
    assert subject == "fix: second @ alice"
    assert trailers.split("\n") == [
        *("Refs: PROJ-7", co_author, f"Signed-off-by: {BOT}", "Kiro-Worker-Execution: run-1", "Kiro-Worker-Task: all"),
    ]
    assert 'I am Acme "K" \\ #1 Bot\n' in worker.artifact("agent.log")
    assert "gpgsig" not in worker.repository.git.run("cat-file", "commit", BRANCH).decode()


def test_work_is_squashed_and_rebased(worker: Worker) -> None:
    agent = ActingAgent(worker, commits={**STYLE, "squash": True})
    planned = agent.plan("- [ ] 1. Parse lists (fixes #3)\n- [ ] 2. Print\n- [ ] 3. Checkpoint\n\nNotes\n")
    on_checkpoint: list[str] = []

    def push_first(operation: str) -> None:
        if operation == "git-receive-pack" and worker.checkpoint() and worker.head() == planned:
            on_checkpoint[:] = log_of(worker, "%s", f"{planned}..{worker.checkpoint()}")
            if len(on_checkpoint) == 2:
                worker.repository.git.commit(BRANCH, {"NEWS.md": "x\n"}, "By a person")

    worker.github.on_request = push_first

    finished = agent.build(planned, {3: "idle"})

    assert finished.outcome == "Succeeded", finished.log
    assert on_checkpoint == ["feat: parse lists (fixes no. 3)", "feat: print"], "the checkpoint keeps every task"
    assert log_of(worker, "%s", f"{planned}..{BRANCH}") == ["By a person", "feat: implement feature-discounts"]
    assert boxes(worker.file(TASKS)) == ["x", "x", "x"]
    [message] = log_of(worker, "%B", f"{BRANCH}^..{BRANCH}")
    _, body, tasks, trailers = message.split("\n\n")
    assert body == "From the spec in .kiro/specs/feature-discounts."
    assert tasks == "- 1 Parse lists (fixes no. 3)\n- 2 Print"
    execution, *done, sign_off = trailers.splitlines()
    assert (execution, sign_off) == ("Kiro-Worker-Execution: run-1", f"Signed-off-by: {BOT}")
    assert [task.rpartition(" ")[0] for task in done] == [
        "Kiro-Worker-Task: 1 Parse lists (fixes no. 3)",
        "Kiro-Worker-Task: 2 Print",
    ]
    records = RecordsTable(worker.client("dynamodb"), RECORDS)
    run = read_run(records, EXECUTION)
    assert run is not None
    assert worker.head() in run.commits, "recorded before it was pushed"
    assert {task.commit for task in read_summary(records, EXECUTION).tasks} == {worker.head()}
    assert worker.checkpoint() == ""

    worker.configure({"command": ["this-agent-must-not-run"]}, commits={"squash": True})
    again = worker.run(COMMIT_SHA=planned)
    assert (again.outcome, again.exports["RESULT_COMMIT"]) == ("Succeeded", worker.head()), again.log


@pytest.mark.exhaustive
def test_resumed_work_gets_the_new_author(worker: Worker) -> None:
    agent = ActingAgent(worker)
    planned = agent.plan("- [ ] 1. Parse\n- [ ] 2. Print\n")
    assert agent.build(planned, {2: "fail"}).outcome == "AgentFailed"
    kept = worker.checkpoint()
    assert "acme" not in "".join(log_of(worker, "%ae", f"{planned}..{kept}"))

    agent = ActingAgent(worker, commits=STYLE)
    finished = agent.build(planned)

    assert finished.outcome == "Succeeded", finished.log
    commits = log_of(worker, "%an <%ae>|%(trailers:key=Signed-off-by,valueonly,separator=%x2C)", f"{planned}..{BRANCH}")
    assert len(commits) > 1
    assert set(commits) == {f"{BOT}|{BOT}"}
