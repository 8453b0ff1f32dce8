"""The gate tests the commit and nothing else: whole builds whose agents leave something that turns tests green.

Each runs with the worker's own user, as on a laptop, and as root with separate users, as in CodeBuild.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from tests.support.builder import Builder, as_root, needs_linux, printed
from tests.support.hostile import PYTHON
from tests.support.worker import Worker

RED = """
pathlib.Path("shop/notes.py").write_text("NOTES = 1\\n")
pathlib.Path("tests/test_red.py").write_text(
    "import unittest\\nclass Red(unittest.TestCase):\\n    def test_red(self): self.fail('red')\\n"
)
"""
"""An agent whose work does not pass the tests."""
TURNS_GREEN = "import os, sys\nif 'unittest' in sys.orig_argv: print('Ran 9 tests in 1s', flush=True); os._exit(0)\n"

pytestmark = needs_linux


def test_ignored_module_does_not_replace_test_runner(builder: Builder) -> None:
    finished = builder.build(
        RED + f"pathlib.Path('green.py').write_text({TURNS_GREEN!r})\n"
        "import py_compile; py_compile.compile('green.py', 'unittest.pyc', doraise=True); os.remove('green.py')\n"
    )

    assert finished.outcome == "TestsFailed", finished.log
    assert "1 failed, 2 passed" in finished.exports["OUTCOME_REASON"]


def test_file_that_is_not_committed_is_missing(builder: Builder) -> None:
    finished = builder.build(
        "import pathlib\n"
        "pathlib.Path('shop/extra').mkdir()\n"
        "pathlib.Path('shop/extra/.gitignore').write_text('*')\n"
        "pathlib.Path('shop/extra/__init__.py').write_text('VALUE = 1\\n')\n"
        "pathlib.Path('tests/test_extra.py').write_text('import unittest\\nfrom shop.extra import VALUE\\n')\n"
    )

    assert finished.outcome == "TestsFailed", finished.log
    assert "No module named 'shop.extra'" in finished.log


def test_compiled_code_does_not_reach_tests(builder: Builder) -> None:
    """Bytecode is used if its source has the recorded size and time, whatever the source contains."""
    finished = builder.build(
        RED + "import py_compile\n"
        "test = pathlib.Path('tests/test_red.py'); red = test.read_text(); now = 1_700_000_000\n"
        "test.write_text(red.replace('self.fail(', 'self.skipTest(')[:len(red)].ljust(len(red)))\n"
        'test.write_text(red.replace("fail(\'red\')", "id()       ")); os.utime(test, (now, now))\n'
        "py_compile.compile(str(test)); test.write_text(red); os.utime(test, (now, now))\n"
    )

    assert finished.outcome == "TestsFailed", finished.log


PLANT_IN_HOMES = """
user_site = f".local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
homes = [os.environ["HOME"], "../home", "../tests-home", "../agent-home", *map(str, pathlib.Path("..").glob("*/home"))]
for home in homes:
    try:
        os.makedirs(f"{home}/{user_site}", exist_ok=True)
        pathlib.Path(f"{home}/{user_site}/usercustomize.py").write_text(GREEN)
    except OSError:
        pass
"""


def test_planted_home_turns_no_test_green(builder: Builder) -> None:
    """The tests' home of the first gate would still exist in the fixing turn of the second build."""
    attack = RED + f"GREEN = {TURNS_GREEN!r}\n" + PLANT_IN_HOMES
    first = builder.build(attack)
    assert first.outcome == "TestsFailed", first.log

    second = builder.again()

    assert "starts on what the gate reported" in second.log, second.log
    assert second.outcome == "TestsFailed", second.log
    assert builder.worker.head() == builder.worker.commit


def test_attributes_do_not_change_tested_bytes(builder: Builder) -> None:
    """The line passes as it is on disk, and fails in the blob that git would make of it."""
    line = "VALUE = 1  # +AAo-raise SystemExit(1)\n"
    finished = builder.build(
        "import pathlib\n"
        "pathlib.Path('.gitattributes').write_text('shop/notes.py working-tree-encoding=UTF-7\\n')\n"
        f"pathlib.Path('shop/notes.py').write_text({line!r})\n"
        "pathlib.Path('tests/test_notes.py').write_text('import shop.notes\\n')\n"
    )

    assert finished.outcome == "Succeeded", finished.log
    assert builder.worker.file("shop/notes.py") == line


