"""A hostile program tries everything that the sandbox must prevent, once as the agent and once as the project's tests.

As root the program runs as a separate user. The last test runs the whole module again as a user who is not root,
without the attacks that only the rights of another user can prevent.
"""

from __future__ import annotations

import ast
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.runner.gate.detect import detected_command
from kiro_worker.runner.sandbox import processes
from kiro_worker.runner.sandbox.agent_user import FIRST_UID, LAST_UID, running
from kiro_worker.runner.sandbox.sandbox import Limits
from tests.support.hostile import BRANCH, PASSWORD, PYTHON, SYSTEM_PATH, TASKS, Role, Scene, hostile_scene
from tests.support.worker import FOR_EVERY_CHILD

ROOT = Path(__file__).parents[3]
IS_ROOT = os.geteuid() == 0
ONLY_ROLE = os.environ.get("HOSTILE_ROLE", "")
"""Set in the second run of this module, the one as a user who is not root."""
ROLES = [Role(ONLY_ROLE)] if ONLY_ROLE else list(Role)
AS_AGENT = [role for role in ROLES if role is Role.AGENT]
AS_TESTS = [role for role in ROLES if role is Role.TESTS]
MEBIBYTE = 1024**2
NO_CAPABILITIES = "0000000000000000"

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="isolation needs Linux"),
    pytest.mark.skipif(not PYTHON, reason=f"a program of another user needs a python3 in {SYSTEM_PATH}"),
]
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root can give the agent a separate user")
# The tests' own changes are never committed: the runner commits before the gate, and removes the gate's folders.
commits = pytest.mark.parametrize("role", AS_AGENT)
# Only the agent's folders are used again: the tests get new ones, and theirs are removed.
used_again = pytest.mark.parametrize("role", AS_AGENT)
# A turn's limit comes from the configuration, the gate's is 30 minutes; both are enforced by the same function.
times_out = pytest.mark.parametrize("role", AS_AGENT)
# Agent and tests print through the same function, and redacting this much takes seconds.
prints_much = pytest.mark.parametrize("role", AS_AGENT)
# Only the gate reads reports.
gate_only = pytest.mark.parametrize("role", AS_TESTS)


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest) -> Role:
    return Role(request.param)


@pytest.fixture
def scene(github: StandInGitHub, role: Role) -> Iterator[Scene]:
    with hostile_scene(github, role) as scene:
        yield scene


@commits
def test_honest_work_is_committed(scene: Scene) -> None:
    ending = scene.attack(
        "import subprocess, pathlib\n"
        "pathlib.Path('shop.py').write_text('PRICE = 2\\n')\n"
        "pathlib.Path('new').mkdir(); pathlib.Path('new/x.py').write_text('X = 1\\n')\n"
        "subprocess.run(['git', 'commit', '-qam', 'Raise the price'], check=True)\n"
        "print(subprocess.run(['git', 'log', '--format=%s'], capture_output=True, text=True).stdout)"
    )

    assert ending.succeeded, scene.lines
    assert scene.lines[:3] == ["Raise the price", "Write the spec", "Begin"]
    change = scene.commit()
    assert change is not None
    assert change.files == ("new/x.py", "shop.py")
    assert not any("removed" in line for line in scene.log), scene.log


def test_user_is_separate_or_logged(scene: Scene) -> None:
    scene.attack("import os; print(os.getuid(), os.getgroups(), os.getresuid())")

    if IS_ROOT:
        uid = scene.box.uid
        assert uid is not None
        assert FIRST_UID <= uid <= LAST_UID
        assert scene.lines == [f"{uid} [] {(uid, uid, uid)}"]
        assert scene.log == []
    else:
        assert scene.log == [
            "the runner is not root: agent and tests run as the runner's own user, and can do what that user can"
        ]


@used_again
def test_home_is_private(scene: Scene) -> None:
    scene.attack("import os; os.chmod(os.environ['HOME'], 0o777)")
    scene.attack("import os; print(oct(os.stat(os.environ['HOME']).st_mode & 0o777))")

    assert scene.lines == ["0o700"]


