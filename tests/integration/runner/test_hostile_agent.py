"""An agent that is out for harm. As root it runs as a user of its own; the last test runs all of this again as a user
who is not root, where what only another user's rights could prevent is left out.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kiro_worker.models import GitCredentials, Lease
from kiro_worker.runner.gate.detect import detected_command
from kiro_worker.runner.repository.checkout import Checkout, check_out
from kiro_worker.runner.repository.commit import Change, CommitMessage, changes_between, commit_turn, tree_of_files
from kiro_worker.runner.request import BuildRequest
from kiro_worker.runner.sandbox import processes
from kiro_worker.runner.sandbox.processes import Finished, scrubbed_environment, stream
from kiro_worker.runner.sandbox.sandbox import FIRST_UID, LAST_UID, Limits, Sandbox, running, sandbox
from kiro_worker.runner.sandbox.untrusted_files import read_file

ROOT = Path(__file__).parents[3]
BRANCH = "feature/discounts"
PASSWORD = "p4ss/w0rd+of=the&worker"
TASKS = ".kiro/specs/feature-discounts/tasks.md"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
PYTHON = shutil.which("python3", path=SYSTEM_PATH) or ""
IS_ROOT = os.geteuid() == 0
MEBIBYTE = 1024**2

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="isolation is Linux's"),
    pytest.mark.skipif(not PYTHON, reason=f"an agent of another user needs a python3 in {SYSTEM_PATH}"),
]
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root can give the agent a user of its own")


@dataclass
class Scene:
    """``attack`` lets the agent do its worst; ``commit`` does what the worker does then."""

    workspace: Path
    checkout: Checkout
    request: BuildRequest
    box: Sandbox
    repository: Any
    said: list[str]
    lines: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.workspace / "agent-home"

    def attack(self, code: str, *arguments: str, seconds: float = 30, limits: Limits | None = None) -> Finished:
        box = Sandbox(self.box.uid, limits, self.said.append) if limits else self.box
        box.prepare(self.checkout, self.home)
        return stream(
            [PYTHON, "-c", code, *arguments],
            cwd=self.checkout.folder,
            environment=scrubbed_environment(self.home, {"PATH": SYSTEM_PATH}, KIRO_API_KEY="the-agents-own"),
            timeout_seconds=seconds,
            sink=self.lines.append,
            sandbox=box,
        )

    def commit(self) -> Change | None:
        self.box.reclaim(self.checkout.folder, self.home)
        checkout, say = self.checkout, self.said.append
        tree = tree_of_files(checkout, say)
        if tree == checkout.git.text("rev-parse", f"{checkout.commit}^{{tree}}"):
            return None
        commit = commit_turn(checkout, checkout.commit, tree, tree, CommitMessage("Implement", "", ()), say)
        return changes_between(checkout, commit)

    def shown(self, path: str, commit: str) -> bytes:
        return self.checkout.git.run("cat-file", "blob", f"{commit}:{path}")

    def assert_nothing_left(self) -> None:
        if self.box.uid is not None:
            assert running(self.box.uid) == set()


@pytest.fixture
def scene(github: Any) -> Iterator[Scene]:
    repository = github.board.add_repository("acme/shop")
    files = {TASKS: "- [ ] 1. Work\n", "package.json": "{}\n", "shop.py": "PRICE = 1\n", "docs/a.md": "a\n"}
    repository.git.commit("main", {"README.md": "# shop\n"}, "Begin")
    commit = repository.git.commit(BRANCH, files, "Write the spec", base="main")
    lease = Lease("work-item-processor-lock", "arn:aws:states:x:1:execution:w:run-1", 1, expires_at=0)
    request = BuildRequest("acme/shop", BRANCH, commit, TASKS.rpartition("/")[0], 1, lease)
    workspace = Path(tempfile.mkdtemp(prefix="kiro-worker-"))
    parent = {"PATH": SYSTEM_PATH}
    said: list[str] = []
    try:
        (workspace / "logs").mkdir()
        (workspace / "logs" / "worker.log").write_text("what only the worker may read\n")
        with sandbox({**parent, "AGENT_USER": "own"}, workspace, said.append) as box:
            checkout = check_out(request, workspace, github.git_url, GitCredentials("git", PASSWORD), parent)
            yield Scene(workspace, checkout, request, box, repository, said)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def test_it_can_work(scene: Scene) -> None:
    finished = scene.attack(
        "import subprocess, pathlib\n"
        "pathlib.Path('shop.py').write_text('PRICE = 2\\n')\n"
        "pathlib.Path('new').mkdir(); pathlib.Path('new/x.py').write_text('X = 1\\n')\n"
        "subprocess.run(['git', 'commit', '-qam', 'Raise the price'], check=True)\n"
        "print(subprocess.run(['git', 'log', '--format=%s'], capture_output=True, text=True).stdout)"
    )

    assert finished.succeeded, scene.lines
    assert scene.lines[:3] == ["Raise the price", "Write the spec", "Begin"]
    change = scene.commit()
    assert change is not None
    assert change.files == ("new/x.py", "shop.py")
    assert not any("removed" in line for line in scene.said), scene.said


def test_the_user_is_its_own_or_the_log_says_that_it_is_not(scene: Scene) -> None:
    scene.attack("import os; print(os.getuid(), os.getgroups(), os.getresuid())")

    if IS_ROOT:
        uid = scene.box.uid
        assert scene.lines == [f"{uid} [] {(uid, uid, uid)}"]
        assert scene.said == []
    else:
        assert scene.said == [
            "the worker is not root: agent and tests run as the worker's own user, and can do what that user can"
        ]


READ_THE_WORKER = """
import os, pathlib
worker = os.getppid()
for name in ("environ", "mem", "maps", "auxv", "fd/0", "fd/1", "fd/2", "cwd", "root/etc/shadow", "task"):
    path = pathlib.Path("/proc", str(worker), name)
    try:
        print("GOT", path, path.read_bytes()[:20] if name != "cwd" else os.readlink(path))
    except OSError as error:
        print("refused", name, error.strerror)
