"""Setup: what it installs for the agent and the gate, and what no agent can change in it."""

from __future__ import annotations

import shutil
import sys
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import pytest

from kiro_worker.errors import BuildStopped
from kiro_worker.runner.gate import setup as gate_setup
from kiro_worker.runner.sandbox.folders import Folders
from kiro_worker.runner.sandbox.sandbox import Sandbox
from tests.support.builder import Builder, as_root, needs_linux, printed
from tests.support.hostile import PYTHON
from tests.support.settings import check
from tests.support.worker import BRANCH, Worker

WORK = "pathlib.Path('shop/notes.py').write_text('NOTES = 1\\n')\n"
RAN = "echo Ran 1 test in 0s"

pytestmark = needs_linux


def test_without_setup_nothing_runs(worker: Worker) -> None:
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "── set up" not in finished.log
    assert not (worker.folder / "src" / "setup.log").exists()


def test_gate_gets_what_setup_installed_not_what_agent_changed(builder: Builder) -> None:
    """A virtual environment with an editable install, which remembers the path of the checkout."""
    install = (
        f"{PYTHON} -m venv --without-pip .venv\n"
        "site=$(echo .venv/lib/python3*/site-packages)\n"
        'pwd > "$site/shop.pth"\n'
        'echo "VALUE = 1" > "$site/library.py"\n'
        'ln "$site/library.py" "$HOME/cache"; ln -s /etc/hostname "$site/link"\n'
        'touch -d 2020-01-01Z "$site/library.py"\n'
        "mkdir -p env; ln -s /usr/bin/env env/leads-out; echo rewritten > README.md\n"
        'echo left > "$TMPDIR/left"; echo "set up by $(id -u)"\n'
    )
    check = (
        "import library, os, shop, pathlib, sys\n"
        "site, home = pathlib.Path(library.__file__), pathlib.Path(os.environ['HOME'])\n"
        "print('library', library.VALUE, int(site.stat().st_mtime), site.stat().st_nlink, flush=True)\n"
        "print('link', os.readlink(site.with_name('link')), os.readlink('../env/leads-out'), flush=True)\n"
        "print('shop', pathlib.Path(shop.__file__).parent == pathlib.Path('..', 'shop').resolve(), flush=True)\n"
        "print('home', sorted(path.name for path in home.iterdir()), flush=True)\n"
        "print('README', pathlib.Path('../README.md').read_text().split()[0], flush=True)\n"
        "print('temporary', os.listdir(os.environ['TMPDIR']), flush=True)\n"
        "print('user', os.getuid(), flush=True)\n"
    )
    look = builder.worker.folder / "look.py"
    look.write_text(check)
    run = f"cd tests && ../.venv/bin/python {look} && {RAN}"

    finished = builder.build(
        WORK + f"subprocess.run(['sh', '-c', {run!r}], check=True)\n"
        "[library] = pathlib.Path('.venv/lib').glob('python*/site-packages/library.py')\n"
        "library.write_text('VALUE = 2\\n'); library.with_name('shop.pth').unlink()\n"
        "pathlib.Path('env/more').touch()\n"
        "subprocess.run(['.venv/bin/python', '-c', 'import library; print(library.VALUE)'])\n",
        setup=install,
        test=["sh", "-c", run],
    )

    assert finished.outcome == "Succeeded", finished.log
    agent, tests = printed(finished, "[agent] "), printed(finished, "[tests] ")[1:]
    same = ["library 1 1577836800 2", "link /etc/hostname /usr/bin/env", "shop True"]
    assert tests[:3] == same
    assert agent[:3] == [same[0].replace(" 2", " 1"), *same[1:]], "of setup's home, the agent gets only some folders"
    assert "2" in agent, "the agent could change its own copy"
    assert tests[3] == "home ['cache']"
    assert tests[4] == "README #", "the commit's files win"
    assert tests[5] == "temporary []"
    assert f"set up by {tests[6].removeprefix('user ')}" in printed(finished, "[setup] ")
    assert "set up by" in builder.worker.artifact("setup.log")
    names = builder.worker.repository.git.run("diff", "--name-only", builder.worker.commit, BRANCH).decode().split()
    work = [".kiro/specs/feature-discounts/tasks.md", "env/more", "shop/notes.py"]
    assert names == work, "what setup made is not committed"
    assert "env/leads-out is a symbolic link" not in finished.log