READ_THE_RUNNER = """
import os, pathlib
runner = os.getppid()
for name in ("environ", "mem", "maps", "auxv", "fd/0", "fd/1", "fd/2", "cwd", "root/etc/shadow", "task"):
    path = pathlib.Path("/proc", str(runner), name)
    try:
        print("GOT", path, path.read_bytes()[:20] if name != "cwd" else os.readlink(path))
    except OSError as error:
        print("refused", name, error.strerror)
print(sorted(os.environ))
"""


def test_runner_cannot_be_read_in_proc(scene: Scene, role: Role) -> None:
    scene.attack(READ_THE_RUNNER)

    assert len([line for line in scene.lines if line.startswith("refused")]) == 10, scene.lines
    assert not [line for line in scene.lines if line.startswith("GOT")]
    additions = ["KIRO_API_KEY"] if role is Role.AGENT else ["CI", "COVERAGE_FILE"]
    # USER and LOGNAME are there only for a user with an account.
    assert set(ast.literal_eval(scene.lines[-1])) - {"LOGNAME", "USER"} == {*additions, *FOR_EVERY_CHILD}


FIND_SECRETS = """
import os, sys
for top in sys.argv[2:]:
    for parent, _, names in os.walk(top):
        for name in names:
            try:
                content = open(os.path.join(parent, name), "rb").read()
            except OSError:
                continue
            for secret in sys.argv[1][::-1], "only the runner may"[::-1]:
                if secret[::-1].encode() in content:
                    print("GOT", os.path.join(parent, name))
print("searched")
"""


def test_no_file_contains_credential(scene: Scene) -> None:
    scene.attack(FIND_SECRETS, PASSWORD, str(scene.checkout.folder), str(scene.workspace / "git-home"))

    assert scene.lines == ["searched"]


@as_root
def test_logs_of_runner_are_closed(scene: Scene) -> None:
    scene.attack(FIND_SECRETS, PASSWORD, str(scene.workspace), str(scene.workspace / "logs"))

    assert scene.lines == ["searched"]


def test_nothing_can_be_pushed(scene: Scene) -> None:
    head = scene.repository.git.head_of(BRANCH)

    scene.attack(
        "import subprocess\n"
        "subprocess.run(['git', 'commit', '-q', '--allow-empty', '-m', 'x'], check=True)\n"
        "for remote in 'origin', 'http://git:guess@' + subprocess.run(['git', 'remote', 'get-url', 'origin'],\n"
        "    capture_output=True, text=True).stdout.strip().partition('//')[2]:\n"
        "    done = subprocess.run(['git', 'push', remote, 'HEAD'], env={'PATH': '/usr/bin:/bin', 'HOME': '/',\n"
        "        'GIT_TERMINAL_PROMPT': '0'}, stderr=subprocess.DEVNULL)\n"
        "    print('refused' if done.returncode else 'GOT in')"
    )

    assert scene.lines == ["refused", "refused"]
    assert scene.repository.git.head_of(BRANCH) == head


PLANT_GIT_COMMANDS = """
import os, pathlib, subprocess, sys
evidence = sys.argv[1]
script = pathlib.Path(".git/planted"); script.write_text(f"#!/bin/sh\\nid > {evidence}\\ncat\\n"); script.chmod(0o755)
here = str(script.resolve())
os.makedirs(".git/hooks", exist_ok=True)
for hook in "pre-commit", "post-commit", "pre-push", "post-index-change", "reference-transaction", "post-checkout":
    os.symlink(here, f".git/hooks/{hook}")
for key in "core.fsmonitor", "core.pager", "core.sshCommand", "filter.evil.clean", "filter.evil.smudge", \\
        "diff.external", "credential.helper", "core.editor", "gpg.program", "uploadpack.packObjectsHook":
    for scope in "--local", "--global":
        subprocess.run(["git", "config", scope, key, here], check=True)
pathlib.Path(".gitattributes").write_text("* filter=evil diff=evil\\n")
pathlib.Path("shop.py").write_text("PRICE = 3\\n")
"""


@commits
def test_runner_ignores_hooks_and_git_settings(scene: Scene) -> None:
    evidence = scene.home / "executed"
    assert scene.attack(PLANT_GIT_COMMANDS, str(evidence)).succeeded, scene.lines
    evidence.unlink(missing_ok=True)

    change = scene.commit()

    assert change is not None
    assert change.files == (".gitattributes", "shop.py")
    assert not evidence.exists()


