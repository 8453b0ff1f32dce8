"""The baseline and the gate on real test runs: what is excused, what counts, and what stops the build before it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kiro_worker.config.settings import Baseline as Mode
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.baseline import Baseline
from kiro_worker.runner.gate.branch_tests import BranchTests
from kiro_worker.runner.gate.gate import Verdict, Work, judge
from kiro_worker.runner.gate.run import Place
from kiro_worker.runner.gate.take_baseline import Taken, take_baseline
from tests.support.settings import check

OK = "def test_ok():\n    assert True\n"
OLD = "def test_old():\n    assert 'old' == 'broken'\n"
"""Fails before the work."""
NEW = "def test_new():\n    import shop\n    assert shop.new() == 1\n"
SHOP = "def new():\n    return 1\n"
JUNIT = "<testsuites><testsuite name='s'>{cases}</testsuite></testsuites>"


@dataclass
class Project:
    """A checkout whose tests run before the work, and after it."""

    folder: Path
    keys: dict[str, object] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    before: set[str] = field(default_factory=set)

    def write(self, **files: str | None) -> None:
        for name, content in files.items():
            path = self.folder / name.replace("__", "/").replace("_py", ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content)

    @property
    def place(self) -> Place:
        path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        return Place(self.folder, self.folder.parent / "home", path, self.lines.append, str)

    def files(self) -> set[str]:
        paths = (path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in str(path))
        return {str(path.relative_to(self.folder)) for path in paths}

    def take(self, mode: Mode = "known", changed: tuple[str, ...] = ()) -> Taken:
        self.before = self.files()
        return take_baseline(
            check(**self.keys), self.place, mode, BranchTests(self.before, changed, str(self.folder)), changed
        )

    def judge(self, baseline: Baseline | None, changed: tuple[str, ...] = (), work: tuple[str, ...] = ()) -> Verdict:
        tests = BranchTests(self.before | self.files(), changed, str(self.folder))
        added = tuple(self.files() - self.before)
        return judge(check(**self.keys), self.place, Work(b"", (*changed, *work, *added), tests, baseline))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cov\n")
    project = Project(tmp_path)
    project.write(tests__test_ok_py=OK)
    return project


def test_failure_from_before_does_not_count(project: Project) -> None:
    project.write(tests__test_old_py=OLD)
    taken = project.take()
    assert taken.stop is None
    assert [str(each) for each in taken.baseline.failing] == ["tests.test_old.test_old"]

    project.write(shop_py=SHOP, tests__test_new_py=NEW)
    verdict = project.judge(taken.baseline)

    assert verdict.stop is None
    assert verdict.result.passed
    assert verdict.result.exit_code == 1
    assert verdict.result.excused == ("tests.test_old.test_old",)
    assert "1 failed, 2 passed" in verdict.result.summary
    assert verdict.result.summary.endswith("1 failed before the agent started, too")


def test_new_failure_counts_and_is_named_alone(project: Project) -> None:
    project.write(tests__test_old_py=OLD)
    baseline = project.take().baseline

    project.write(shop_py="def new():\n    return 'two'\n", tests__test_new_py=NEW)
    verdict = project.judge(baseline)

    assert verdict.stop
    assert verdict.stop.outcome is Outcome.TESTS_FAILED
    assert verdict.stop.reason == (
        "1 test fails that has to pass: tests.test_new.test_new (not counted: 1 that failed before the agent started)"
    )
    assert verdict.is_new
    assert verdict.stop.details.startswith("tests.test_new.test_new\n    ")
    [failed] = verdict.result.failed
    assert "assert 'two' == 1" in failed.said


def test_failure_in_test_file_of_the_branch_counts(project: Project) -> None:
    """A spec that starts with a failing test is normal, and the work has to make it pass."""
    project.write(tests__test_spec_py=NEW)
    taken = project.take(changed=("tests/test_spec.py",))
    assert taken.stop is None

    project.write(shop_py="def other():\n    return 1\n")
    verdict = project.judge(taken.baseline, changed=("tests/test_spec.py",))
    assert verdict.stop
    assert "tests.test_spec.test_new" in verdict.stop.reason
    project.write(shop_py=SHOP)
    assert project.judge(taken.baseline, changed=("tests/test_spec.py",)).stop is None


@pytest.mark.parametrize("content", [OK, "import pytest\n\n@pytest.mark.skip\n" + NEW, None])
def test_failing_test_of_the_branch_cannot_be_removed(project: Project, content: str | None) -> None:
    project.write(tests__test_spec_py=NEW)
    baseline = project.take(changed=("tests/test_spec.py",)).baseline

    project.write(tests__test_spec_py=content)
    verdict = project.judge(baseline, changed=("tests/test_spec.py",))

    assert verdict.stop
    assert "did not run, or were skipped: tests.test_spec.test_new" in verdict.stop.reason
    assert verdict.is_new


def test_module_that_cannot_be_imported_yet_is_normal(project: Project) -> None:
    project.write(tests__test_spec_py="from shop import new\n" + NEW, tests__test_old_py=OLD)
    taken = project.take(changed=("tests/test_spec.py",))
    assert taken.stop is None

    assert project.judge(taken.baseline, changed=("tests/test_spec.py",)).stop, "still not importable"
    project.write(shop_py=SHOP)
    verdict = project.judge(taken.baseline, changed=("tests/test_spec.py",))
    assert verdict.stop is None
    assert verdict.result.excused == ("tests.test_old.test_old",)


def test_old_module_that_cannot_be_imported_does_not_hide_tests(project: Project) -> None:
    project.write(tests__test_old_py="import missing_module\n" + OLD)
    taken = project.take()
    assert taken.stop is None
    assert [str(each) for each in taken.baseline.failing] == ["tests.test_old"]

    project.write(shop_py=SHOP, tests__test_new_py=NEW)
    assert project.judge(taken.baseline).stop is None
    project.write(shop_py="def new():\n    return 'other'\n")
    stop = project.judge(taken.baseline).stop
    assert stop
    assert "tests.test_new.test_new" in stop.reason


def test_first_failure_does_not_end_the_run(project: Project) -> None:
    """The project's own ``-x`` would stop at the known failure, before the new test."""
    (project.folder / "pytest.ini").write_text("[pytest]\naddopts = -x -p no:cov\n")
    project.write(tests__test_a_py=OLD)
    taken = project.take()

    project.write(shop_py="", tests__test_new_py=NEW)
    stop = project.judge(taken.baseline).stop

    assert stop
    assert "tests.test_new.test_new" in stop.reason