print(sorted(os.environ))
"""


def test_it_cannot_read_the_worker_in_proc(scene: Scene) -> None:
    scene.attack(READ_THE_WORKER)

    assert len([line for line in scene.lines if line.startswith("refused")]) == 10, scene.lines
    assert not [line for line in scene.lines if line.startswith("GOT")]
    assert scene.lines[-1] == "['HOME', 'KIRO_API_KEY', 'LANG', 'PATH', 'TERM']"


FIND_THE_PASSWORD = """
import os, sys
for top in sys.argv[2:]:
    for parent, _, names in os.walk(top):
        for name in names:
            try:
                content = open(os.path.join(parent, name), "rb").read()
            except OSError:
                continue
            for secret in sys.argv[1][::-1], "what only the worker"[::-1]:
                if secret[::-1].encode() in content:
                    print("GOT", os.path.join(parent, name))
print("searched")
"""


def test_no_credential_is_in_a_file(scene: Scene) -> None:
    scene.attack(FIND_THE_PASSWORD, PASSWORD, str(scene.checkout.folder), str(scene.workspace / "git-home"))

    assert scene.lines == ["searched"]


@as_root
def test_the_workers_logs_are_closed_to_it(scene: Scene) -> None:
    scene.attack(FIND_THE_PASSWORD, PASSWORD, str(scene.workspace), str(scene.workspace / "logs"))

    assert scene.lines == ["searched"]


def test_it_cannot_push(scene: Scene) -> None:
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


SET_TRAPS = """
import os, pathlib, subprocess, sys
trap = sys.argv[1]
script = pathlib.Path(".git/trap"); script.write_text(f"#!/bin/sh\\nid > {trap}\\ncat\\n"); script.chmod(0o755)
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


def test_hooks_and_configuration_of_its_own_have_no_effect_on_the_worker(scene: Scene) -> None:
    trap = scene.home / "sprung"
    finished = scene.attack(SET_TRAPS, str(trap))
    assert finished.succeeded, scene.lines
    trap.unlink(missing_ok=True)

    change = scene.commit()

    assert change is not None
    assert change.files == (".gitattributes", "shop.py")
    assert not trap.exists()