@pytest.mark.skipif(find_spec("setuptools") is None, reason="this Python has no setuptools")
def test_editable_install_of_setuptools(worker: Worker) -> None:
    project = "from setuptools import setup\nsetup(name='shop', version='1', packages=['shop'])\n"
    worker.commit = worker.repository.git.commit(BRANCH, {"setup.py": project}, "Add the project")
    run = f"cd / && \"$OLDPWD/.venv/bin/python\" -c 'import shop.notes; print(shop.notes.NOTES)' && {RAN}"

    finished = Builder(worker, has_own_users=False).build(
        WORK,
        # As `pip install -e .` did it before it needed wheel, which this Python may lack.
        setup=f"{sys.executable} -m venv --without-pip --system-site-packages .venv\n"
        ".venv/bin/python -W ignore setup.py -q develop --no-deps\n",
        test=["sh", "-c", run],
    )

    assert finished.outcome == "Succeeded", finished.log
    assert printed(finished, "[tests] ")[1] == "1", "the new module of the commit is imported"
    assert not worker.repository.git.run("ls-tree", BRANCH, "--", "shop.egg-info")


@pytest.mark.skipif(shutil.which("npm", path="/usr/bin:/bin:/usr/local/bin") is None, reason="npm is not installed")
def test_npm_workspaces(builder: Builder) -> None:
    files = {
        "package.json": '{"name": "root", "private": true, "workspaces": ["packages/*"]}',
        "packages/util/package.json": '{"name": "@acme/util", "version": "1.0.0", "main": "index.js"}',
        "packages/util/index.js": "module.exports = 'old'\n",
    }
    builder.worker.commit = builder.worker.repository.git.commit(BRANCH, files, "Add workspaces")

    finished = builder.build(
        "pathlib.Path('packages/util/index.js').write_text(\"module.exports = 'new'\\n\")\n"
        "pathlib.Path('node_modules/planted.js').write_text('')\n",
        setup="npm install --offline --no-audit --no-fund",
        test=["sh", "-c", f"node -p 'require(\"@acme/util\")' && ! ls node_modules/planted.js && {RAN}"],
    )

    assert finished.outcome == "Succeeded", finished.log
    assert printed(finished, "[tests] ")[1] == "new", "the link leads to the files of the commit"


BUILD = "mkdir -p dist/shop; cp shop/*.py dist/shop/; cat dist/*/prices.py >> dist/built-once"
"""A setup that copies the sources, as `pip install .`, `npm run build` and code generators do."""
TEST_BUILD = [
    "sh",
    "-c",
    f"cat dist/built-once; cd dist && {PYTHON} -c 'from shop.prices import PRICE; assert PRICE == 1' && {RAN}",
]


def test_gate_tests_no_old_copy_of_code(builder: Builder) -> None:
    builder.worker.commit = builder.worker.repository.git.commit(BRANCH, {"shop/prices.py": "PRICE = 1\n"}, "Add it")

    finished = builder.build(
        "pathlib.Path('shop/prices.py').write_text('PRICE = 2\\n')\n", setup=BUILD, test=TEST_BUILD
    )

    assert finished.outcome == "TestsFailed", finished.log
    assert "setup runs again, because the work changes 'shop/prices.py'" in finished.log


def test_gate_tests_new_copy_of_code(builder: Builder) -> None:
    """The setup for the gate begins without anything that the first one left, or that the agent changed in it."""
    files = {"shop/prices.py": "PRICE = 2\n", ".gitignore": "dist/\n"}
    builder.worker.commit = builder.worker.repository.git.commit(BRANCH, files, "Add it")

    finished = builder.build(
        "print('agent has', pathlib.Path('dist/built-once').read_text())\n"
        "pathlib.Path('shop/prices.py').write_text('PRICE = 1\\n')\n"
        "pathlib.Path('dist/shop/prices.py').write_text('x')\n",
        setup=BUILD,
        test=TEST_BUILD,
    )

    assert finished.outcome == "Succeeded", finished.log
    assert "── setup, run 2" in builder.worker.artifact("setup.log")
    assert printed(finished, "[agent] ")[0] == "agent has PRICE = 2"
    assert printed(finished, "[tests] ")[1] == "PRICE = 1"
    assert [line for line in printed(finished, "[tests] ") if line.startswith("PRICE")] == ["PRICE = 1"]


