"""How a Python project is installed and tested: what its files decide."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kiro_worker.runner.gate.ecosystems.choose import changes_installation, detect
from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.python import detect_python
from kiro_worker.runner.gate.ecosystems.python_versions import pinned_version, version_condition

PYTEST = (".venv/bin/python", "-m", "pytest", "-q")
UNITTEST = (".venv/bin/python", "-m", "unittest", "discover", "-v")
PROJECT = '[build-system]\nrequires = ["hatchling"]\n[project]\nname = "shop"\n'
PYTEST_TEST = {"tests/test_shop.py": "def test_shop():\n    pass\n"}
UNITTEST_TEST = {"tests/test_shop.py": "import unittest\nclass Shop(unittest.TestCase):\n    pass\n"}
GROUPS = '[dependency-groups]\nTesting = ["pytest"]\nlint = ["ruff"]\ndev = [{include-group = "Testing"}]\n'


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def found(folder: Path, files: dict[str, str]) -> Detected:
    detected = detect_python(write(folder, files))
    assert detected
    return detected


@pytest.mark.parametrize(
    ("files", "installs"),
    [
        ({"uv.lock": "", "pyproject.toml": PROJECT + GROUPS}, "uv sync --frozen --group Testing --group dev || uv"),
        ({"pyproject.toml": PROJECT + "[tool.uv]\n"}, "uv sync\n"),
        ({"uv.lock": "", "pyproject.toml": PROJECT + '[project.optional-dependencies]\ntest = ["pytest"]\n'},
         "uv sync --frozen --extra test || uv sync --frozen"),
        ({"uv.lock": "", "pyproject.toml": '[project]\n[tool.uv.workspace]\nmembers = ["a"]\n[tool.pytest]\n'},
         "uv sync --frozen --all-packages"),
        ({"uv.lock": "", "poetry.lock": "", "pyproject.toml": PROJECT}, "uv sync --frozen"),
        ({"poetry.lock": "", "pyproject.toml": PROJECT}, "poetry install --no-interaction ||"),
        ({"pyproject.toml": '[tool.poetry]\nname = "shop"\n[tool.poetry.group.test]\noptional = true\n'},
         "poetry install --no-interaction --with test"),
        ({"pyproject.toml": '[tool.poetry]\nname = "shop"\nrequires-poetry = ">=2,<3"\n'}, "install 'poetry>=2,<3'"),
        ({"pyproject.toml": PROJECT + "[tool.poetry]\n" + GROUPS}, "pip install -e . --group Testing --group dev"),
        ({"pyproject.toml": PROJECT + '[tool.poetry.dependencies]\nflask = {source = "own"}\n'}, "poetry install"),
        ({"pdm.lock": "", "pyproject.toml": PROJECT + GROUPS},
         "pdm install --frozen-lockfile --group Testing --group dev"),
        ({"Pipfile": "", "Pipfile.lock": "{}"}, "pipenv sync --dev"),
        ({"Pipfile": "", "requirements.txt": ""}, "pipenv install --dev"),
        ({"pyproject.toml": PROJECT}, "pip install -e . -- pytest\n"),
        ({"pyproject.toml": PROJECT + GROUPS},
         "pip install -e . --group Testing --group dev || .venv/bin/python -m pip install -e . --group Testing\n"),
        ({"pyproject.toml": PROJECT + '[project.optional-dependencies]\ntests = ["pytest"]\ndev = []\ndocs = []\n'},
         "pip install -e '.[tests,dev]' || .venv/bin/python -m pip install -e '.[tests]'\n"),
        ({"setup.py": "from setuptools import setup\nsetup(extras_require={'test': ['pytest'], 'docs': []})"},
         "pip install -e '.[test]'"),
        ({"setup.cfg": "[metadata]\nname = shop\n[options.extras_require]\ntesting =\n    pytest\n"},
         "pip install -e '.[testing]'\n"),
        ({"pyproject.toml": PROJECT, "requirements/tests.in": "", "requirements/tests.txt": "pytest",
          "requirements/dev.txt": "sphinx"}, "pip install -e . -r requirements/tests.txt\n"),
        ({"requirements.txt": "flask\n", "requirements-dev.txt": "pytest\n", "docs/requirements.txt": ""},
         "pip install -r requirements.txt -r requirements-dev.txt\n"),
        ({"requirements.txt": "flask\n", **PYTEST_TEST},
         "install -r requirements.txt\n.venv/bin/python -m pip install pytest\n"),
        ({"requirements.txt": "flask==3 --hash=sha256:00\n", "setup.py": "", **PYTEST_TEST},
         "pip install -r requirements.txt\n.venv/bin/python -m pip install -e . -- pytest"),
        ({"pyproject.toml": PROJECT + '[tool.hatch.envs.test]\ndependencies = ["pytest", "{root:uri}"]\n'},
         "pip install -e . -- pytest\n"),
        ({"setup.py": "", "tox.ini": "[testenv]\ndeps =\n    pytest-mock\n    py39: old\n    -r{toxinidir}/more.txt\n"
          "extras = test\ncommands = pytest {posargs}\n", "more.txt": "", **PYTEST_TEST},
         "pip install -e '.[test]' -r more.txt -- pytest-mock pytest\n"),
        ({"pyproject.toml": '[project]\nname = "app"\ndependencies = ["flask"]\n', **PYTEST_TEST},
         "pip install -e . -- pytest || .venv/bin/python -m pip install -- flask pytest\n"),
        (PYTEST_TEST, "pip install pytest\n"),
    ],
)  # fmt: skip
def test_manifest_decides_what_is_installed(tmp_path: Path, files: dict[str, str], installs: str) -> None:
    detected = found(tmp_path, files)

    assert detected.setup[:3] == ("sh", "-eu", "-c")
    assert installs in detected.setup[3]
    subprocess.run(["sh", "-n", "-c", detected.setup[3]], check=True)


@pytest.mark.parametrize(
    ("files", "command"),
    [
        *(({name: ""}, PYTEST) for name in ("pytest.ini", ".pytest.ini", "pytest.toml", "tests/conftest.py")),
        ({"tox.ini": "[pytest]\n"}, PYTEST),
        (PYTEST_TEST, PYTEST),
        ({"test_shop.py": "import pytest\n"}, PYTEST),
        ({"src/shop/tests/test_shop.py": "from unittest import TestCase\n"}, PYTEST),
        ({"test_shop.py": "class TestShop:\n    def test_it(self): ...\n"}, PYTEST),
        ({"test_shop.py": "class Shop(IsolatedAsyncioTestCase):\n    async def test_it(self): ...\n"}, UNITTEST),
        ({"shop_test.py": "from unittest import TestCase\n"}, PYTEST),
        ({"requirements.txt": "PyTest>=8\n", **UNITTEST_TEST}, PYTEST),
        (UNITTEST_TEST, (*UNITTEST, "-s", "tests")),
        ({"tests/__init__.py": "", **UNITTEST_TEST}, UNITTEST),
        ({"test_shop.py": UNITTEST_TEST["tests/test_shop.py"]}, UNITTEST),
        ({"manage.py": "DJANGO_SETTINGS_MODULE"}, (".venv/bin/python", "manage.py", "test", "--noinput")),
        ({"manage.py": "DJANGO_SETTINGS_MODULE", "pytest.ini": ""}, PYTEST),
        ({"tox.ini": "[testenv]\ncommands = python check.py\n"}, (".venv/bin/python", "-m", "tox", "run", "-e", "py")),
        ({"noxfile.py": "def tests(session): pass\n"},
         (".venv/bin/python", "-m", "nox", "-r", "--no-error-on-missing-interpreters", "-s", "tests")),
    ],
)  # fmt: skip
def test_settings_and_test_files_decide_how_tests_run(
    tmp_path: Path, files: dict[str, str], command: tuple[str, ...]
) -> None:
    assert found(tmp_path, files).test == command


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"README.md": ""},
        {"pyproject.toml": "[tool.ruff]\n"},
        {"setup.cfg": "[flake8]\n"},
        {"noxfile.py": "def docs(session): pass\n"},
        {"docs/test_code.py": "import pytest\n"},
        {"pyproject.toml": "not toml ["},
        {"testing.py": "TestCase"},
    ],
)
def test_other_folders_are_no_python_project(tmp_path: Path, files: dict[str, str]) -> None:
    assert detect_python(write(tmp_path, files)) is None


def test_unittest_without_manifest_needs_no_index(tmp_path: Path) -> None:
    setup = found(tmp_path, UNITTEST_TEST).setup[3]

    assert "--without-pip" in setup
    assert "pip install" not in setup


def test_reason_names_files_and_what_is_missing(tmp_path: Path) -> None:
    files = {"pyproject.toml": PROJECT + '[project.optional-dependencies]\ntest = ["hypothesis"]\n', **PYTEST_TEST}

    reason = "pyproject.toml → pip install -e . with extra test, pytest, which is not declared"
    assert found(tmp_path, files).reason == f"{reason}; tests that import pytest or are functions → pytest"


@pytest.mark.parametrize(
    ("build", "variable"),
    [
        ("setuptools-scm>=8", "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MY_SHOP="),
        ("setuptools_scm[toml]", "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MY_SHOP="),
        ("hatch-vcs", "SETUPTOOLS_SCM_PRETEND_VERSION="),
        ("pbr", "PBR_VERSION="),
    ],
)
def test_version_comes_from_sdist_where_no_tag_is(tmp_path: Path, build: str, variable: str) -> None:
    """Otherwise pytest, which needs pluggy 1.5 or newer, could not be installed beside pluggy 0.1.dev1."""
    text = f'[build-system]\nrequires = ["{build}"]\n[project]\nname = "my.shop"\ndynamic = ["version"]\n'
    setup = found(tmp_path, {"pyproject.toml": text}).setup[3]
    version = setup[setup.index("if [ -f PKG-INFO") :].partition("\nfi\n")[0] + "\nfi\nenv"
    (tmp_path / "PKG-INFO").write_text("Name: x\nVersion: 1.7.0\n\nVersion: 2\n")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "-q"], cwd=tmp_path, check=True)

    def names() -> str:
        environment = {"PATH": os.environ["PATH"]}
        run = subprocess.run(
            ["sh", "-eu", "-c", version], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return run.stdout

    assert f"\n{variable}1.7.0\n" in f"\n{names()}"
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], cwd=tmp_path, check=True)
    subprocess.run([*git, "tag", "v1"], cwd=tmp_path, check=True)
    assert variable not in names()
    assert "PKG-INFO" not in found(tmp_path, {"pyproject.toml": PROJECT}).setup[3]


@pytest.mark.parametrize(
    ("specifier", "fits", "does_not_fit"),
    [
        ("", [(3, 6, 0), (4, 0, 0)], []),
        (">=3.9", [(3, 9, 0), (3, 13, 1)], [(3, 8, 18)]),
        (">= 3.9, < 3.13", [(3, 12, 9)], [(3, 13, 0), (3, 8, 0)]),
        (">=3.8,!=3.9.*,!=3.10.1", [(3, 8, 0), (3, 10, 0)], [(3, 9, 4), (3, 10, 1)]),
        ("==3.11.*", [(3, 11, 7)], [(3, 12, 0)]),
        ("==3.11.7", [(3, 11, 7)], [(3, 11, 8)]),
        ("~=3.9", [(3, 9, 1), (3, 14, 0)], [(4, 0, 0), (3, 8, 0)]),
        ("~=3.9.2", [(3, 9, 2)], [(3, 9, 1), (3, 10, 0)]),
        ("^3.8", [(3, 8, 0), (3, 14, 0)], [(4, 0, 0), (3, 7, 9)]),
        ("~3.8", [(3, 8, 9)], [(3, 9, 0)]),
        ("3.12", [(3, 12, 4)], [(3, 11, 0)]),
        ("3.8.*", [(3, 8, 4)], [(3, 9, 0)]),
        (">=3.8 <3.10 || ^3.12", [(3, 9, 9), (3, 12, 1)], [(3, 10, 0), (3, 11, 0)]),
        ("*", [(3, 6, 0)], []),
        ("'; import os", [(3, 6, 0)], []),
    ],
)
def test_python_version_is_compared_as_the_project_says(
    specifier: str, fits: list[tuple[int, int, int]], does_not_fit: list[tuple[int, int, int]]
) -> None:
    condition = version_condition(specifier)

    assert not set(condition) - set("v[]:(),=!<>0123456789 andorTrue")
    for version in fits:
        assert eval(condition, {"v": version}), (condition, version)  # noqa: S307  # what is tested
    for version in does_not_fit:
        assert not eval(condition, {"v": version}), (condition, version)  # noqa: S307


def test_pinned_version() -> None:
    assert [pinned_version(text) for text in ("3.12\n", "3.12.4", "cpython-3.11", "pypy3.10", "", "system")] == [
        *("3.12", "3.12", "3.11", "", "", ""),
    ]


def test_python_that_does_not_exist_is_named(tmp_path: Path) -> None:
    text = '[project]\nname = "shop"\nrequires-python = ">=9.7; rm -rf / \\u001b"\n'
    setup = found(tmp_path, {"pyproject.toml": text}).setup
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"

    # A clause that is not understood is left to pip, so what can be understood must be alone.
    fixed = found(tmp_path, {"pyproject.toml": text.replace("; rm -rf / \\u001b", "")}).setup
    ended = subprocess.run(fixed, cwd=tmp_path, env={"PATH": path, "HOME": "/"}, capture_output=True, text=True)

    assert "\x1b" not in setup[3]
    assert ended.returncode == 1
    assert "No Python on this machine fits requires-python >=9.7" in ended.stdout
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in ended.stdout


def test_uv_workspace_without_tests_at_root_names_members(tmp_path: Path) -> None:
    files = {f"packages/{name}/pyproject.toml": PROJECT for name in ("api", "it's")}
    files["pyproject.toml"] = '[tool.uv.workspace]\nmembers = ["packages/*"]\n'

    detected = found(tmp_path, files)

    assert (detected.setup, detected.test) == ((), ())
    assert '  - directory: packages/api\n  - directory: "packages/it\'s"' in detected.problem
    assert "checks:" in detected.problem
    assert ".kiro-worker.yml" in detected.problem


def test_projects_in_folders_are_named(tmp_path: Path) -> None:
    files = {f"{name}/pyproject.toml": PROJECT for name in ("api", "web/server", "docs", "examples/one")}
    files |= {f"{name}/tests/test_x.py": "import pytest\n" for name in ("api", "web/server")}

    detected = detect(write(tmp_path, files))

    assert "checks:\n  - directory: api\n  - directory: web/server" in detected.problem
    assert "examples" not in detected.problem


def test_single_project_in_folder_is_named(tmp_path: Path) -> None:
    detected = detect(write(tmp_path, {"backend/requirements.txt": "", "backend/test_x.py": "import pytest\n"}))

    assert "write `directory: backend`" in detected.problem


def test_folder_without_project_is_no_problem(tmp_path: Path) -> None:
    assert detect(write(tmp_path, {"README.md": ""})) == Detected("", "no file of a known ecosystem is in the folder")


def test_tests_come_before_order_and_problems_come_last(tmp_path: Path) -> None:
    tested, other = (
        Detected("node", "package.json", test=("npm", "test")),
        Detected("go", "go.mod", test=("go", "test")),
    )
    untested, unlikely = Detected("ruby", "Gemfile"), Detected("python", "pyproject.toml", test=("x",), likely=False)
    unclear = Detected("java", "pom.xml", problem="choose")

    def chosen(*found: Detected) -> str:
        return detect(tmp_path, [lambda _, one=one: one for one in found]).ecosystem  # type: ignore[misc]

    assert chosen(tested, other) == "node"
    assert chosen(other, tested) == "go"
    assert chosen(untested, unlikely, tested) == "node"
    assert chosen(unclear, unlikely) == "python"
    assert detect(tmp_path, [lambda _: untested, lambda _: tested]).reason == "package.json (also found: ruby)"


def test_files_that_change_installation() -> None:
    manifests = [
        *("pyproject.toml", "services/api/uv.lock", "requirements/test.txt", "requirements-dev.txt", "src/fast.pyx"),
        *("src/lib.rs", "package.json"),
    ]

    assert (
        changes_installation([*manifests, "shop/orders.py", "README.md", "tests/data.txt", "web/index.js"]) == manifests
    )


def test_hostile_manifests_are_only_read(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": "[project]\nname = 3\nrequires-python = 3\ndependencies = {}\n"
        '[project.optional-dependencies]\n"test] ; touch owned" = ["x"]\ntest = "no list"\n'
        '[dependency-groups]\ntest = [{include-group = "test"}, 3]\ndev = 7\n'
        "[tool]\nhatch = {envs = 4}\nuv = {dev-dependencies = 4}\npdm = {dev-dependencies = {dev = [3, 4]}}\n"
        "poetry = {group = 3}\ntox = {legacy_tox_ini = '['}\n",
        "tox.ini": "[testenv]\ndeps = $(touch owned)\n    x; touch owned\n",
        "requirements.txt": "--index-url=x\n",
        **PYTEST_TEST,
    }  # fmt: skip

    detected = found(tmp_path, files)

    assert "'x; touch owned'" in detected.setup[3] or "touch owned" not in detected.setup[3]
    (tmp_path / "pyproject.toml").unlink()
    (tmp_path / "pyproject.toml").symlink_to("/etc/passwd")
    assert found(tmp_path, {}).test == PYTEST


LOCAL: tuple[tuple[dict[str, str], bool], ...] = (
    ({"requirements.txt": "flask\n.\n"}, False),
    ({"requirements.txt": "./libs/common[extra] ; python_version > '3'\n"}, False),
    ({"requirements.txt": "libs/common\n"}, False),
    ({"requirements.txt": "common @ file:./libs/common\n"}, False),
    ({"requirements.txt": "-r more/test.txt\n", "more/test.txt": "-r other.txt", "more/other.txt": "../lib\n"}, False),
    ({"requirements.txt": "-e .\n--editable ./lib\nflask>=1\nhttps://example.com/a.whl\n# ./lib\n-c limits.txt"}, True),
    ({"requirements.txt": "-r requirements.txt\nflask @ https://example.com/a.whl\ngit+https://example.com/a\n"}, True),
    ({"pyproject.toml": PROJECT + 'dependencies = ["common @ file:///${PROJECT_ROOT}/libs/common"]\n'}, False),
    ({"pyproject.toml": PROJECT + '[dependency-groups]\ntest = ["common @ file:./libs/common"]\n'}, False),
    ({"pyproject.toml": PROJECT + 'readme = {file = "README"}\ndependencies = ["a @ https://x/a.whl"]\n'}, True),
    ({"pyproject.toml": PROJECT + '[tool.uv.sources]\ncommon = {path = "libs/common"}\n'}, False),
    ({"pyproject.toml": PROJECT + '[tool.uv.sources]\ncommon = [{path = "libs/common", editable = true}]\n'}, True),
    ({"pyproject.toml": PROJECT + "[tool.uv.sources]\ncommon = {workspace = true}\n"}, True),
    ({"pyproject.toml": PROJECT + "[tool.uv.sources]\ncommon = {workspace = true, editable = false}\n"}, False),
    ({"pyproject.toml": '[tool.poetry.dependencies]\ncommon = {path = "libs/common"}\n'}, False),
    ({"pyproject.toml": '[tool.poetry.group.test.dependencies]\ncommon = {path = "../common"}\n'}, False),
    ({"pyproject.toml": '[tool.poetry.dependencies]\ncommon = {path = "libs/common", develop = true}\n'}, True),
    ({"Pipfile": '[packages]\nshop = {path = "."}\n'}, False),
    ({"Pipfile": '[packages]\nshop = {path = ".", editable = true}\n'}, True),
)


@pytest.mark.parametrize(("files", "follows"), LOCAL)
def test_installation_that_copies_sources_runs_again(tmp_path: Path, files: dict[str, str], follows: bool) -> None:
    """Else the tests would run against the code as it was before the work."""
    assert found(tmp_path, files | PYTEST_TEST).follows_sources is follows


def test_nothing_in_the_virtual_environment_is_committed(tmp_path: Path) -> None:
    """What an agent installs into it would make its tests pass, and no manifest would name it."""
    setup = found(tmp_path, UNITTEST_TEST).setup
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run(setup, cwd=tmp_path, env=environment, check=True)
    (tmp_path / ".venv/lib/new.py").touch()

    git = ["git", "-c", "safe.directory=*"]
    subprocess.run([*git, "init", "-q"], cwd=tmp_path, check=True)
    shown = subprocess.run([*git, "status", "--short"], cwd=tmp_path, check=True, capture_output=True, text=True)

    assert shown.stdout == "?? tests/\n"