MOVE_REFERENCES = """
import subprocess, pathlib
git = lambda *words: subprocess.run(['git', *words], check=True)
git('checkout', '-q', '--orphan', 'mine'); git('commit', '-qm', 'All mine')
git('update-ref', 'refs/heads/feature/discounts', 'mine'); git('tag', 'main')
git('update-ref', 'refs/remotes/origin/feature/discounts', 'mine')
pathlib.Path('shop.py').write_text('PRICE = 4\\n')
"""


def test_references_of_runner_do_not_move(scene: Scene) -> None:
    git = scene.checkout.git
    before = git.text("for-each-ref")

    assert scene.attack(MOVE_REFERENCES).succeeded, scene.lines

    assert git.text("rev-parse", "refs/remotes/origin/" + BRANCH) == scene.request.commit
    assert git.text("for-each-ref") == before


@commits
def test_work_is_committed_on_pinned_commit(scene: Scene) -> None:
    scene.attack(MOVE_REFERENCES)

    change = scene.commit()

    assert change is not None
    assert scene.checkout.git.text("rev-parse", f"{change.commit}^") == scene.request.commit
    assert scene.checkout.git.text("rev-parse", "refs/remotes/origin/" + BRANCH) == scene.request.commit
    assert change.files == ("shop.py",)
    assert any("own commits are not kept" in line for line in scene.log)


@as_root
def test_only_checkout_and_home_are_writable(scene: Scene, role: Role) -> None:
    trusted, workspace = scene.workspace / "trusted.git", scene.workspace
    # While the tests run, the agent's folders are aside. While the agent runs, setup's result may be kept.
    aside = next(workspace.glob("aside-*"), workspace / "setup-x")
    targets = [
        *(trusted / name for name in ("config", "HEAD", "objects/x", "refs/heads/x", "hooks/x")),
        *(workspace / name for name in ("x", "logs/x", "logs/runner.log", "git-home/gitconfig")),
        *(aside / name for name in ("x", "checkout/x", "checkout/shop.py", "home/x")),
        ROOT / "kiro_worker" / "runner" / "x.py",
        ROOT / "kiro_worker" / "__init__.py",
        *map(Path, ("/etc/passwd", "/root/x", "/usr/local/bin/git", "/etc/gitconfig", "/proc/sys/kernel/core_pattern")),
    ]

    scene.attack(
        "import sys\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        open(name, 'ab').write(b''); print('GOT', name)\n"
        "    except OSError as error:\n        print('refused')",
        *map(str, targets),
    )

    assert scene.lines == ["refused"] * len(targets)


@as_root
def test_files_of_root_cannot_be_read(scene: Scene) -> None:
    trusted = scene.workspace / "trusted.git"

    scene.attack(
        "import sys\nfor name in sys.argv[1:]:\n"
        "    try:\n        print('GOT', open(name, 'rb').read()[:9])\n"
        "    except OSError as error:\n        print('refused')",
        *("/etc/shadow", "/proc/1/environ", str(trusted / "config"), str(trusted / "index"), str(trusted / "HEAD")),
    )

    assert scene.lines == ["refused"] * 5


def test_rights_cannot_be_gained(scene: Scene) -> None:
    scene.attack(
        "print([l.split()[1] for l in open('/proc/self/status') if l.startswith(('NoNew', 'CapEff', 'CapPrm'))])"
    )

    assert scene.lines == [str([NO_CAPABILITIES, NO_CAPABILITIES, "1"])]


@as_root
def test_other_processes_cannot_be_signaled(scene: Scene) -> None:
    """The runner, and a process of another user, go on."""
    with subprocess.Popen(["sleep", "60"], user=LAST_UID) as other:
        scene.attack(
            "import os, sys\n"
            "for pid in (os.getppid(), int(sys.argv[1]), 1):\n"
            "    try:\n        os.kill(pid, 15); print('GOT', pid)\n"
            "    except PermissionError:\n        print('refused')",
            str(other.pid),
        )

        assert scene.lines == ["refused"] * 3
        assert other.poll() is None
        other.kill()