def test_setup_runs_once_if_only_spec_changes(builder: Builder) -> None:
    """The only open task is a check, so the worker does no more than to tick it."""
    checks = {".kiro/specs/feature-discounts/tasks.md": "- [ ] 1. Ensure all tests pass\n"}
    builder.worker.commit = builder.worker.repository.git.commit(BRANCH, checks, "Ask for a check")

    finished = builder.build("", setup="echo setting up", test=["sh", "-c", RAN])

    assert finished.outcome == "Succeeded", finished.log
    assert printed(finished, "[setup] ").count("setting up") == 1
    assert "setup runs again" not in finished.log


def test_failed_setup_stops_before_agent(builder: Builder) -> None:
    finished = builder.build(WORK, setup=["sh", "-c", "echo no such package; exit 3"])

    assert (finished.exit_code, finished.outcome) == (1, "SetupFailed"), finished.log
    assert finished.exports["OUTCOME_REASON"].startswith("setup ended with exit code 3")
    assert "the agent's work" not in finished.result["reason"]
    assert finished.result["remedy"].startswith('correct "setup" in .kiro-worker.yml')
    assert "no such package" in finished.result["details"]
    assert "no such package" in builder.worker.artifact("setup.log")
    assert printed(finished, "[agent] ") == []
    assert builder.worker.head() == builder.worker.commit
    assert builder.worker.checkpoint() == ""


def test_setup_that_cannot_start_is_named(worker: Worker) -> None:
    worker.configure(setup=["no-such-program"])

    finished = worker.run()

    assert finished.outcome == "SetupFailed", finished.log
    assert "no-such-program of the setup command cannot be started" in finished.exports["OUTCOME_REASON"]
    assert '"setup"' in finished.result["remedy"]


def test_string_stops_at_first_error(worker: Worker) -> None:
    worker.configure(setup="false\ntrue")

    assert worker.run().outcome == "SetupFailed"


def test_setup_that_fails_after_change_can_be_fixed(builder: Builder) -> None:
    """The agent breaks the manifest in the first build, and the fixing turn of the second one repairs it."""
    builder.worker.commit = builder.worker.repository.git.commit(BRANCH, {"requirements.txt": "good\n"}, "Add it")
    code = (
        "bad = pathlib.Path('requirements.txt').read_text() == 'good\\n'\n"
        "pathlib.Path('requirements.txt').write_text('bad\\n' if bad else 'good again\\n')\n" + WORK
    )
    first = builder.build(code, setup="grep good requirements.txt", test=["sh", "-c", RAN])
    assert first.outcome == "SetupFailed", first.log
    broken = "setup ended with exit code 1 on the agent's work, although it succeeded before the agent started"
    assert first.result["reason"] == broken
    assert "one turn to fix" in first.result["remedy"]
    assert builder.worker.file("requirements.txt", builder.worker.checkpoint()) == "bad\n"

    second = builder.again()

    assert second.outcome == "Succeeded", second.log
    assert builder.worker.file("requirements.txt") == "good again\n"


def test_leftovers_of_setup_do_not_reach_agent_or_gate(builder: Builder) -> None:
    """A process that setup leaves running, its pipes, and bytecode of the branch's own sources."""
    setup = (
        "(while :; do echo late > late.txt; sleep 0.01; done) >/dev/null 2>&1 &\n"
        f"mkfifo vendored-pipe; {PYTHON} -m compileall -q shop; mkdir -m 0 closed; mkdir -p only/folders\n"
    )
    look = f"ls -a . shop | grep -e pipe -e __pycache__ -e late; ls -ld closed; {RAN}"

    finished = builder.build(WORK + f"subprocess.run(['sh', '-c', {look!r}])\n", setup=setup, test=["sh", "-c", look])

    assert finished.outcome == "Succeeded", finished.log
    for reader in ("[agent] ", "[tests] "):
        lines = [line for line in printed(finished, reader) if not line.startswith("$ ")]
        assert not [line for line in lines if "pipe" in line or "__pycache__" in line], lines
    assert builder.worker.repository.git.run("ls-tree", BRANCH, "--", "late.txt") == b""