def test_configured_command_that_ends_early_excuses_nothing(project: Project) -> None:
    project.keys = {"test": "pytest -x --junitxml=junit.xml"}
    project.write(tests__test_a_py=OLD, tests__test_b_py=OK)
    taken = project.take()
    assert taken.stop, "nothing shows that the other tests pass"
    assert taken.stop.outcome is Outcome.TESTS_ALREADY_FAILING


def test_configured_command_with_report_is_excused(project: Project) -> None:
    project.keys = {"test": "python3 -m pytest --junitxml=junit.xml"}
    project.write(tests__test_old_py=OLD)
    taken = project.take()

    project.write(shop_py=SHOP, tests__test_new_py=NEW)
    assert project.judge(taken.baseline).stop is None


def test_vanished_tests_are_reported(project: Project) -> None:
    project.write(tests__test_two_py=OK.replace("ok", "two"))
    baseline = project.take().baseline

    project.write(tests__test_two_py=None)
    verdict = project.judge(baseline)

    assert verdict.stop is None
    assert verdict.result.vanished == ("tests.test_two.test_two",)


def test_red_baseline_without_names_stops(project: Project) -> None:
    project.keys = {"test": "echo 1 failed, 3 passed in 0.1s; exit 1"}

    stop = project.take().stop

    assert stop
    assert stop.outcome is Outcome.TESTS_ALREADY_FAILING
    assert "no report shows that nothing but known tests failed" in stop.reason
    assert "baseline in .kiro-worker.yml" in stop.remedy


def test_green_names_the_failing_tests(project: Project) -> None:
    project.write(tests__test_old_py=OLD)

    taken = project.take("green")

    assert taken.stop
    assert taken.stop.reason == "1 test fails already, before the agent starts: tests.test_old.test_old"
    assert [test.name for test in taken.failed] == ["tests.test_old.test_old"]
    assert "tests.test_old.test_old\n    " in taken.stop.details


@pytest.mark.parametrize("mode", ["known", "green"])
@pytest.mark.parametrize("command", ["no-such-program --all", ["no-such-program"], "exec /etc/hostname"])
def test_command_that_cannot_start_stops(project: Project, mode: Mode, command: object) -> None:
    project.keys = {"test": command}

    stop = project.take(mode).stop

    assert stop
    assert stop.outcome is Outcome.TESTS_ALREADY_FAILING
    assert "cannot be started" in stop.reason


