"""What decides whether the work may be pushed: the project's own tests. (Coverage follows here.)"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.build.outcome import Stopped
from kiro_worker.build.processes import scrubbed_environment, stream
from kiro_worker.models import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kiro_worker.config import Configuration

MINUTES: Final = 30

_SUMMARIES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"^Ran \d+ tests? in .*",  # unittest
        r"^=* ?(?:\d+ (?:passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?)(?:, )?)+ in [\d.]+s.*",
        r"^=* ?no tests ran in .*",
        r"^Tests:\s+.*total.*",  # jest
        r"^\s*Tests\s+\d+ (?:passed|failed).*",  # vitest
        r"^\s+\d+ passing.*",  # mocha
        r"^[#\u2139] (?:tests|pass|fail) \d+",  # node --test
        r"^test result: .*",  # cargo
        r"^\[?(?:INFO|ERROR|WARNING)?\]? ?Tests run: \d+, Failures: \d+.*",  # Maven
        r"^(?:ok|FAIL|---)\s+\S+\s+[\d.]+s.*",  # go
    )
)
_NOTHING_RAN: Final = re.compile(
    r"^Ran 0 tests in |no tests ran in |^test result: ok\. 0 passed; 0 failed; 0 ignored.*0 filtered|Tests run: 0,"
    r"|^[#\u2139] tests 0$|^Tests:\s+0 total"
)
_NO_TEST_SCRIPT: Final = "no test specified"


@dataclass(frozen=True)
class Tests:
    """A test run that passed: what was run, and its own summary."""

    command: tuple[str, ...]
    summary: str


def run_tests(
    configuration: Configuration,
    folder: Path,
    home: Path,
    *,
    parent: Mapping[str, str],
    sink: Callable[[str], None],
    redact: Callable[[str], str],
) -> Tests:
    """Run the project's tests in ``folder``. Raises :class:`Stopped` (TestsFailed) when they fail, when none ran, or
    when there is nothing to run: unproven work is not pushed.
    """
    command = configuration.test_command or detected_command(folder)
    if not command:
        raise Stopped(
            Outcome.TESTS_FAILED,
            "no test command: none is configured, and the repository has none of the usual ones",
            'set "testCommand" in the configuration parameter, e.g. "make test"',
        )
    home.mkdir(parents=True, exist_ok=True)
    sink(f"$ {' '.join(command)}")
    try:
        finished = stream(
            command,
            cwd=folder,
            environment=scrubbed_environment(home, parent, CI="true"),
            timeout_seconds=MINUTES * 60.0,
            sink=sink,
            redact=redact,
        )
    except OSError as error:
        raise Stopped(
            Outcome.TESTS_FAILED,
            f"{command[0]} cannot be started: {error.strerror}",
            "install it in the build image, or correct testCommand in the configuration parameter",
        ) from None
    summary = summary_of(finished.lines)
    if finished.timed_out:
        raise Stopped(
            Outcome.TESTS_FAILED, f"the tests did not end within {MINUTES} minutes", "", finished.last_lines()
        )
    if not finished.succeeded:
        said = f": {summary}" if summary else ""
        raise Stopped(
            Outcome.TESTS_FAILED,
            f"the tests ended with exit code {finished.exit_code}{said}",
            details=finished.last_lines(),
        )
    if summary and nothing_ran(finished.lines):
        raise Stopped(
            Outcome.TESTS_FAILED,
            f"no test ran ({summary}), and a run without tests proves nothing",
            'add tests, or set "testCommand" in the configuration parameter',
            finished.last_lines(),
        )
    return Tests(command, summary or "passed")


def detected_command(folder: Path) -> tuple[str, ...]:
    """The usual test command of the ecosystem that the repository is of; empty when it is of none that we know."""
    if _uses_pytest(folder):
        return ("python3", "-m", "pytest", "-q")
    if _npm_test_script(folder):
        return _npm_command(folder)
    for file, command in (
        ("go.mod", ("go", "test", "./...")),
        ("Cargo.toml", ("cargo", "test")),
        ("pom.xml", ("mvn", "-B", "verify")),
    ):
        if (folder / file).is_file():
            return command
    if (folder / "tests" / "__init__.py").is_file() or any(folder.glob("test_*.py")):
        return ("python3", "-m", "unittest", "discover", "-v")
    if any((folder / "tests").glob("test_*.py")):
        return ("python3", "-m", "unittest", "discover", "-v", "-s", "tests")
    return ()


def summary_of(lines: Sequence[str]) -> str:
    """The runner's own summary line, the last one that looks like one; empty when there is none."""
    for line in reversed(lines):
        if any(pattern.match(line) for pattern in _SUMMARIES):
            return line.strip(" =\t")
    return ""


def nothing_ran(lines: Sequence[str]) -> bool:
    """Whether every summary in the output says that no test was executed."""
    told = [line for line in lines if any(pattern.match(line) for pattern in _SUMMARIES)]
    return bool(told) and all(_NOTHING_RAN.search(line) for line in told)


def _uses_pytest(folder: Path) -> bool:
    return (
        any((folder / name).is_file() for name in ("pytest.ini", ".pytest.ini", "conftest.py", "tests/conftest.py"))
        or "[tool.pytest" in _text(folder / "pyproject.toml")
        or "[tool:pytest]" in _text(folder / "setup.cfg")
        or "[pytest]" in _text(folder / "tox.ini")
    )


def _npm_test_script(folder: Path) -> str:
    try:
        package = json.loads(_text(folder / "package.json") or "{}")
        script = str(package["scripts"]["test"])
    except (ValueError, KeyError, TypeError):
        return ""
    return "" if _NO_TEST_SCRIPT in script else script


def _npm_command(folder: Path) -> tuple[str, ...]:
    if (folder / "package-lock.json").is_file() and not (folder / "node_modules").is_dir():
        return ("sh", "-c", "npm ci && npm test")
    return ("npm", "test")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
