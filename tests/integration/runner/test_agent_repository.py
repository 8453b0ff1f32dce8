"""The agent's own repository: its commits are kept if possible, and its configuration has no effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.worker import BRANCH, WORK, Worker

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


def test_tampered_repository_runs_nothing(worker: Worker, tmp_path: Path) -> None:
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


def test_agents_commits_are_kept_with_trailer(worker: Worker) -> None:
    worker.configure(worker.agent(COMMIT, mode="all"))

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    log = worker.repository.git.run(
        "log", "--format=%s|%(trailers:key=Kiro-Worker-Execution,valueonly)", f"{worker.commit}..{BRANCH}"
    )
    assert log.decode().split("\n") == ["Second|run-1", "", "First things first|", ""]
    assert "clean" in worker.artifact("agent.log")


def test_uncommitted_work_follows_agents_commits(worker: Worker) -> None:
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


def test_unrelated_history_is_not_kept(worker: Worker) -> None:
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
def test_ruined_repository_loses_no_work(worker: Worker, ruin: str) -> None:
    worker.configure(worker.agent(ruin + "\n" + WORK, mode="all"))

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("shop/notes.py") == "NOTES = 1\n"


def test_removed_folder_fails_build(worker: Worker) -> None:
    worker.configure(worker.agent("import os, shutil; shutil.rmtree(os.getcwd())"))

    assert worker.run().outcome == "AgentFailed"