NO_TESTS = {
    "nothing": {},
    "pytest": {"pytest.ini": ""},
    "unittest": {"tests/__init__.py": "", "tests/test_nothing.py": ""},
    "npm": {"package.json": '{"scripts": {"test": "echo No tests found, exiting with code 1; exit 1"}}'},
}


@pytest.mark.parametrize("case", NO_TESTS)
def test_repository_without_tests_can_be_built(tmp_path: Path, case: str) -> None:
    project = Project(tmp_path)
    for name, content in NO_TESTS[case].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)

    taken = project.take()

    assert taken.stop is None
    assert taken.baseline.problem
    assert project.take("green").stop
    assert project.judge(taken.baseline).stop, "the work has to add a test"


def test_output_that_shows_no_test_stops_if_there_are_tests(tmp_path: Path) -> None:
    """The gate would reject every work."""
    project = Project(tmp_path)
    (tmp_path / "package.json").write_text('{"scripts": {"test": "echo done"}}')
    assert project.take().stop is None

    (tmp_path / "cart.test.js").touch()
    stop = project.take().stop
    assert stop
    assert "nothing shows that a test ran" in stop.reason


def test_flaky_test_passes_when_run_again(project: Project) -> None:
    """It fails in its first run only. Its file is run again, and no other."""
    project.write(tests__test_old_py=OLD)
    baseline = project.take().baseline
    flaky = (
        "import pathlib\n\ndef test_flaky():\n    marker = pathlib.Path('marker')\n    ran = marker.exists()\n"
        "    marker.touch()\n    assert ran\n"
    )
    project.write(tests__test_new_py=flaky, tests__test_ok_py=OK + "\n\ndef test_more():\n    print('more ran')\n")

    verdict = project.judge(baseline)

    assert verdict.stop is None
    assert verdict.result.flaky == ("tests.test_new.test_flaky",)
    assert verdict.result.excused == ("tests.test_old.test_old",)
    assert verdict.result.summary.endswith("; 1 failed before the agent started, too; 1 flaky")
    assert verdict.result.tests
    assert verdict.result.tests.tests == 4, "the reports are those of the first run"
    assert any("2 deselected" in line or "2 failed" in line or "1 failed, 1 passed" in line for line in project.lines)


def test_test_that_fails_twice_is_not_flaky(project: Project) -> None:
    project.write(tests__test_new_py=NEW)

    verdict = project.judge(None)

    assert verdict.stop
    assert verdict.result.flaky == ()
    assert sum(line.startswith("$ ") for line in project.lines) == 2


def test_flaky_test_in_the_baseline_is_not_known(project: Project) -> None:
    """It would excuse what the work breaks."""
    project.write(
        tests__test_flaky_py="import pathlib\n\ndef test_flaky():\n    marker = pathlib.Path('marker')\n"
        "    ran = marker.exists()\n    marker.touch()\n    assert ran\n"
    )
    taken = project.take()
    assert taken.baseline.failing == ()

    project.write(tests__test_flaky_py="def test_flaky():\n    assert 'broken by the work' == ''\n")
    assert project.judge(taken.baseline).stop


def test_failed_threshold_of_the_project_is_no_known_failure(project: Project) -> None:
    """As with ``--cov-fail-under``: a failure that no test explains."""
    project.keys = {"test": "pytest --junitxml=junit.xml && exit 3"}
    assert project.take().stop

    project.keys = {"test": "pytest --junitxml=junit.xml || true; [ ! -e shop.py ] || exit 4; exit 1"}
    project.write(tests__test_old_py=OLD)
    taken = project.take()
    project.write(shop_py=SHOP)
    verdict = project.judge(taken.baseline)
    assert verdict.stop
    assert "are not excused, because the exit code was 1 before the work and is 4 now" in verdict.stop.reason
    assert not verdict.is_new, "the agent gets no turn for it"


def test_compiled_test_of_the_branch_may_not_compile_yet(project: Project) -> None:
    project.keys = {"test": "echo 'src/test/java/ShopTest.java:[3,5] cannot find symbol'; exit 1"}

    assert project.take(changed=("src/test/java/ShopTest.java",)).stop is None
    assert project.take(changed=("src/test/java/CartTest.java",)).stop