def test_process_in_background_does_not_reach_gate(builder: Builder) -> None:
    """It would repair the tests while they run."""
    finished = builder.build(
        RED + "folder, started = os.getcwd(), time.monotonic()\n"
        "inode = os.stat(folder).st_ino\n"
        "if not os.fork():\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "    for descriptor in (0, 1, 2): os.close(descriptor)\n"
        "    while True:\n"
        "        try:\n"
        "            if os.stat(folder).st_ino != inode or time.monotonic() > started + 3:\n"
        "                pathlib.Path(folder, 'tests/test_red.py').write_text('')\n"
        "        except OSError: pass\n"
        "        time.sleep(0.001)\n"
    )

    assert finished.outcome == "TestsFailed", finished.log


@as_root
def test_files_elsewhere_are_removed(worker: Worker) -> None:
    name = f"left-by-the-agent-{os.getpid()}"
    paths = [f"{folder}/{name}" for folder in ("/tmp", "/var/tmp", "/dev/shm")]
    open_to_all = worker.folder / "cache"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    paths += [str(open_to_all / name), f"/tmp/{name}-folder/deep"]
    shared = (
        "import ctypes; libc = ctypes.CDLL(None)\n"
        f"print('shared memory', libc.shmget({os.getpid()}, 100, FLAGS) != -1, flush=True)\n"
    )
    look = worker.folder / "look.py"
    look.write_text(
        f"import os\n{shared.replace('FLAGS', '0')}"
        f"for path in {paths}: print(path, os.path.exists(path), flush=True)\nprint('Ran 1 test in 0s')\n"
    )

    finished = Builder(worker, has_own_users=True).build(
        f"import pathlib\n{shared.replace('FLAGS', '0o1666')}"
        "pathlib.Path('shop/notes.py').write_text('NOTES = 1\\n')\n"
        f"for path in {paths}:\n"
        "    pathlib.Path(path).parent.mkdir(exist_ok=True)\n    pathlib.Path(path).write_text('left')\n",
        test=[PYTHON, str(look)],
    )

    assert finished.outcome == "Succeeded", finished.log
    assert "shared memory True" in printed(finished, "[agent] "), "the attack works"
    assert printed(finished, "[tests] ")[1:7] == ["shared memory False", *(f"{path} False" for path in paths)]
    assert "removed what was left outside the build's folders" in finished.log
    assert not any(map(os.path.exists, paths))


@as_root
def test_open_files_of_image_are_unchanged(worker: Worker, request: pytest.FixtureRequest) -> None:
    """A configuration file with mode 666, and a program in a folder where every user can replace it."""
    # Not in a temporary folder, whose content is no part of the image.
    image = Path(tempfile.mkdtemp(prefix="image-", dir="/var/lib"))
    request.addfinalizer(lambda: shutil.rmtree(image))
    image.chmod(0o755)
    (image / "bin").mkdir()
    config, tool = image / "tool.conf", image / "bin" / "tool"
    for path, mode in ((config, 0o666), (tool, 0o755), (image / "bin", 0o777)):
        if not path.exists():
            path.write_text("safe")
        path.chmod(mode)
    show = ["sh", "-c", f"cat {config} {tool}; ls {image}/bin; echo; echo Ran 1 test in 0s"]

    finished = Builder(worker, has_own_users=True).build(
        "pathlib.Path('shop/notes.py').write_text('NOTES = 1\\n')\n"
        f"for attack in 'echo evil > {config}', 'rm -f {tool} && touch {tool}', 'mv {tool} {image}/bin/python3':\n"
        "    print('attack', subprocess.call(['sh', '-c', attack]) == 0, flush=True)\n",
        test=show,
    )

    assert finished.outcome == "Succeeded", finished.log
    assert printed(finished, "[agent] attack ") == ["False"] * 3
    assert printed(finished, "[tests] ")[1:3] == ["safesafetool", ""]
    assert "the build's users can no longer change files of the image: " in finished.log


