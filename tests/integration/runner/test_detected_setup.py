"""Projects of several packaging styles, installed by what is detected, for the users of a build."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.config.settings import Check, CoverageSettings
from kiro_worker.errors import BuildStopped
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.gate import Work, run_gate
from kiro_worker.runner.gate.result import GateResult
from kiro_worker.runner.gate.run import Place
from kiro_worker.runner.gate.setup import Setup
from kiro_worker.runner.gate.workspace import GateWorkspace
from kiro_worker.runner.repository.checkout import Checkout, check_out
from kiro_worker.runner.repository.submodules import Submodules
from kiro_worker.runner.request import BuildRequest
from kiro_worker.runner.sandbox.environment import BuildEnvironment
from kiro_worker.runner.sandbox.folders import Folders
from kiro_worker.runner.sandbox.sandbox import another_user, sandbox
from tests.support.builder import Builder, as_root, needs_linux, printed
from tests.support.hostile import PYTHON, SYSTEM_PATH
from tests.support.worker import BRANCH, PASSWORD, Worker

pytestmark = needs_linux

SPEC = ".kiro/specs/feature-discounts"
TEST = "from shop import PRICE\n\n\ndef test_price():\n    assert PRICE == 1\n"
UNITTEST = "import unittest\nfrom shop import PRICE\n\n\nclass Price(unittest.TestCase):\n    def test_price(self):\n"
UNITTEST += "        self.assertEqual(PRICE, 1)\n"
GROUP = '[dependency-groups]\ntest = ["pytest"]\n'
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
FLIT = '[build-system]\nrequires = ["flit_core>=3.4,<5"]\nbuild-backend = "flit_core.buildapi"\n'
POETRY = '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
PROJECT = '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.9"\n'
ONE = "PRICE = 1\n"

STYLES: dict[str, tuple[str, dict[str, str]]] = {
    "src layout with an extra": (
        "src/shop/__init__.py",
        {"pyproject.toml": SETUPTOOLS + PROJECT + '[project.optional-dependencies]\ntests = ["pytest"]\n'},
    ),
    "flit with a dependency group": (
        "shop/__init__.py",
        {"pyproject.toml": f'{FLIT}{PROJECT}description = "Shop"\n{GROUP}'},
    ),
    "setup.py without pytest": (
        "lib/shop.py",
        {"setup.py": "import setuptools\nsetuptools.setup(name='shop', package_dir={'': 'lib'}, py_modules=['shop'])"},
    ),
    "requirements only": ("shop.py", {"requirements.txt": "iniconfig\n", "requirements-dev.txt": "pytest\n"}),
    "uv without lock file": (
        "src/shop/__init__.py",
        {"pyproject.toml": f"{FLIT}{PROJECT}description = 'Shop'\n{GROUP}[tool.uv]\n"},
    ),
    "poetry": (
        "src/shop/__init__.py",
        {"pyproject.toml": f'{POETRY}[tool.poetry]\nname = "shop"\nversion = "1"\ndescription = ""\nauthors = []\n'
                           '[tool.poetry.dependencies]\npython = ">=3.9"\n'},
    ),
}  # fmt: skip
IN_EVERY_RUN = "src layout with an extra"


@dataclass
class Scene:
    """The gate of a build whose setup ran on the branch's commit. ``lines`` are the output of setup and tests."""

    gate: GateWorkspace
    checkout: Checkout
    commit: Callable[[Mapping[str, str]], str]
    parent: Mapping[str, str]
    lines: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def test(self, check: Check, commit: str) -> GateResult:
        """Return what the gate finds out about ``commit``."""
        with self.gate.opened(self.checkout, Submodules({}), commit) as folders:
            folder, sink = folders.checkout / check.directory, self.lines.append
            place = Place(folder, folders.home, self.parent, sink, str, self.gate.gate, folders.temporary)
            return run_gate(check, place, Work(ecosystem=self.gate.ecosystems.get(check.directory, "")))


