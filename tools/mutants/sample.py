"""The sample: which mutants, which tests, and the report."""

from __future__ import annotations

import argparse
import fnmatch
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Final

from tools.mutants import asl_mutants, python_mutants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.mutants.python_mutants import Mutant

ROOT: Final = Path(__file__).parents[2]
EQUIVALENT: Final = Path(__file__).with_name("equivalent.toml")
_TARGET_PERCENT: Final = 90
_TIMEOUT_SECONDS: Final = 240


def _runner(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/integration/runner/test_{name}.py" for name in names)


# The first pattern that matches a file selects its tests: the fast ones, and those that run only if these notice
# nothing.
_TESTS: Final[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
    ("statemachine/*", ("tests/unit/statemachine",), ()),
    ("functions/*", ("tests/unit/functions",), ("tests/integration/infra/test_packaging.py",)),
    ("kiro_worker/lock/*", ("tests/unit/lock",), ("tests/integration/lock",)),
    ("kiro_worker/github/*", ("tests/unit/github", "tests/unit/functions"), ("tests/integration/github",)),
    ("kiro_worker/cli/*", ("tests/unit/cli",), ("tests/integration/test_wheel.py", "tests/e2e/test_replay_command.py")),
    ("kiro_worker/executions/*", ("tests/unit/cli",), ("tests/e2e/test_replay_command.py",)),
    (
        "kiro_worker/runner/gate/*",
        ("tests/unit/runner",),
        _runner("gate", "report_groups", "pipeline", "setup", "gate_folder"),
    ),
    ("kiro_worker/runner/sandbox/*", ("tests/unit/runner",), _runner("agent_process", "hostile_agent", "gate_folder")),
    ("kiro_worker/runner/trust/*", ("tests/unit/runner",), _runner("guard", "steering", "submodules", "build_secrets")),
    (
        "kiro_worker/runner/repository/*",
        ("tests/unit/runner",),
        _runner(
            *("checkout", "checkpoint", "submodules", "lfs", "build_push", "agent_repository", "agent_changes"),
            "lent_objects",
        ),
    ),
    (
        "kiro_worker/runner/agent/*",
        ("tests/unit/runner",),
        _runner("agent_process", "agent_changes", "adapters", "install_agent", "checkpoint"),
    ),
    ("kiro_worker/runner/report/*", ("tests/unit/runner",), _runner("build_report", "report_groups", "pipeline")),
    ("kiro_worker/runner/*dry_run*", ("tests/unit/runner",), _runner("dry_run", "dry_run_sources")),
    (
        "kiro_worker/runner/*",
        ("tests/unit/runner",),
        _runner(
            "pipeline", "build_lock", "build_push", "build_checkout", "build_secrets", "dry_run", "dry_run_sources"
        ),
    ),
    (
        "kiro_worker/*",
        ("tests/unit",),
        ("tests/integration/github", "tests/integration/lock", *_runner("pipeline", "build_lock")),
    ),
)


@dataclass(frozen=True)
class Verdict:
    """The result for a mutant. ``by`` is the lane that detected it; empty if none did."""

    mutant: Mutant
    by: str
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sample, and return 0 if tests kill enough of it, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="repeat the sample of an earlier run")
    parser.add_argument("--count", type=int, default=40, help="how many mutants (default: 40)")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="files, for example 'kiro_worker/lock/*'")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default: 2)")
    chosen = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    every = [mutant for mutant in all_mutants() if fnmatch.fnmatch(mutant.file, chosen.only)]
    known = equivalent()
    candidates = [mutant for mutant in every if _key(mutant) not in known]
    sample = random.Random(seed).sample(candidates, min(chosen.count, len(candidates)))  # noqa: S311  # no secret
    print(f"seed {seed}: {len(sample)} of {len(every)} mutants, {len(every) - len(candidates)} known to be equivalent")
    verdicts = run_sample(sample, chosen.jobs)
    killed = [verdict for verdict in verdicts if verdict.by]
    percent = 100 * len(killed) / max(len(verdicts), 1)
    print(f"{len(killed)} of {len(verdicts)} killed, {percent:.0f} % (target: {_TARGET_PERCENT} %)")
    return 0 if percent >= _TARGET_PERCENT else 1