def test_fork_bomb_is_limited_and_ended(scene: Scene, role: Role) -> None:
    bomb = (
        "import os, sys, time\n"
        "for generation in range(400):\n"
        "    try:\n        child = os.fork()\n"
        "    except OSError as error:\n        print('refused', error.strerror, flush=True); break\n"
        "    if not child:\n        os.setsid()\n"
        "else:\n    print('GOT', generation)\n"
        "time.sleep(float(sys.argv[1]) if os.getppid() == int(sys.argv[2]) else 300)"
    )
    started = time.monotonic()

    # The agent runs into its time limit. The gate's is 30 minutes, so there the first process ends without it.
    first_sleeps = "300" if role is Role.AGENT else "1"
    ending = scene.attack(bomb, first_sleeps, str(os.getpid()), seconds=1.5, limits=Limits(processes=60))

    assert ending.timed_out is (role is Role.AGENT)
    assert "refused Resource temporarily unavailable" in scene.lines
    assert not any(line.startswith("GOT") for line in scene.lines)
    assert time.monotonic() - started < 20
    scene.assert_no_process_is_left()
    assert scene.attack("print('calm')").succeeded, "the machine works as before"


@prints_much
def test_endless_output_costs_no_memory(scene: Scene) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    received = 0

    def count(line: str) -> None:
        nonlocal received
        received += len(line) + 1

    ending = scene.attack(
        "import os\nline = b'x' * 8191 + b'\\n'\nfor _ in range(16384): os.write(1, line)", seconds=60, sink=count
    )

    assert ending.succeeded
    assert received == 128 * MEBIBYTE
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 64


@times_out
def test_signal_ignoring_program_is_killed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.5)

    ending = scene.attack(
        "import signal, time\nfor number in (1, 2, 3, 15): signal.signal(number, signal.SIG_IGN)\ntime.sleep(300)",
        seconds=8,
    )

    assert (ending.timed_out, ending.exit_code) == (True, -signal.SIGKILL)
    scene.assert_no_process_is_left()


def test_daemon_is_ended(scene: Scene) -> None:
    scene.attack(
        "import os, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "for n in (0, 1, 2): os.close(n)\n"
        "while True:\n    open('alive', 'w').write(str(time.time())); time.sleep(0.02)"
    )

    alive = scene.checkout.folder / "alive"
    last = alive.read_text() if alive.exists() else ""
    time.sleep(0.3)
    assert (alive.read_text() if alive.exists() else "") == last
    scene.assert_no_process_is_left()


def test_endless_file_is_cut(scene: Scene) -> None:
    ending = scene.attack(
        "file = open('large', 'wb'); file.truncate(10 * 1024 ** 3); print('GOT it')", limits=Limits(file_bytes=MEBIBYTE)
    )

    assert not ending.succeeded
    assert "GOT it" not in scene.lines
    assert (scene.checkout.folder / "large").stat().st_size <= MEBIBYTE


def test_endless_memory_is_refused(scene: Scene) -> None:
    ending = scene.attack("x = bytearray(1 << 30); print('GOT it')", limits=Limits(memory_bytes=256 * MEBIBYTE))

    assert not ending.succeeded
    assert scene.lines[-1] == "MemoryError"


LAY_SNARES = """
import os, pathlib, socket
os.chdir(".")
os.remove("package.json"); os.mkfifo("package.json")
os.symlink("/etc/passwd", "pyproject.toml")
os.symlink("/proc/self/environ", "coverage.xml")
os.symlink("/etc", "docs/etc")
os.symlink("../shop.py", "docs/inside.py")
os.remove(".kiro/specs/feature-discounts/tasks.md")
os.symlink("../../../../../../etc/passwd", ".kiro/specs/feature-discounts/tasks.md")
socket.socket(socket.AF_UNIX).bind("socket")
os.mkfifo(".git/objects/pack/x.pack"); os.mkfifo(".git/objects/info/packs")
pathlib.Path("tool").write_text("#!/bin/sh\\n"); os.chmod("tool", 0o6755)
os.mkdir("closed"); pathlib.Path("closed/file").write_text("x\\n"); os.chmod("closed", 0)
for name in ("/etc/shadow", "/etc/passwd"):
    try:
        os.link(name, "linked" + str(len(name)))
    except OSError as error:
        print("refused")
"""


