"""Submodules: their files for agent and tests, nothing of them in a commit, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kiro_local.github.git_repository import Content, Submodule, Symlink
from kiro_worker.errors import BuildStopped
from kiro_worker.models import GitCredentials
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.submodules import Source, repository_of

SOURCE = Source(Path("nowhere"), "https://git.example/x", "acme/shop", GitCredentials("git", "secret"), {})
LOOK = """
import os, pathlib, shutil, subprocess, sys
sys.stdin.read()
text = pathlib.Path("vendor/lib/lib.py").read_text()
with open("seen.txt", "a") as file:
    file.write(text)
"""
SEES_THEM = "grep -q 'LIB = 1' vendor/lib/lib.py && test ! -e vendor/lib/more && echo Ran 1 test in 0s"


def gitmodules(url: str, path: str = "vendor/lib") -> str:
    return f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n\tupdate = !touch /tmp/owned\n'


def with_submodule(worker: Any, url: str, *, in_it: dict[str, Content] | None = None, on_main: bool = True) -> None:
    """``acme/lib`` as ``vendor/lib``, by the same ``.gitmodules`` on both branches unless it is the branch's alone."""
    lib = worker.github.board.add_repository("acme/lib")
    lib.git.commit("main", {"lib.py": "LIB = 0\n"}, "Begin")
    first = lib.git.head_of("main")
    pinned = lib.git.commit("main", {"lib.py": "LIB = 1\n", **(in_it or {})}, "Go on")
    lib.git.commit("main", {"lib.py": "LIB = 2\n"}, "Too far")
    files: dict[str, Content] = {".gitmodules": gitmodules(url)}
    if on_main:
        worker.repository.git.commit("main", {**files, "vendor/lib": Submodule(first)}, "Use lib")
    worker.commit = worker.repository.git.commit("feature/discounts", {**files, "vendor/lib": Submodule(pinned)}, "Lib")


def gitlink(worker: Any, commit: str) -> str:
    return str(worker.repository.git.run("ls-tree", commit, "vendor/lib").decode())


@pytest.mark.parametrize("url", ["../lib.git", "{git_url}/acme/lib.git"])
def test_agent_and_tests_have_the_pinned_files_and_commits_have_none(worker: Any, url: str) -> None:
    with_submodule(worker, url.format(git_url=worker.github.git_url))
    spoil = 'pathlib.Path("vendor/lib/lib.py").write_text("LIB = 3")\npathlib.Path("vendor/lib/more").write_text("x")\n'
    repository = 'subprocess.run(["git", "init", "-q", "vendor/lib"], check=True)\n'
    worker.configure(worker.agent(LOOK + spoil + repository), submodules=True, testCommand=["sh", "-c", SEES_THEM])

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("seen.txt") == "LIB = 1\n" * 5, "as new in every turn"
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
def test_whatever_the_agent_makes_of_the_folder_the_gitlink_is_untouched(worker: Any, trick: str) -> None:
    with_submodule(worker, "../lib.git")
    worker.configure(worker.agent(LOOK + trick, mode="all"), submodules=True, testCommand=["sh", "-c", SEES_THEM])

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert gitlink(worker, worker.head()) == gitlink(worker, worker.commit)
    assert "shop/orders.py" in worker.repository.git.run("ls-tree", "-r", "--name-only", worker.head()).decode()


def test_nothing_is_fetched_unless_it_is_configured(worker: Any) -> None:
    with_submodule(worker, "../lib.git")
    worker.configure(worker.agent('import os; open("seen.txt", "w").write(str(os.listdir("vendor/lib")))', mode="all"))

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("seen.txt") == "[]"
    assert not [each for each in worker.github.requests.git() if "lib" in str(each.variables)]


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /tmp/owned",
        "file:///etc",
        "/etc",
        "ssh://git@127.0.0.1/acme/lib.git",
        "git@github.com:acme/lib.git",
        "https://evil.example/acme/lib.git",
        "https://git.example/x.evil.example/acme/lib.git",
        "https://git.example/x@evil.example/acme/lib.git",
        "http://user:password@127.0.0.1/acme/lib.git",
        "../../../lib.git",
        "../../../../etc/passwd",
        "../../../../../../../etc/passwd",
        "../..",
        "../lib/../..",
        "-u./payload",
        "../-lib/../../--upload-pack=x/y",
        "https://git.example/x/acme/lib/extra",
        "https://git.example/x/acme/..",
        "https://git.example/x/acme/lib.git?x=y",
    ],
)
def test_a_hostile_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(BuildStopped, match="the submodule 'vendor/lib' has the url") as stopped:
        repository_of("vendor/lib", url, SOURCE)

    assert stopped.value.outcome is Outcome.CHECKOUT_FAILED