def all_mutants() -> list[Mutant]:
    """Return every mutant of the product, in the order of files and lines."""
    found: list[Mutant] = []
    for path in sorted([*ROOT.glob("kiro_worker/**/*.py"), *ROOT.glob("functions/**/*.py")]):
        file = path.relative_to(ROOT).as_posix()
        found += python_mutants.mutants_of(file, path.read_bytes())
    for path in sorted(ROOT.glob("statemachine/*.json")):
        found += asl_mutants.mutants_of(path.relative_to(ROOT).as_posix(), path.read_bytes())
    return found


def equivalent() -> set[str]:
    """Return the mutants that change nothing that anyone could see. The file gives the reason for each."""
    return set(tomllib.loads(EQUIVALENT.read_text("utf-8")).get("equivalent", {}))


def run_sample(sample: Sequence[Mutant], jobs: int) -> list[Verdict]:
    with tempfile.TemporaryDirectory(prefix="kiro-worker-mutants-") as folder:
        trees: Queue[Path] = Queue()
        for number in range(jobs):
            trees.put(_copy_of_tree(Path(folder) / str(number)))

        def judge(mutant: Mutant) -> Verdict:
            tree = trees.get()
            try:
                verdict = _judge(mutant, tree)
            finally:
                trees.put(tree)
            print(_line(verdict), flush=True)
            return verdict

        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(judge, sample))


def _judge(mutant: Mutant, tree: Path) -> Verdict:
    began = time.monotonic()
    file = tree / mutant.file
    original = file.read_bytes()
    file.write_bytes(mutant.apply(original))
    try:
        by = ""
        for lane, tests in zip(("unit", "integration"), _tests_of(mutant.file), strict=True):
            if tests and _is_detected(tree, tests):
                by = lane
                break
    finally:
        file.write_bytes(original)
    return Verdict(mutant, by, time.monotonic() - began)


def _tests_of(file: str) -> tuple[list[str], list[str]]:
    _, first, then = next(entry for entry in _TESTS if fnmatch.fnmatch(file, entry[0]))
    return [test for test in first if (ROOT / test).exists()], [test for test in then if (ROOT / test).exists()]


def _is_detected(tree: Path, tests: Sequence[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not exhaustive", *tests]
    # PYTHONPATH: the tests' subprocesses import the copy, too. No bytecode: of two versions of a file that are written
    # within one second, Python would use the older one's.
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        finished = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    if finished.returncode in (0, 1, 2, 3):
        # 2 and 3: the mutant breaks the import of a test's module or conftest.
        return finished.returncode != 0
    raise RuntimeError(finished.stdout.decode(errors="replace") + finished.stderr.decode(errors="replace"))


def _copy_of_tree(target: Path) -> Path:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / ".venv").symlink_to(ROOT / ".venv")
    (target / "build").mkdir()
    for built in ("node", "host", "lambda"):
        if (ROOT / "build" / built).exists():
            (target / "build" / built).symlink_to(ROOT / "build" / built)
    return target


def _key(mutant: Mutant) -> str:
    """Return a key from the file, the line's text and the change, so that it survives other edits of the file."""
    if not mutant.line:
        return f"{mutant.file}: {mutant.description}"
    line = (ROOT / mutant.file).read_text("utf-8").splitlines()[mutant.line - 1].strip()
    return f"{mutant.file}: {line}: {mutant.description}"


def _line(verdict: Verdict) -> str:
    mutant = verdict.mutant
    mark = f"killed by {verdict.by}" if verdict.by else "SURVIVED"
    where = f"{mutant.file}:{mutant.line}" if mutant.line else mutant.file
    text = "" if verdict.by else f"\n    {_key(mutant)}"
    return f"{mark:<22} {verdict.seconds:5.1f} s  {where}: {mutant.description}{text}"