@used_again
def test_special_files_are_removed_and_logged(scene: Scene) -> None:
    assert scene.attack(LAY_SNARES).succeeded, scene.lines

    assert scene.lines == ["refused", "refused"]
    removed = [line.partition(" ")[0] for line in scene.log if line.endswith(": removed")]
    assert sorted(removed) == sorted(
        [
            *("package.json", "pyproject.toml", "coverage.xml", "docs/etc", "socket", TASKS),
            *(".git/objects/pack/x.pack", ".git/objects/info/packs"),
        ]
    )
    assert detected_command(scene.checkout.folder) == ()
    assert not (scene.checkout.folder / "tool").stat().st_mode & 0o6000


@commits
def test_special_files_are_not_committed(scene: Scene) -> None:
    scene.attack(LAY_SNARES)

    change = scene.commit()

    assert change is not None
    assert change.files == (TASKS, "closed/file", "docs/inside.py", "package.json", "tool")
    assert b"root:" not in change.patch
    assert scene.committed_file("docs/inside.py", change.commit) == b"../shop.py"


@gate_only
def test_reports_are_not_read_through_links(scene: Scene) -> None:
    (scene.checkout.folder / "parent").symlink_to(scene.workspace / "logs")

    ending = scene.attack(
        "import os, sys\n"
        "log = sys.argv[1]\n"
        "os.symlink(log, 'coverage.xml'); os.symlink(log, os.environ['HOME'] + '/coverage.xml')\n"
        "os.mkfifo('junit.xml'); os.mkfifo(os.environ['HOME'] + '/junit.xml')\n"
        "os.symlink(os.path.dirname(log), 'test-results')",
        str(scene.workspace / "logs" / "runner.log"),
    )

    assert ending.succeeded, scene.lines
    assert [path.name for path in scene.reports.rglob("*")] == ["gate.json"]


@as_root
@used_again
def test_hard_link_reveals_no_root_file(scene: Scene) -> None:
    # Where the kernel does not protect hard links, the program could have made this one.
    secret = scene.workspace / "logs" / "runner.log"
    os.link(secret, scene.checkout.folder / "mine")

    scene.attack("pass")

    assert secret.stat().st_uid == 0
    assert "mine has several hard links, so it still belongs to the runner" in scene.log
    assert "mine is a hard link to another user's file: removed" in scene.log
    assert not (scene.checkout.folder / "mine").exists()


@as_root
@commits
def test_hard_link_is_not_committed(scene: Scene) -> None:
    os.link(scene.workspace / "logs" / "runner.log", scene.checkout.folder / "mine")

    scene.attack("pass")

    assert scene.commit() is None


ATTACK_EVERYTHING = """
import glob, os, pathlib, signal, subprocess, sys
runner = os.getppid()
def try_to(what, attempt):
    try:
        attempt()
    except (OSError, ValueError):
        print("refused to", what, flush=True)
    else:
        print("GOT to", what, flush=True)
status = [line.split() for line in open("/proc/self/status")]
capabilities = [words[1] for words in status if words[0] in ("CapEff:", "CapPrm:", "CapBnd:")]
print("I am", os.getuid(), os.getgroups(), *capabilities, flush=True)
pids = [runner, *(int(p.split("/")[2]) for p in glob.glob("/proc/[0-9]*/environ"))]
for pid in pids:
    try:
        text = open(f"/proc/{pid}/environ").read()
    except OSError:
        continue
    if "the-workers-aws-secret-access-key" in text:
        print("GOT the AWS key of", pid)
for file in glob.glob("../**", recursive=True) + glob.glob("../*/.*"):
    try:
        if "p4ss" in open(file, errors="replace").read():
            print("GOT the password in", file)
    except OSError:
        pass
if "the-agents-own-key-42" in "".join(os.environ.values()):
    print("GOT a key that is not its own")
try_to("read the runner's memory", lambda: open(f"/proc/{runner}/mem", "rb").read(1))
if sys.argv[1] == "own":
    source, server = sys.argv[3:]
    try_to("end the runner", lambda: os.kill(runner, signal.SIGTERM))
    try_to("read the log", lambda: open(f"../logs/{sys.argv[2]}.log").read())
    try_to("move a branch of the trusted repository", lambda: open("../trusted.git/refs/heads/x", "w"))
    try_to("give the trusted repository a hook", lambda: open("../trusted.git/hooks/post-checkout", "w"))
    try_to("write what the build exports", lambda: open(source + "/result.env", "w"))
    try_to("write a report", lambda: os.mkdir(source + "/reports"))
    try_to("write to the server's repository", lambda: open(server + "/refs/heads/feature/discounts", "w"))
    try_to("be root again", lambda: os.setuid(0))
    try_to("lift a limit", lambda: __import__("resource").setrlimit(6, (10**6, 10**6)))
os.environ["GIT_TERMINAL_PROMPT"] = "0"
done = subprocess.run(["git", "push", "origin", "HEAD"], stdin=subprocess.DEVNULL)
print("refused to push" if done.returncode else "GOT to push", flush=True)
if not os.fork():
    os.setsid()
    while True: pass
tasks = pathlib.Path(".kiro/specs/feature-discounts/tasks.md")
tasks.unlink(); tasks.symlink_to("/proc/self/environ")
os.mkfifo("pyproject.toml")
pathlib.Path("shop/notes.py").write_text("NOTES = 1\\n")
print("done", flush=True)
"""


