"""The real app, synthesized once per session, so that tests read what a deployment would contain."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.packaging import HOST, ROOT, Package, package
from kiro_worker.names import CORE_STACK, WORKFLOW_STACK
from tests.support.stacks import Stacks, Synthesize, Template


@pytest.fixture(scope="session")
def host_package() -> Package:
    return package(HOST)


@pytest.fixture(scope="session")
def synthesize() -> Synthesize:
    """Runs the app with a context, as `make synth` and the embedded environment do."""

    def run(outdir: Path, **context: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "infra.app"],
            cwd=ROOT,
            env=dict(os.environ, CDK_OUTDIR=str(outdir), CDK_CONTEXT_JSON=json.dumps(context)),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory, synthesize: Synthesize) -> Path:
    """The cloud assembly of the environment `test`, shared by the worker processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    outdir = shared / "cdk.out"
    with _exclusive(shared / "cdk.lock"):
        if not (outdir / "manifest.json").exists():
            done = synthesize(outdir, environment="test", packagingPlatform="host")
            assert done.returncode == 0, done.stderr
    return outdir


@pytest.fixture(scope="session")
def stacks(assembly: Path) -> Stacks:
    def template(stack: str) -> Template:
        parsed: Template = json.loads((assembly / f"{stack}.template.json").read_text(encoding="utf-8"))
        return parsed

    return Stacks(core=template(CORE_STACK), workflow=template(WORKFLOW_STACK))


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
