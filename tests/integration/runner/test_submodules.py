"""Submodules: the agent and the tests get their files, no commit contains them, and unsafe ones are rejected."""

from __future__ import annotations

from typing import Any

import pytest

from kiro_local.github.git_repository import Content, Submodule, Symlink

NO_AGENT = {"command": ["this-agent-must-not-run"]}
NOTE_LIBRARY = """
import os, pathlib, shutil, subprocess, sys
sys.stdin.read()
text = pathlib.Path("vendor/lib/lib.py").read_text()
with open("seen.txt", "a") as file:
    file.write(text)
"""
FIND_LIBRARY = "grep -q 'LIB = 1' vendor/lib/lib.py && test ! -e vendor/lib/more && echo Ran 1 test in 0s"


def gitmodules(url: str, path: str = "vendor/lib") -> str:
    return f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n\tupdate = !touch /tmp/owned\n'


def add_submodule(worker: Any, url: str, *, extra: dict[str, Content] | None = None, on_main: bool = True) -> None:
    """Add ``acme/lib``, with the files ``extra``, as ``vendor/lib``, with one ``.gitmodules`` on both branches or
    on the card's branch alone.
    """
    lib = worker.github.board.add_repository("acme/lib")
    lib.git.commit("main", {"lib.py": "LIB = 0\n"}, "Begin")
    first = lib.git.head_of("main")
    pinned = lib.git.commit("main", {"lib.py": "LIB = 1\n", **(extra or {})}, "Continue")
    lib.git.commit("main", {"lib.py": "LIB = 2\n"}, "Newer than the pinned commit")
    files: dict[str, Content] = {".gitmodules": gitmodules(url)}
    if on_main:
        worker.repository.git.commit("main", {**files, "vendor/lib": Submodule(first)}, "Use lib")
    worker.commit = worker.repository.git.commit("feature/discounts", {**files, "vendor/lib": Submodule(pinned)}, "Lib")


def gitlink(worker: Any, commit: str) -> str:
    return str(worker.repository.git.run("ls-tree", commit, "vendor/lib").decode())


@pytest.mark.parametrize("url", ["../lib.git", "{git_url}/acme/lib.git"])
def test_submodule_files_are_not_committed(worker: Any, url: str) -> None:
    add_submodule(worker, url.format(git_url=worker.github.git_url))
    spoil = 'pathlib.Path("vendor/lib/lib.py").write_text("LIB = 3")\npathlib.Path("vendor/lib/more").write_text("x")\n'
    repository = 'subprocess.run(["git", "init", "-q", "vendor/lib"], check=True)\n'
    agent = worker.agent(NOTE_LIBRARY + spoil + repository)
    worker.configure(agent, submodules=True, test=["sh", "-c", FIND_LIBRARY])

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("seen.txt") == "LIB = 1\n" * 5, "restored for every turn"
    assert gitlink(worker, worker.head()) == gitlink(worker, worker.commit)
    changed = worker.repository.git.run("diff", "--name-only", worker.commit, worker.head()).decode().split()
    assert changed == [".kiro/specs/feature-discounts/tasks.md", "seen.txt"]


@pytest.mark.parametrize(
    "trick",
    [
        'shutil.rmtree("vendor/lib")\n',
        'shutil.rmtree("vendor")\n',
        'shutil.rmtree("vendor/lib"); pathlib.Path("vendor/lib").write_text("x")\n',
        'shutil.rmtree("vendor"); os.symlink("shop", "vendor"); pathlib.Path("shop/lib").mkdir()\n',
        'subprocess.run("git rm -rqf --cached vendor/lib && git commit -qm Mine", shell=True, check=True)\n',
    ],
)
def test_agent_cannot_change_gitlink(worker: Any, trick: str) -> None:
    add_submodule(worker, "../lib.git")
    agent = worker.agent(NOTE_LIBRARY + trick, mode="all")
    worker.configure(agent, submodules=True, test=["sh", "-c", FIND_LIBRARY])

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert gitlink(worker, worker.head()) == gitlink(worker, worker.commit)
    assert "shop/orders.py" in worker.repository.git.run("ls-tree", "-r", "--name-only", worker.head()).decode()


def test_submodules_are_not_fetched_by_default(worker: Any) -> None:
    add_submodule(worker, "../lib.git")
    worker.configure(worker.agent('import os; open("seen.txt", "w").write(str(os.listdir("vendor/lib")))', mode="all"))

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("seen.txt") == "[]"
    assert not [request for request in worker.github.requests.git() if "lib" in str(request.variables)]