def test_it_cannot_move_what_the_worker_builds_on(scene: Scene) -> None:
    scene.attack(
        "import subprocess, pathlib\n"
        "git = lambda *words: subprocess.run(['git', *words], check=True)\n"
        "git('checkout', '-q', '--orphan', 'mine'); git('commit', '-qm', 'All mine')\n"
        "git('update-ref', 'refs/heads/feature/discounts', 'mine'); git('tag', 'main')\n"
        "git('update-ref', 'refs/remotes/origin/feature/discounts', 'mine')\n"
        "pathlib.Path('shop.py').write_text('PRICE = 4\\n')"
    )

    change = scene.commit()

    assert change is not None
    assert scene.checkout.git.text("rev-parse", f"{change.commit}^") == scene.request.commit
    assert scene.checkout.git.text("rev-parse", "refs/remotes/origin/" + BRANCH) == scene.request.commit
    assert change.files == ("shop.py",)
    assert any("own commits are not kept" in line for line in scene.said)


@as_root
def test_it_cannot_write_outside_its_checkout_and_home(scene: Scene) -> None:
    targets = [
        *(
            scene.workspace / "trusted.git" / name
            for name in ("config", "HEAD", "objects/x", "refs/heads/x", "hooks/x")
        ),
        *(scene.workspace / name for name in ("x", "logs/x", "logs/worker.log", "tests-home/x", "git-home/gitconfig")),
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
def test_it_cannot_read_what_is_roots(scene: Scene) -> None:
    trusted = scene.workspace / "trusted.git"

    scene.attack(
        "import sys\nfor name in sys.argv[1:]:\n"
        "    try:\n        print('GOT', open(name, 'rb').read()[:9])\n"
        "    except OSError as error:\n        print('refused')",
        *("/etc/shadow", "/proc/1/environ", str(trusted / "config"), str(trusted / "index"), str(trusted / "HEAD")),
    )

    assert scene.lines == ["refused"] * 5


def test_it_cannot_gain_rights(scene: Scene) -> None:
    scene.attack(
        "print([l.split()[1] for l in open('/proc/self/status') if l.startswith(('NoNew', 'CapEff', 'CapPrm'))])"
    )

    nothing = "0000000000000000"
    assert scene.lines == [str([nothing, nothing, "1"])]


def test_a_fork_bomb_is_limited_and_ended(scene: Scene) -> None:
    bomb = (
        "import os, time\n"
        "for generation in range(400):\n"
        "    try:\n        child = os.fork()\n"
        "    except OSError as error:\n        print('refused', error.strerror, flush=True); break\n"
        "    if not child:\n        os.setsid()\n"
        "else:\n    print('GOT', generation)\n"
        "time.sleep(300)"
    )
    started = time.monotonic()

    finished = scene.attack(bomb, seconds=1.5, limits=Limits(processes=60))

    assert finished.timed_out
    assert "refused Resource temporarily unavailable" in scene.lines
    assert not any(line.startswith("GOT") for line in scene.lines)
    assert time.monotonic() - started < 20
    scene.assert_nothing_left()
    assert scene.attack("print('calm')").succeeded, "the machine is as it was"


def test_an_output_without_end_costs_no_memory(scene: Scene) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = 0

    def count(line: str) -> None:
        nonlocal kept
        kept += len(line) + 1

    scene.box.prepare(scene.checkout, scene.home)
    finished = stream(
        [PYTHON, "-c", "import os\nline = b'x' * 8191 + b'\\n'\nfor _ in range(25600): os.write(1, line)"],
        cwd=scene.checkout.folder,
        environment={"PATH": SYSTEM_PATH},
        timeout_seconds=60,
        sink=count,
        sandbox=scene.box,
    )

    assert finished.succeeded
    assert kept == 200 * MEBIBYTE
    assert len(finished.lines) == processes.KEPT_LINES
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 100


def test_one_that_ignores_the_signal_is_killed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.5)

    finished = scene.attack(
        "import signal, time\nfor number in (1, 2, 3, 15): signal.signal(number, signal.SIG_IGN)\ntime.sleep(300)",
        seconds=8,
    )

    assert (finished.timed_out, finished.exit_code) == (True, -signal.SIGKILL)
    scene.assert_nothing_left()


def test_a_daemon_that_it_leaves_is_ended(scene: Scene) -> None:
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
    scene.assert_nothing_left()