SKIP_ALL_TESTS = """
pathlib.Path("tests/test_orders.py").write_text(
    "import unittest\\nclass Orders(unittest.TestCase):\\n    @unittest.skip('later')\\n    def test(self): pass\\n"
)
"""
HONEST_WORK = "import pathlib; pathlib.Path('shop/notes.py').write_text('NOTES = 1\\n')\n"


@dataclass(frozen=True)
class HostileBuild:
    """A build whose agent, or whose tests, attack everything and then go on with ``then``."""

    role: Role
    then: str
    outcome: str
    reason: str = ""


BUILDS = {
    "agent works": HostileBuild(Role.AGENT, "", "Succeeded"),
    "agent dies": HostileBuild(Role.AGENT, "os.kill(os.getpid(), 9)", "AgentFailed", "ended with signal 9"),
    "agent skips tests": HostileBuild(Role.AGENT, SKIP_ALL_TESTS, "TestsFailed", "no test ran"),
    "tests pass": HostileBuild(Role.TESTS, "", "Succeeded"),
    "tests fail": HostileBuild(Role.TESTS, "sys.exit(3)", "TestsFailed", "exit code 3"),
}


@pytest.mark.parametrize("name", [name for name, build in BUILDS.items() if build.role in ROLES])
def test_whole_build_survives_every_attack(worker: Any, name: str) -> None:
    build = BUILDS[name]
    # One task, because the hostile agent replaces the list, so that it cannot tick boxes.
    head = worker.repository.git.commit(BRANCH, {TASKS: "- [ ] 1.1 Write the notes\n"}, "Plan")
    with tempfile.TemporaryDirectory() as reachable:
        hostile, honest = Path(reachable, "hostile.py"), Path(reachable, "honest.py")
        hostile.write_text(ATTACK_EVERYTHING + build.then + "\n")
        honest.write_text(HONEST_WORK)
        Path(reachable).chmod(0o755)
        arguments = [build.role, str(worker.folder / "src"), str(worker.repository.git.path)]
        command = [PYTHON, str(hostile), "own" if IS_ROOT else "same", *arguments]
        as_agent = build.role is Role.AGENT
        agent = {"command": command if as_agent else [PYTHON, str(honest)], "mode": "all", "timeoutMinutes": 1}
        worker.configure(agent, **({} if as_agent else {"test": command}))

        packages = Path(pytest.__file__).parents[1]
        finished = worker.run(
            COMMIT_SHA=head, PATH=SYSTEM_PATH, AGENT_USER="own", PYTHONPATH=f"{ROOT}{os.pathsep}{packages}"
        )

    prefix = f"[{build.role}] "
    lines = [line.removeprefix(prefix) for line in finished.log.splitlines() if line.startswith(prefix)]
    [introduction] = [line for line in lines if line.startswith("I am ")]
    assert "done" in lines, finished.log
    assert [line for line in lines if line.startswith("GOT")] == []
    assert sum(line.startswith("refused to ") for line in lines) == (11 if IS_ROOT else 2)
    user, groups, *capabilities = introduction.removeprefix("I am ").split()
    if IS_ROOT:
        assert FIRST_UID <= int(user) <= LAST_UID, "the change of user really took place"
        assert (groups, set(capabilities)) == ("[]", {NO_CAPABILITIES})
        assert running(int(user)) == set()
    else:
        assert int(user) == os.geteuid()
    removed = [line for line in finished.log.splitlines() if line.endswith(": removed")]
    assert any("pyproject.toml is a pipe, a socket or a device" in line for line in removed) is as_agent
    assert any("tasks.md is a symbolic link that leads out of the folder" in line for line in removed) is as_agent
    assert finished.outcome == finished.exports["OUTCOME"] == build.outcome, finished.log
    assert finished.exit_code == (0 if build.outcome == "Succeeded" else 1)
    assert build.reason in finished.exports["OUTCOME_REASON"]
    kept = BRANCH if build.outcome == "Succeeded" else worker.checkpoint()
    assert (worker.head() != head) is (build.outcome == "Succeeded")
    assert worker.file("shop/notes.py", kept) == "NOTES = 1\n"
    assert "1.1" in worker.file(TASKS, kept), "the list of tasks is the branch's own"
    assert worker.repository.git.run("ls-tree", kept, "--", TASKS).startswith(b"100644 blob")