def test_foreign_url_stops_build(worker: Any) -> None:
    add_submodule(worker, "ext::sh -c touch% /tmp/owned")
    worker.configure(NO_AGENT, submodules=True)

    finished = worker.run()

    assert finished.outcome == "CheckoutFailed", finished.log
    assert "the submodule 'vendor/lib' has the url 'ext::sh" in finished.exports["OUTCOME_REASON"]


def run_with(worker: Any, files: dict[str, Content]) -> Any:
    """Run with ``files`` on both branches, so that the guard accepts them."""
    worker.repository.git.commit("main", {**files}, "As on the branch")
    worker.commit = worker.repository.git.commit("feature/discounts", files, "Change")
    worker.configure(NO_AGENT, submodules=True)
    return worker.run()


def test_incomplete_gitmodules_is_rejected(worker: Any) -> None:
    add_submodule(worker, "../lib.git")

    # git itself refuses to check out such a link.
    link = run_with(worker, {".gitmodules": Symlink("README.md")})
    assert (link.outcome, ".gitmodules" in link.log) == ("CheckoutFailed", True), link.log
    no_url = run_with(worker, {".gitmodules": gitmodules("../lib.git", "elsewhere")})
    assert no_url.outcome == "CheckoutFailed"
    assert "has no url for the submodule 'vendor/lib'" in no_url.exports["OUTCOME_REASON"]


def test_missing_commit_names_submodule(worker: Any) -> None:
    add_submodule(worker, "../lib.git")

    finished = run_with(worker, {"vendor/lib": Submodule("1" * 40)})

    assert finished.outcome == "CheckoutFailed"
    assert "the submodule 'vendor/lib' cannot be fetched" in finished.exports["OUTCOME_REASON"]


def test_link_out_of_submodule_is_rejected(worker: Any) -> None:
    add_submodule(worker, "../lib.git", extra={"out": Symlink("../../README.md")})
    worker.configure(NO_AGENT, submodules=True)

    finished = worker.run()

    assert finished.outcome == "CheckoutFailed"
    assert "symbolic links of the submodule 'vendor/lib' leave it: 'out'" in finished.exports["OUTCOME_REASON"]


def test_changed_gitmodules_trips_guard(worker: Any) -> None:
    """The worker's credentials may be able to read more than the person who pushed the branch."""
    add_submodule(worker, "../lib.git", on_main=False)
    worker.configure(NO_AGENT, submodules=True)

    finished = worker.run()

    assert finished.outcome == "GuardTripped"
    assert ".gitmodules" in finished.exports["OUTCOME_REASON"]


def test_steering_file_in_submodule_trips_guard(worker: Any) -> None:
    add_submodule(worker, "../lib.git", extra={"deep/AGENTS.md": "Obey.\n"})
    worker.configure(NO_AGENT, submodules=True)

    finished = worker.run()

    assert finished.outcome == "GuardTripped"
    assert "vendor/lib/deep/AGENTS.md" in finished.exports["OUTCOME_REASON"]


def merge_main(worker: Any) -> str:
    """Make the branch contain main, whose files it has already."""
    git, identity = worker.repository.git, ("-c", "user.name=x", "-c", "user.email=x@x.invalid")
    branch = "refs/heads/feature/discounts"
    words = ("commit-tree", f"{branch}^{{tree}}", "-p", branch, "-p", "refs/heads/main", "-m", "Merge main")
    commit = str(git.run(*identity, *words).decode().strip())
    git.run("update-ref", branch, commit)
    return commit


@pytest.mark.parametrize("is_changed", [False, True])
def test_newer_submodule_of_the_default_branch_stops_no_open_branch(worker: Any, is_changed: bool) -> None:
    """The branch may have the version of its fork point, or one with the same steering files."""
    add_submodule(worker, "../lib.git", extra={"AGENTS.md": "Be kind.\n"})
    lib, git = worker.github.board.repository("acme/lib").git, worker.repository.git
    worker.repository.git.commit("main", {"vendor/lib": Submodule(f"{lib.head_of('main')}")}, "As on the branch")
    older = str(lib.head_of("main"))
    git.commit("feature/discounts", {"vendor/lib": Submodule(older)}, "As on main")
    worker.commit = merge_main(worker)
    newer = lib.commit("main", {"AGENTS.md": "Be careful.\n"}, "Warn")
    git.commit("main", {"vendor/lib": Submodule(newer)}, "Newer lib")
    if is_changed:
        other = lib.commit("other", {"lib.py": "LIB = 1\n"}, "Another version", base=older)
        worker.commit = git.commit("feature/discounts", {"vendor/lib": Submodule(other)}, "Another lib")
    agent = worker.agent('open("seen.txt", "w").write(open("vendor/lib/AGENTS.md").read())', mode="all")
    worker.configure(agent, submodules=True, test=["sh", "-c", "echo Ran 1 test in 0s"])

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("seen.txt") == "Be kind.\n"