def test_a_file_without_end_is_cut(scene: Scene) -> None:
    finished = scene.attack(
        "file = open('large', 'wb'); file.truncate(10 * 1024 ** 3); print('GOT it')", limits=Limits(file_bytes=MEBIBYTE)
    )

    assert not finished.succeeded
    assert "GOT it" not in scene.lines
    assert (scene.checkout.folder / "large").stat().st_size <= MEBIBYTE


def test_memory_without_end_is_refused(scene: Scene) -> None:
    finished = scene.attack("x = bytearray(1 << 30); print('GOT it')", limits=Limits(memory_bytes=256 * MEBIBYTE))

    assert not finished.succeeded
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


def test_pipes_links_and_devices_in_the_tree_are_undone_and_named(scene: Scene) -> None:
    finished = scene.attack(LAY_SNARES)
    assert finished.succeeded, scene.lines
    assert scene.lines == ["refused", "refused"]

    change = scene.commit()

    assert change is not None
    revert_guarded_paths = [line.partition(" ")[0] for line in scene.said if line.endswith(": removed")]
    assert sorted(revert_guarded_paths) == sorted(
        [
            *("package.json", "pyproject.toml", "coverage.xml", "docs/etc", "socket", TASKS),
            *(".git/objects/pack/x.pack", ".git/objects/info/packs"),
        ]
    )
    assert change.files == (TASKS, "closed/file", "docs/inside.py", "package.json", "tool")
    assert b"root:" not in change.patch
    assert scene.shown("docs/inside.py", change.commit) == b"../shop.py"
    assert detected_command(scene.checkout.folder) == ()
    assert not (scene.checkout.folder / "tool").stat().st_mode & 0o6000


@as_root
def test_a_file_of_root_that_got_a_second_name_in_the_tree_is_neither_read_nor_given_away(scene: Scene) -> None:
    # Where the kernel does not protect hard links, the agent could have made this one.
    secret = scene.workspace / "logs" / "worker.log"
    os.link(secret, scene.checkout.folder / "mine")

    scene.box.prepare(scene.checkout, scene.home)
    assert secret.stat().st_uid == 0
    assert read_file(scene.checkout.folder, "mine") is None
    change = scene.commit()

    assert change is None
    assert "mine is another name of a file of others: removed" in scene.said


def test_files_are_not_read_by_way_of_a_link(scene: Scene) -> None:
    folder = scene.checkout.folder
    (folder / "link").symlink_to("shop.py")
    (folder / "way").symlink_to("docs")
    os.mkfifo(folder / "pipe")

    assert read_file(folder, "shop.py") == b"PRICE = 1\n"
    assert read_file(folder, "docs/a.md", largest=1) == b"a"
    for name in ("link", "way/a.md", "pipe", "docs", "missing", "../logs/worker.log", "/etc/passwd", "docs/../../x"):
        assert read_file(folder, name) is None, name