LISTEN = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
    ear.bind(("127.0.0.1", {port}))
    ear.settimeout(2)
    try: print("heard", ear.recv(9).decode(), flush=True)
    except TimeoutError: print("heard nothing", flush=True)
"""
CALL_AND_FORK = """
pathlib.Path("shop/notes.py").write_text("NOTES = 1")
if not os.fork():
    import socket
    os.setsid()
    for descriptor in (0, 1, 2): os.close(descriptor)
    mouth = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        mouth.sendto(b"a call", ("127.0.0.1", {port}))
        if os.fork(): os._exit(0)
"""


def test_forking_process_does_not_reach_gate(builder: Builder) -> None:
    """Its copies come and go so fast that a list of processes may show none of them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    listen = LISTEN.format(port=port)
    look = builder.worker.folder / "look.py"
    look.write_text(listen + "print('Ran 1 test in 0s')")

    finished = builder.build(CALL_AND_FORK.format(port=port) + listen, test=[PYTHON, str(look)])

    assert finished.outcome == "Succeeded", finished.log
    assert printed(finished, "[agent] heard ") == ["a call"]
    assert printed(finished, "[tests] heard ") == ["nothing"]


WHERE = """
import os, pathlib, sys
for name in ("HOME", "TMPDIR"):
    folder = pathlib.Path(os.environ[name])
    print(name, folder, sorted(path.name for path in folder.iterdir()), oct(folder.stat().st_mode & 0o777))
print("folder", os.getcwd(), sorted(path.name for path in pathlib.Path(".").iterdir()))
print("user", os.getuid())
"""


def test_gate_has_new_folders_at_same_paths(builder: Builder) -> None:
    look = builder.worker.folder / "look.py"
    look.write_text(WHERE + "print('Ran 1 test in 0s')\n")

    finished = builder.build(
        WHERE + "pathlib.Path('notes.txt').write_text('n')\n"
        "for folder in os.environ['HOME'], os.environ['TMPDIR'], '.': pathlib.Path(folder, 'left.pyc').touch()\n",
        test=[PYTHON, str(look)],
    )

    assert finished.outcome == "Succeeded", finished.log
    agent = [line for line in printed(finished, "[agent] ") if line]
    tests = printed(finished, "[tests] ")[1:]
    assert tests[:2] == agent[:2], "the same paths, and nothing in them"
    assert tests[2] == agent[2].replace("'shop'", "'notes.txt', 'shop'")
    assert tests[3] != agent[3] or not builder.has_own_users


def test_gate_has_repository_of_commit(builder: Builder) -> None:
    look = "git status --porcelain --ignored && git log -1 --format=%H && git config --list --local && ls .git/hooks"
    finished = builder.build(
        "import pathlib, subprocess\n"
        "pathlib.Path('notes.txt').write_text('n')\n"
        "subprocess.run(['git', 'config', 'core.fsmonitor', 'evil'], check=True)\n"
        "pathlib.Path('.git/hooks').mkdir(exist_ok=True); pathlib.Path('.git/hooks/pre-commit').write_text('')\n",
        test=["sh", "-c", f"{{ {look}; }} 2>&1; echo Ran 1 test in 0s"],
    )

    assert finished.outcome == "Succeeded", finished.log
    tests = printed(finished, "[tests] ")
    assert finished.exports["RESULT_COMMIT"] == tests[1], "no file differs from the commit"
    assert "core.fsmonitor" not in " ".join(tests)
    assert "cannot access '.git/hooks'" in tests[-2]


def test_agent_continues_in_its_own_folder(builder: Builder) -> None:
    """After the gate, a fixing turn finds what the agent's earlier turn left, ignored files included."""
    attack = (
        RED + "print('kept', pathlib.Path('left.pyc').exists(), pathlib.Path(os.environ['HOME'], 'state').exists())\n"
        "pathlib.Path(os.environ['HOME'], 'state').touch(); pathlib.Path('left.pyc').touch()\n"
        "pathlib.Path('shop/round.py').write_text(str(time.time()))\n"
    )
    builder.build(attack)
    finished = builder.again()

    assert finished.outcome == "TestsFailed", finished.log
    assert printed(finished, "[agent] kept ") == ["False False"]