def test_changed_file_of_setup_is_committed(builder: Builder) -> None:
    """Where the agent changes what setup created, its work counts, unless the branch's own .gitignore names it."""
    files = {".gitignore": "ignored/\n"}
    builder.worker.commit = builder.worker.repository.git.commit(BRANCH, files, "Ignore a folder")
    create = "mkdir -p made ignored; for name in made/a made/b made/c ignored/a plain; do echo old > $name; done; "
    look = f"cat made/a made/b made/c made/new plain; ls ignored; git status --porcelain; {RAN}"

    finished = builder.build(
        WORK + "for name in 'made/a', 'made/new', 'ignored/a', 'plain': pathlib.Path(name).write_text('new\\n')\n"
        "pathlib.Path('made/c').chmod(0o755); pathlib.Path('made/link').unlink()\n"
        "pathlib.Path('made/link').symlink_to('/etc/passwd')\n",
        setup=create + "ln -s a made/link",
        test=["sh", "-c", look],
    )

    assert finished.outcome == "Succeeded", finished.log
    git = builder.worker.repository.git
    names = git.run("diff", "--name-only", builder.worker.commit, BRANCH).decode().split()
    assert names[1:] == ["made/a", "made/c", "made/new", "plain", "shop/notes.py"]
    assert printed(finished, "[tests] ")[1:7] == ["new", "old", "old", "new", "new", "a"]
    assert "committed, because the agent changed what setup created: made/a, made/c, made/new, plain" in finished.log
    assert "not committed, because setup created it: the symbolic link made/link" in finished.log


def test_changed_file_of_setup_is_resumed(builder: Builder) -> None:
    """In the second build, setup creates its own file again, before the agent continues from the checkpoint."""
    code = (
        "text = pathlib.Path('plain').read_text(); print('has', text)\n"
        "pathlib.Path('plain').write_text('second\\n' if text == 'first\\n' else 'first\\n')\n" + WORK
    )
    first = builder.build(code, setup="echo old > plain", test=["sh", "-c", f"grep second plain && {RAN}"])
    assert first.outcome == "TestsFailed", first.log

    second = builder.again()

    assert second.outcome == "Succeeded", second.log
    assert "has first" in printed(second, "[agent] ")
    assert builder.worker.file("plain") == "second\n"


TURNS = """
import os, pathlib, sys
sys.stdin.read()
for folder in (pathlib.Path(os.environ["HOME"], ".local", "bin"), pathlib.Path("tool")):
    print("links", sorted(path.name for path in folder.iterdir()), flush=True)
with open("shop/notes.py", "a") as notes:
    notes.write("NOTES = 1\\n")
"""


def test_links_of_setup_survive_every_turn(builder: Builder) -> None:
    agent = builder.worker.agent(TURNS)
    agent["command"] = [PYTHON, *agent["command"][1:]]
    setup = (
        'mkdir -p "$HOME/.local/bin" tool; for bin in "$HOME/.local/bin" tool; do ln -s /usr/bin/env "$bin/run"; done'
    )
    builder.worker.configure(agent, setup=setup, test=["sh", "-c", RAN])

    finished = builder.again()

    assert finished.outcome == "Succeeded", finished.log
    seen = printed(finished, "[agent] ")
    assert len(seen) > 2
    assert set(seen) == {"links ['run']"}


@as_root
def test_caches_reach_gate_unchanged(worker: Worker) -> None:
    """Images name folders for packages that every user may write to, whose contents cannot be trusted."""
    shared = worker.folder / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    go, cargo = '"${GOPATH:-$HOME/go}"', '"${CARGO_HOME:-$HOME/.cargo}"'
    builder = Builder(worker, has_own_users=True, variables={"GOPATH": str(shared), "CARGO_HOME": str(shared)})

    finished = builder.build(
        WORK + f"subprocess.run(['sh', '-c', 'for p in {go} {cargo}; do cat $p/x; echo agent > $p/x; done'])\n",
        setup=f"for p in {go} {cargo}; do mkdir -p $p; echo setup > $p/x; done",
        test=["sh", "-c", f"cat {go}/x {cargo}/x && {RAN}"],
    )

    assert finished.outcome == "Succeeded", finished.log
    assert printed(finished, "[agent] ")[:2] == ["setup", "setup"]
    assert printed(finished, "[tests] ")[1:3] == ["setup", "setup"]


def test_slow_setup_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_setup, "TIMEOUT_MINUTES", 0.005)
    folders = Folders(tmp_path)
    for folder in (folders.checkout, *folders.private):
        folder.mkdir()
    checks = (check(setup=["sleep", "60"]),)
    setup = gate_setup.Setup(checks, {}, lambda: nullcontext(print), str)
    steps = gate_setup.plan_setup(checks, folders.checkout)

    with pytest.raises(BuildStopped, match="did not finish within"):
        setup.run(steps, folders, Sandbox())
