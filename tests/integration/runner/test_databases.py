"""The script of docs/how-to/databases.md, with real servers, through the gate and as its user."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiro_worker.errors import BuildStopped
from kiro_worker.runner.gate.gate import run_gate
from kiro_worker.runner.gate.result import GateResult
from kiro_worker.runner.gate.run import Place
from kiro_worker.runner.sandbox.sandbox import Sandbox, another_user, sandbox
from tests.support.builder import as_root
from tests.support.settings import check

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "databases.md"
MISSING = [
    name
    for name, found in (
        ("postgresql", next(Path("/usr/lib/postgresql").glob("*/bin/initdb"), None) or shutil.which("initdb")),
        ("redis-server", shutil.which("redis-server")),
    )
    if not found
]
TESTS = textwrap.dedent("""
    import os, socket, subprocess, unittest

    class Services(unittest.TestCase):
        def test_postgres(self):
            command = ["psql", os.environ["DATABASE_URL"], "-tAc", "select current_user || ' ' || 6 * 7"]
            self.assertEqual(subprocess.check_output(command, text=True).strip(), "test 42")

        def test_redis(self):
            port = int(os.environ["REDIS_URL"].split(":")[2].split("/")[0])
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"PING\\r\\n")
                self.assertEqual(connection.recv(7), b"+PONG\\r\\n")

        def test_user(self):
            self.assertNotEqual(os.geteuid(), 0)
    """)

pytestmark = [
    as_root,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: apt-get install {' '.join(MISSING)}"),
]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Sandbox]:
    """The gate's sandbox of a build."""
    workspace = tmp_path / "work"
    workspace.mkdir()
    for folder in (tmp_path, *tmp_path.parents):
        if not os.access(folder, os.X_OK) or not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o111)
    environment = {"PATH": os.environ["PATH"], "AGENT_USER": "own"}
    with sandbox(environment, workspace, print) as agent, another_user(agent) as gate:
        assert gate.uid is not None
        try:
            pwd.getpwuid(gate.uid)
        except KeyError:
            pytest.skip("the gate's user has no account, which initdb needs")
        yield gate


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def run(box: Sandbox, folder: Path, tests: str) -> tuple[GateResult, list[int]]:
    checkout, home, temporary = (folder / name for name in ("checkout", "home", "temporary"))
    checkout.mkdir()
    script = re.search(r"```sh\n(.*?)```", textwrap.dedent(PAGE.read_text("utf-8")), re.DOTALL)
    assert script
    (checkout / "with-services.sh").write_text(textwrap.dedent(script[1].replace("\n   ", "\n")))
    (checkout / "test_services.py").write_text(tests)
    ports = [free_port(), free_port()]
    test = (
        f"PGPORT={ports[0]} REDIS_PORT={ports[1]} sh with-services.sh {sys.executable} -m unittest -v test_services.py"
    )
    box.grant(checkout, home, temporary)
    place = Place(checkout, home, {"PATH": os.environ["PATH"]}, print, str, box, temporary)
    return run_gate(check(test=test, coverage={"threshold": None}), place), ports


def test_tests_reach_services_of_their_script(box: Sandbox, tmp_path: Path) -> None:
    result, ports = run(box, tmp_path / "work", TESTS)
    assert "3 tests" in result.summary
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_failed_tests_fail_the_script(box: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(BuildStopped, match="exit code 1"):
        run(box, tmp_path / "work", TESTS.replace("test 42", "test 43"))