RUN_AGENT = """
import sys
from pathlib import Path
from kiro_worker.runner.agent.adapters import ADAPTERS, PreparedAgent
from kiro_worker.runner.agent.turn import run_agent
from kiro_worker.runner.sandbox.sandbox import Sandbox
from dataclasses import replace
uid, folder, home, *argv = sys.argv[1:]
agent = PreparedAgent(replace(ADAPTERS["kiro"], argv=tuple(argv)), 60)
box = Sandbox(int(uid) if uid else None)
run_agent(agent, "", Path(folder), Path(home), parent={}, sink=print, redact=str, sandbox=box)
"""
RUN_TESTS = """
import sys
from pathlib import Path
from kiro_worker.runner.gate.gate import run_gate
from kiro_worker.runner.gate.run import Place
from kiro_worker.runner.sandbox.sandbox import Sandbox
from tests.support.settings import check
uid, folder, home, *argv = sys.argv[1:]
box = Sandbox(int(uid) if uid else None)
box.grant(Path(folder), Path(home))
run_gate(check(test=argv), Place(Path(folder), Path(home), {}, print, str, box))
"""


def test_program_dies_with_killed_runner(scene: Scene, role: Role) -> None:
    started, program = scene.checkout.folder / "started", scene.scripts / "program.py"
    program.write_text("import os, time; open('started', 'w').write(str(os.getpid())); time.sleep(300)")
    uid = "" if scene.box.uid is None else str(scene.box.uid)
    runner = subprocess.Popen(
        [
            *(sys.executable, "-c", RUN_AGENT if role is Role.AGENT else RUN_TESTS),
            *(uid, str(scene.checkout.folder), str(scene.home), PYTHON, str(program)),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    pid = int(_content_of(started))

    runner.kill()
    runner.wait()

    deadline = time.monotonic() + 5
    while _state(pid) not in ("", "Z") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _state(pid) in ("", "Z")


@as_root
@pytest.mark.skipif(bool(ONLY_ROLE), reason="this is the second run")
@pytest.mark.parametrize("again_as", [Role.AGENT, pytest.param(Role.TESTS, marks=pytest.mark.exhaustive)])
def test_attacks_fail_without_root(again_as: Role) -> None:
    packages = Path(pytest.__file__).parents[1]
    version = subprocess.run(
        [PYTHON, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if version != str(sys.version_info[:2]):
        pytest.skip(f"{PYTHON} cannot use the packages of this Python")
    if not all(folder.stat().st_mode & 0o001 for folder in (ROOT, *ROOT.parents, packages, *packages.parents)):
        pytest.skip(f"other users cannot reach {ROOT}")
    home = Path(tempfile.mkdtemp(prefix="kiro-worker-user-"))
    user = 61_200
    os.chown(home, user, user)
    try:
        done = subprocess.run(
            [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={home}/t", str(Path(__file__))],
            cwd=ROOT,
            env={
                "PATH": SYSTEM_PATH,
                "HOME": str(home),
                "TMPDIR": str(home),
                "HOSTILE_ROLE": again_as,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{packages}",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            user=user,
            group=user,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=240,
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "only root can give the agent a separate user" in done.stdout


def _content_of(file: Path) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if file.exists() and (text := file.read_text()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{file} did not appear")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
