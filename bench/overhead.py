"""The overhead of a build on a small repository, against a shell script.

The build runs as in CodeBuild. The script clones, runs the same agent and the same tests, commits and pushes. The agent
and the tests do next to nothing, and the time that they take alone is subtracted from both sides.

The script holds no lock, reads no configuration and no secret, checks no guarded files, keeps no checkpoint, isolates
nothing, redacts nothing and uploads no artifact. All servers are on the same machine, where a request costs next to
nothing. The table shows the number of requests to the git server, because over a network they take time.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from urllib.request import Request, urlopen

from moto.server import ThreadedMotoServer

from bench.figure import Clock, Figure, seconds
from kiro_local.aws import dynamodb
from kiro_local.aws.replacements import Replacements
from kiro_local.github.stand_in import StandInGitHub
from tests.support.lock_table import create_lock_table, create_table
from tests.support.worker import AGENT_KEY, BRANCH, BUCKET, PASSWORD, RECORDS, TOKEN, Worker

if TYPE_CHECKING:
    from kiro_local.github.model import Repository

RUNS: Final = 5
_AGENT: Final = "cat > /dev/null; echo 'DONE = True' > done.py"
_TESTS: Final = "test -f done.py && echo 'Ran 1 test in 0.001s'"
_SPEC: Final = ".kiro/specs/feature-discounts"
_FILES: Final = {
    f"{_SPEC}/requirements.md": "# Requirements\n\n1. IT SHALL be done.\n",
    f"{_SPEC}/design.md": "# Design\n\nA file.\n",
    f"{_SPEC}/tasks.md": "# Tasks\n\n- [ ] 1. Write the file\n",
    **{f"part/file_{number}.py": f"NUMBER = {number}\n" for number in range(50)},
}
_SCRIPT: Final = """
set -eu
git clone --quiet --branch "$BRANCH" "$URL" checkout
cd checkout
echo 'Do the task.' | sh -c "$AGENT"
sed -i 's/\\[ \\]/[x]/' "$TASKS"
sh -c "$TESTS"
git add --all
git commit --quiet --message 'Do the task'
git push --quiet origin "$BRANCH"
"""
_STARTS: Final = {
    "an interpreter": "pass",
    "  and boto3, four clients": "import boto3\nfor s in ('ssm', 'secretsmanager', 'dynamodb', 's3'): boto3.client(s)",
    "  and the runner": "import kiro_worker.runner.main",
}


def measure() -> list[Figure]:
    """Return the figures of a build's overhead."""
    bare, alone = Clock(), Clock()
    whole: list[float] = []
    requests: dict[str, int] = {}
    phases: dict[str, list[float]] = defaultdict(list)
    replacements = Replacements()
    dynamodb.install(replacements)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    try:
        for _ in range(RUNS):
            with TemporaryDirectory(prefix="bench-") as temporary, StandInGitHub() as github:
                worker = _prepare(Path(temporary), "http://{}:{}".format(*server.get_host_and_port()), github)
                _run_script(bare, github, worker.folder)
                _run_alone(alone, worker.folder / "script")
                requests["script"] = len(github.requests.git())
                github.requests.clear()
                clock = Clock()
                with clock.running():
                    finished = worker.run()
                if finished.outcome != "Succeeded":
                    raise RuntimeError(finished.log)
                requests["worker"] = len(github.requests.git())
                whole += clock.runs
                _note_phases(finished.result, clock.seconds, phases)
    finally:
        server.stop()
        replacements.restore()
    ours, script = median(whole) - alone.seconds, bare.seconds - alone.seconds
    return [
        Figure("overhead of a build, against a script", seconds(ours), seconds(script), ours / script, at_most=2),
        Figure("  requests to the git server", str(requests["worker"]), str(requests["script"])),
        *(Figure(f"  {name}", seconds(median(times))) for name, times in phases.items()),
        *_starts(),
    ]


def _note_phases(result: dict[str, Any], total: float, phases: dict[str, list[float]]) -> None:
    summed: dict[str, float] = defaultdict(float)
    for phase in result["phases"]:
        summed[phase["name"]] += phase["seconds"]
    first = min(phase["start"] for phase in result["phases"])
    phases["in the process, until the first phase"].append(first)
    for name, time in summed.items():
        phases[f"phase: {name}"].append(time)
    phases["between phases, and the report"].append(result["seconds"] - first - sum(summed.values()))
    phases["process start, artifacts, process end"].append(total - result["seconds"])


def _starts() -> list[Figure]:
    figures = []
    for name, code in _STARTS.items():
        clock = Clock()
        for _ in range(RUNS):
            with clock.running():
                environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1"}
                subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        figures.append(Figure(f"  to start: {name.strip()}", seconds(clock.seconds)))
    return figures


def _run_script(clock: Clock, github: StandInGitHub, folder: Path) -> None:
    """Time the script on a copy of the repository, so that it does not push to the branch that the build pushes to."""
    copy = github.board.add_repository("acme/copy")
    _fill(copy)
    host = github.git_url.removeprefix("http://")
    home = folder / "script"
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_AUTHOR_NAME": "Bench",
        "GIT_AUTHOR_EMAIL": "bench@bench.invalid",
        "GIT_COMMITTER_NAME": "Bench",
        "GIT_COMMITTER_EMAIL": "bench@bench.invalid",
        "URL": f"http://git:{TOKEN}@{host}/acme/copy.git",
        "BRANCH": BRANCH,
        "TASKS": f"{_SPEC}/tasks.md",
        "AGENT": _AGENT,
        "TESTS": _TESTS,
    }
    with clock.running():
        subprocess.run(["sh", "-c", _SCRIPT], cwd=home, env=environment, check=True, stdout=subprocess.DEVNULL)


def _run_alone(clock: Clock, home: Path) -> None:
    """Time agent and tests alone."""
    with clock.running():
        for command in (_AGENT, _TESTS):
            subprocess.run(["sh", "-c", command], cwd=home, check=True, input=b"", stdout=subprocess.DEVNULL)


def _prepare(folder: Path, endpoint: str, github: StandInGitHub) -> Worker:
    aws = {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }
    for token in (TOKEN, PASSWORD):
        github.add_token(token)
    repository = github.board.add_repository("acme/shop")
    _fill(repository)
    github.board.add_pull_request(repository, BRANCH)
    worker = Worker(folder, aws, github, repository, commit=repository.git.head_of(BRANCH) or "")
    _reset(endpoint)
    for name, value in {
        "github-token": TOKEN,
        "git-credentials": json.dumps({"username": "git", "password": PASSWORD}),
        "kiro-api-key": AGENT_KEY,
    }.items():
        secrets = worker.client("secretsmanager")
        worker.secrets[name] = secrets.create_secret(Name=f"kiro-worker-test-{name}", SecretString=value)["ARN"]
    worker.client("s3").create_bucket(Bucket=BUCKET)
    create_lock_table(worker.client("dynamodb"))
    create_table(worker.client("dynamodb"), RECORDS, "recordKey")
    worker.configure({"command": ["sh", "-c", _AGENT]}, test=["sh", "-c", _TESTS], coverage={"threshold": None})
    worker.start_execution()
    worker.hold_lock()
    return worker


def _fill(repository: Repository) -> None:
    repository.git.commit("main", {"README.md": "# shop\n"}, "Begin")
    repository.git.commit(BRANCH, _FILES, "Write the spec", base="main")


def _reset(endpoint: str) -> None:
    with urlopen(Request(f"{endpoint}/moto-api/reset", method="POST"), timeout=10):  # noqa: S310  # loopback
        pass