@contextmanager
def prepared(
    github: StandInGitHub,
    folder: Path,
    files: Mapping[str, str],
    check: Check,
    configured: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Iterator[Scene]:
    """Check ``files`` out and run setup, with separate users where the test's user is root."""
    repository = github.board.add_repository("acme/shop")
    repository.git.commit("main", {"README.md": "# shop\n"}, "Begin")
    commit = repository.git.commit(BRANCH, {f"{SPEC}/tasks.md": "- [ ] 1. Work\n", **files}, "Begin", base="main")
    lease = Lease("work-item-processor-lock", "arn:aws:states:x:1:execution:w:run-1", 1, expires_at=0)
    request = BuildRequest("acme/shop", BRANCH, commit, SPEC, 1, lease)
    parent = BuildEnvironment({**os.environ, "PATH": SYSTEM_PATH, "AGENT_USER": "own"}, configured or {})
    workspace = folder / "workspace"
    workspace.mkdir()
    checkout = check_out(request, workspace, github.git_url, GitCredentials("git", PASSWORD), parent)

    def commit_more(changed: Mapping[str, str]) -> str:
        later = repository.git.commit(BRANCH, changed, "Work")
        checkout.git.network("fetch", "--quiet", "origin", later)
        return later

    with sandbox(parent, workspace, print) as agent, another_user(agent) as tests:
        lines: list[str] = []
        setup = Setup((check,), parent, lambda: nullcontext(lines.append), str, secrets or {})
        said: list[str] = []
        gate = GateWorkspace(request, Folders(workspace), agent, tests, setup, said.append, folder)
        scene = Scene(gate, checkout, commit_more, parent, lines, said)
        try:
            gate.prepare(checkout, Submodules({}))
        except BuildStopped as stop:
            stop.details += "\n".join(lines)
            raise
        yield scene


def chosen(**more: object) -> Check:
    """Return a check without coverage, of which detection chooses what ``more`` leaves out."""
    return Check(coverage=CoverageSettings(threshold=None), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "style", [pytest.param(style, marks=() if style == IN_EVERY_RUN else pytest.mark.exhaustive) for style in STYLES]
)
def test_project_is_installed_and_its_sources_are_tested(github: StandInGitHub, tmp_path: Path, style: str) -> None:
    """The tests see each change of the sources without another setup, and no old copy."""
    source, manifests = STYLES[style]
    with prepared(github, tmp_path, {**manifests, source: ONE, "tests/test_price.py": TEST}, chosen()) as scene:
        passed = scene.test(chosen(), scene.checkout.commit)
        broken = scene.commit({source: "PRICE = 2\n"})
        with pytest.raises(BuildStopped, match="test_price") as stop:
            scene.test(chosen(), broken)

    assert passed.sign == "report", scene.lines
    assert passed.command[0] == ".venv/bin/python"
    assert stop.value.outcome is Outcome.TESTS_FAILED
    assert scene.said == [], "setup runs once"


@pytest.mark.exhaustive
@pytest.mark.exhaustive
def test_change_of_manifest_sets_up_again(github: StandInGitHub, tmp_path: Path) -> None:
    source, manifests = STYLES["src layout with an extra"]
    with prepared(github, tmp_path, {**manifests, source: ONE, "tests/test_price.py": TEST}, chosen()) as scene:
        more = manifests["pyproject.toml"].replace('["pytest"]', '["pytest", "sniffio"]')
        changed = scene.commit({"pyproject.toml": more, "tests/test_price.py": f"import sniffio\n{TEST}"})

        assert scene.test(chosen(), changed).passed
    assert scene.said == ["setup runs again, because the work changes 'pyproject.toml'"]


@pytest.mark.exhaustive
def test_first_test_that_needs_pytest_sets_up_again(github: StandInGitHub, tmp_path: Path) -> None:
    """Without any manifest. The virtual environment without packages does not need an index."""
    with prepared(github, tmp_path, {"shop.py": ONE, "tests/test_a.py": UNITTEST}, chosen()) as scene:
        first = scene.test(chosen(), scene.checkout.commit)
        second = scene.test(chosen(), scene.commit({"tests/test_price.py": TEST}))

    assert (first.sign, second.sign) == ("summary", "report")
    assert not [line for line in first.command if "coverage" in line], "the worker's own coverage is not used"
    assert scene.said == ["setup runs again, because the work changes how the project is installed"]


def test_package_of_worker_is_not_importable(github: StandInGitHub, tmp_path: Path) -> None:
    """Otherwise tests pass here that fail everywhere else."""
    files = {"shop.py": ONE, "tests/test_a.py": UNITTEST.replace("import unittest", "import unittest, pydantic")}
    with (
        prepared(github, tmp_path, files, chosen()) as scene,
        pytest.raises(BuildStopped, match="exit code 1") as stop,
    ):
        scene.test(chosen(), scene.checkout.commit)

    assert "No module named 'pydantic'" in stop.value.details


def test_configured_tests_run_in_virtual_environment(github: StandInGitHub, tmp_path: Path) -> None:
    """``python`` and installed programs are found, although the command does not name their folder."""
    show = "for name in python python3; do $name -c 'import sys; print(sys.prefix)'; done"
    show += "; command -v pip; command -v tool; echo $VIRTUAL_ENV $TZ ${TOKEN:-no token}; echo Ran 1 test in 0s"
    check = chosen(
        directory="api",
        setup=(
            *("sh", "-eu", "-c"),
            f'{PYTHON} -m venv .venv; bin="$HOME/.local/bin"; mkdir -p $bin; cp /bin/true $bin/tool; echo $TZ $TOKEN',
        ),
        test=("sh", "-eu", "-c", show),
    )
    files = {"api/shop.py": ONE}
    with prepared(github, tmp_path, files, check, {"TZ": "Asia/Tokyo"}, {"TOKEN": "for setup"}) as scene:
        assert scene.lines[-1] == "Asia/Tokyo for setup"
        assert scene.gate.virtual_environments == ("api",)
        assert scene.test(check, scene.checkout.commit).passed

    workspace = scene.gate.folders
    environment = f"{workspace.checkout}/api/.venv"
    assert scene.lines[-6:-1] == [
        *(environment, environment, f"{environment}/bin/pip", f"{workspace.home}/.local/bin/tool"),
        f"{environment} Asia/Tokyo no token",
    ]


@pytest.mark.parametrize(
    ("files", "check", "message"),
    [
        (
            {"api/pyproject.toml": PROJECT, "web/pyproject.toml": PROJECT, "api/pytest.ini": "", "web/pytest.ini": ""},
            chosen(),
            "nothing can be chosen to test: the root is no project of a known ecosystem, but api, web are",
        ),
        ({}, chosen(directory="api"), "the directory 'api' of the check '' does not exist"),
        ({"pyproject.toml": PROJECT.replace("3.9", "9.9")}, chosen(), "setup ended with exit code 1"),
    ],
)
def test_setup_that_cannot_succeed_is_the_repositorys_failure(
    github: StandInGitHub, tmp_path: Path, files: dict[str, str], check: Check, message: str
) -> None:
    with pytest.raises(BuildStopped, match=message) as stop, prepared(github, tmp_path, files, check):
        pass

    assert stop.value.outcome is Outcome.SETUP_FAILED
    assert ".kiro-worker.yml" in stop.value.remedy


@as_root
def test_build_sets_up_a_project_without_configuration(worker: Worker) -> None:
    """The agent finds the tests' Python first, and its own program is none that the branch installs."""
    source, manifests = STYLES["src layout with an extra"]
    scripts = '[project.scripts]\npython3-agent = "shop:main"\n'
    files = {
        **dict.fromkeys(("shop/__init__.py", "shop/orders.py", "tests/__init__.py", "tests/test_orders.py")),
        "pyproject.toml": manifests["pyproject.toml"] + scripts,
        source: ONE,
        "tests/test_price.py": TEST,
    }
    worker.commit = worker.repository.git.commit(BRANCH, files, "Add the project")
    builder = Builder(worker, has_own_users=True)

    finished = builder.build(
        "import shutil; print('finds', shutil.which('python'), shutil.which('pytest'), os.environ['VIRTUAL_ENV'])\n"
        "print('runs', subprocess.run(['pytest', '-q'], capture_output=True, text=True).stdout.split()[-3:])\n"
        "pathlib.Path('src/shop/more.py').write_text('MORE = 1\\n')\n"
        "test = 'import shop.more\\ndef test_more(): assert shop.more.MORE\\n'\n"
        "pathlib.Path('tests/test_more.py').write_text(test)\n",
        setup=None,
        test=None,
    )

    assert finished.outcome == "Succeeded", finished.log
    agent = printed(finished, "[agent] ")
    assert agent[0].count("/.venv/bin/") == 2, agent
    assert agent[1].startswith("runs ['passed'") or "passed" in agent[1]
    assert any(line.startswith("detected: pyproject.toml → pip install -e . with extra tests") for line in
               printed(finished, "[setup] "))  # fmt: skip
    assert finished.exports["TESTS_SUMMARY"].startswith("2 passed")
    assert "setup runs again" not in finished.log


def test_files_with_a_secret_of_setup_reach_neither_agent_nor_tests(github: StandInGitHub, tmp_path: Path) -> None:
    """Package managers keep the credentials of a registry in settings, of which the agent gets some folders."""
    token = "registry-token-4711"
    setup = """
        mkdir -p ~/.m2 ~/.config/pip .npm-local
        echo "<password>$TOKEN</password>" > ~/.m2/settings.xml
        echo "_auth=$(printf 'user:%s' "$TOKEN" | base64)" > ~/.npmrc
        echo "https://user:$TOKEN@registry.example" > .npm-local/settings
        echo kept > ~/.m2/kept; echo kept > .npm-local/kept; ln -s ~/.npmrc .npm-local/link
    """
    shown = "cat ~/.m2/* ~/.npmrc .npm-local/* 2>&1; echo '1 passed, 0 failed'"
    check = chosen(setup=("sh", "-eu", "-c", setup), test=("sh", "-c", shown))
    with prepared(github, tmp_path, {"a.txt": ""}, check, secrets={"TOKEN": token}) as scene:
        scene.test(check, scene.checkout.commit)
        agents = [
            path.read_text()
            for path in (*scene.gate.folders.home.rglob("*"), *(scene.checkout.folder / ".npm-local").iterdir())
            if path.is_file()
        ]

    assert agents == ["kept\n", "kept\n"]
    assert scene.lines.count("kept") == 2
    assert token not in "\n".join((*scene.lines, *scene.said))
    assert any("because a secret of setup is in it" in line and ".m2/settings.xml" in line for line in scene.said)


def test_test_in_another_language_does_not_replace_the_projects_own(github: StandInGitHub, tmp_path: Path) -> None:
    """The work breaks the tests in JavaScript, and adds a script in Python with a test, which comes first."""
    node = "require('node:test')('price', () => require('node:assert').equal(require('./shop'), 1))\n"
    files = {"package.json": '{"scripts": {"test": "node --test"}}', "shop.test.js": node}
    with prepared(github, tmp_path, files | {"shop.js": "module.exports = 1\n"}, chosen()) as scene:
        assert scene.test(chosen(), scene.checkout.commit).command == ("npm", "test")
        script = {"tests/test_tool.py": UNITTEST.replace("from shop import PRICE\n", "PRICE = 1\n")}
        both = scene.commit(script | {"shop.js": "module.exports = 2\n"})
        with pytest.raises(BuildStopped) as stop:
            scene.test(chosen(), both)

    assert stop.value.outcome is Outcome.TESTS_FAILED
    assert "npm test" in stop.value.remedy