TAKE_ALL = """
import glob, os, pathlib, signal, subprocess, sys
worker = os.getppid()
def try_to(what, attempt):
    try:
        attempt()
    except (OSError, ValueError):
        print("refused to", what, flush=True)
    else:
        print("GOT to", what, flush=True)
print("I am", os.getuid(), os.getgroups(), flush=True)
pids = [worker, *(int(p.split("/")[2]) for p in glob.glob("/proc/[0-9]*/environ"))]
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
try_to("read the worker's memory", lambda: open(f"/proc/{worker}/mem", "rb").read(1))
if sys.argv[1] == "own":
    source, server = sys.argv[2:]
    try_to("end the worker", lambda: os.kill(worker, signal.SIGTERM))
    try_to("read the log", lambda: open("../logs/agent.log").read())
    try_to("move a branch of the trusted repository", lambda: open("../trusted.git/refs/heads/x", "w"))
    try_to("give the trusted repository a hook", lambda: open("../trusted.git/hooks/post-checkout", "w"))
    try_to("write what the build exports", lambda: open(source + "/result.env", "w"))
    try_to("write a report of its own", lambda: os.mkdir(source + "/reports"))
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


@pytest.mark.parametrize(
    ("last", "outcome", "reason"),
    [
        ("", "Succeeded", ""),
        ("os.kill(os.getpid(), 9)", "AgentFailed", "ended with signal 9"),
        (SKIP_ALL_TESTS, "TestsFailed", "no test ran"),
    ],
    ids=["and then works", "and then dies", "and then has no test run"],
)
def test_the_whole_program_comes_through_it(worker: Any, last: str, outcome: str, reason: str) -> None:
    head = worker.head()
    with tempfile.TemporaryDirectory() as reachable:
        script = Path(reachable, "agent.py")
        script.write_text(TAKE_ALL + last + "\n")
        Path(reachable).chmod(0o755)
        rights = ["own" if IS_ROOT else "same", str(worker.folder / "src"), str(worker.repository.git.path)]
        worker.configure({"command": [PYTHON, str(script), *rights], "mode": "all", "timeoutMinutes": 1})

        packages = Path(pytest.__file__).parents[1]
        finished = worker.run(PATH=SYSTEM_PATH, AGENT_USER="own", PYTHONPATH=f"{ROOT}{os.pathsep}{packages}")

    said = [line.removeprefix("[agent] ") for line in finished.log.splitlines() if line.startswith("[agent] ")]
    assert said[-1] == "done", finished.log
    assert [line for line in said if line.startswith("GOT")] == []
    assert sum(line.startswith("refused to ") for line in said) == (11 if IS_ROOT else 2)
    user = int(said[0].split()[2])
    assert (FIRST_UID <= user <= LAST_UID) if IS_ROOT else (user == os.geteuid()), "the switch really took place"
    if IS_ROOT:
        assert running(user) == set()
    assert "pyproject.toml is a pipe, a socket or a device: removed" in finished.log
    assert "tasks.md is a symbolic link that leaves the checkout: removed" in finished.log
    assert finished.outcome == finished.exports["OUTCOME"] == outcome, finished.log
    assert finished.exit_code == (0 if outcome == "Succeeded" else 1)
    assert reason in finished.exports["OUTCOME_REASON"]
    carries = BRANCH if outcome == "Succeeded" else worker.checkpoint()
    assert (worker.head() != head) is (outcome == "Succeeded")
    assert worker.file("shop/notes.py", carries) == "NOTES = 1\n"
    assert "1.1" in worker.file(TASKS, carries), "the list of tasks is the branch's own"
    assert worker.repository.git.run("ls-tree", carries, "--", TASKS).startswith(b"100644 blob")


def test_it_dies_with_a_worker_that_is_killed(scene: Scene) -> None:
    scene.box.prepare(scene.checkout, scene.home)
    started = scene.checkout.folder / "started"
    worker = (
        "import sys; from pathlib import Path\n"
        "from kiro_worker.runner.sandbox.sandbox import Sandbox\nfrom kiro_worker.runner.sandbox.processes import stream\n"
        "uid, folder, python, code = sys.argv[1:]\n"
        "stream([python, '-c', code], cwd=Path(folder), environment={}, timeout_seconds=60, sink=print,"
        " sandbox=Sandbox(int(uid) if uid else None))"
    )
    agent = "import os, time; open('started', 'w').write(str(os.getpid())); time.sleep(300)"
    words = ["" if scene.box.uid is None else str(scene.box.uid), str(scene.checkout.folder), PYTHON, agent]
    process = subprocess.Popen(
        [sys.executable, "-c", worker, *words], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    pid = int(_eventually(started))

    process.kill()
    process.wait()

    deadline = time.monotonic() + 5
    while _state(pid) not in ("", "Z") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _state(pid) in ("", "Z")


@as_root
@pytest.mark.skipif(bool(os.environ.get("NOT_AGAIN")), reason="this is the second time")
def test_all_of_this_holds_for_a_user_who_is_not_root(tmp_path: Path) -> None:
    packages = Path(pytest.__file__).parents[1]
    version = subprocess.run(
        [PYTHON, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if version != str(sys.version_info[:2]):
        pytest.skip(f"{PYTHON} cannot use this Python's packages")
    if not all(place.stat().st_mode & 0o001 for place in (ROOT, *ROOT.parents, packages, *packages.parents)):
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
                "NOT_AGAIN": "1",
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
    assert "only root can give the agent a user of its own" in done.stdout


def _eventually(file: Path) -> str:
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