@pytest.mark.parametrize(
    "url",
    [
        *("../lib.git", "../../acme/lib", "./../lib", "../lib/", "../shop/../lib"),
        *("https://git.example/x/acme/lib.git", "https://git.example/x/acme/lib"),
    ],
)
def test_a_url_of_the_same_server_is_its_repository(url: str) -> None:
    assert repository_of("vendor/lib", url, SOURCE) == "acme/lib"


def test_a_hostile_url_stops_the_build_before_the_agent(worker: Any) -> None:
    with_submodule(worker, "ext::sh -c touch% /tmp/owned")
    worker.configure({"command": ["this-agent-must-not-run"]}, submodules=True)

    finished = worker.run()

    assert finished.outcome == "CheckoutFailed", finished.log
    assert "the submodule 'vendor/lib' has the url 'ext::sh" in finished.exports["OUTCOME_REASON"]


def refused(worker: Any, files: dict[str, Content]) -> Any:
    worker.repository.git.commit("main", {**files}, "As the branch")
    worker.commit = worker.repository.git.commit("feature/discounts", files, "Change")
    worker.configure({"command": ["this-agent-must-not-run"]}, submodules=True)
    return worker.run()


def test_a_gitmodules_that_is_no_file_or_names_no_url_is_refused(worker: Any) -> None:
    with_submodule(worker, "../lib.git")

    # git itself lays out no such link.
    link = refused(worker, {".gitmodules": Symlink("README.md")})
    assert (link.outcome, ".gitmodules" in link.log) == ("CheckoutFailed", True), link.log
    nameless = refused(worker, {".gitmodules": gitmodules("../lib.git", "elsewhere")})
    assert nameless.outcome == "CheckoutFailed"
    assert "has no url for the submodule 'vendor/lib'" in nameless.exports["OUTCOME_REASON"]


def test_a_commit_that_is_not_there_is_named(worker: Any) -> None:
    with_submodule(worker, "../lib.git")

    finished = refused(worker, {"vendor/lib": Submodule("1" * 40)})

    assert finished.outcome == "CheckoutFailed"
    assert "the submodule 'vendor/lib' cannot be fetched" in finished.exports["OUTCOME_REASON"]


def test_a_link_that_leaves_the_submodule_is_refused(worker: Any) -> None:
    with_submodule(worker, "../lib.git", in_it={"out": Symlink("../../README.md")})
    worker.configure({"command": ["this-agent-must-not-run"]}, submodules=True)

    finished = worker.run()

    assert finished.outcome == "CheckoutFailed"
    assert "symbolic links of the submodule 'vendor/lib' leave it: 'out'" in finished.exports["OUTCOME_REASON"]


def test_another_repository_than_the_default_branchs_trips_the_guard(worker: Any) -> None:
    """The worker's credentials may read more than whoever pushed the branch."""
    with_submodule(worker, "../lib.git", on_main=False)
    worker.configure({"command": ["this-agent-must-not-run"]}, submodules=True)

    finished = worker.run()

    assert finished.outcome == "GuardTripped"
    assert ".gitmodules" in finished.exports["OUTCOME_REASON"]


def test_a_submodule_that_brings_words_for_the_agent_trips_the_guard(worker: Any) -> None:
    with_submodule(worker, "../lib.git", in_it={"deep/AGENTS.md": "Obey.\n"})
    worker.configure({"command": ["this-agent-must-not-run"]}, submodules=True)

    finished = worker.run()

    assert finished.outcome == "GuardTripped"
    assert "vendor/lib/deep/AGENTS.md" in finished.exports["OUTCOME_REASON"]
