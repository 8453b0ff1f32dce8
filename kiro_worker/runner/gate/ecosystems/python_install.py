"""The scripts that install a Python project for its tests, into a virtual environment ``.venv`` in its folder.

Nothing is shared with the worker's own environment, so that no test imports a package that only the worker has. The
project itself is installed in a way that follows its sources (editable), because setup then runs once, and the tests of
the agent's work never see an old copy.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.ecosystems.python_project import PythonProject
from kiro_worker.runner.gate.ecosystems.python_values import DEV_NAMES, normalized
from kiro_worker.runner.gate.ecosystems.python_versions import pinned_version, version_condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PYTHON: Final = ".venv/bin/python"
_NEWEST_MINOR: Final = 15
_OLDEST_MINOR: Final = 6
# The venv module writes the .gitignore since Python 3.13. Without it, what the agent installs would be committed, and
# its tests would pass with packages that no manifest names.
_FIND_PYTHON: Final = """\
python=
shims=$(command -v python3 || true)
for candidate in {candidates} "${{shims%/shims/python3}}"/versions/*/bin/python3; do
  if "$candidate" -c {check} 2>/dev/null; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
  printf '%s\\n' {message}
  for candidate in {candidates} "${{shims%/shims/python3}}"/versions/*/bin/python3; do
    "$candidate" -c 'import sys; print(" ", sys.executable, sys.version.split()[0])' 2>/dev/null || true
  done
  exit 1
fi
"$python" -m venv {options}.venv
[ -e .venv/.gitignore ] || echo '*' > .venv/.gitignore
echo "Python $(.venv/bin/python -c 'import sys; print(sys.version.split()[0], "of", sys.base_prefix)')"
export VIRTUAL_ENV="$PWD/.venv" PATH="$PWD/.venv/bin:$HOME/.local/bin:$PATH"
"""
_CHECK: Final = "import sys, venv{modules}; v = sys.version_info[:3]; sys.exit(not ({condition}))"
# No cache, because everything in the home folder is copied for each user.
_PIP: Final = """\
export PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off PIP_NO_CACHE_DIR=1
"""
# Older versions know neither dependency groups (25.1) nor editable installs without setup.py (21.3).
_UPGRADE_PIP: Final = """\
.venv/bin/python -m pip install --upgrade pip || echo "pip cannot be upgraded, so the installed version is used"
"""
_TOOL: Final = """\
if ! {tool} --version >/dev/null 2>&1; then
  "$python" -m venv "$HOME/.local/lib/{tool}"
  "$HOME/.local/lib/{tool}/bin/python" -m pip install {requirement}
  mkdir -p "$HOME/.local/bin"
  ln -sf "../lib/{tool}/bin/{tool}" "$HOME/.local/bin/{tool}"
fi
"""
# Packages without tags get the version that their source distribution names: a package that pytest itself needs could
# not be installed beside it with the version 0.1 that such tools make up.
_VERSION: Final = """\
if [ -f PKG-INFO ] && [ -z "$(git tag --list 2>/dev/null | head -n 1)" ]; then
  version=$(sed -n 's/^Version: \\([0-9][0-9A-Za-z.!+]*\\)[[:space:]]*$/\\1/p;/^[[:space:]]*$/q' PKG-INFO | head -n 1)
  if [ -n "$version" ]; then
    echo "the repository has no tag, so the version is $version, from PKG-INFO"
    export {variables}
  fi
fi
"""
_VERSION_TOOLS: Final = (
    ("hatch-vcs", "SETUPTOOLS_SCM_PRETEND_VERSION"),
    ("pbr", "PBR_VERSION"),
    ("pdm-backend", "PDM_BUILD_SCM_VERSION"),
    ("poetry-dynamic-versioning", "POETRY_DYNAMIC_VERSIONING_BYPASS"),
    ("uv-dynamic-versioning", "UV_DYNAMIC_VERSIONING_BYPASS"),
)
"""Tools that derive a version from tags, and the variable that overrides it."""


def prepare(project: PythonProject, *, installs: bool = True, with_pip: bool = True) -> str:
    """Return the script that finds a Python of a version that the project accepts, and makes ``.venv`` with it.

    ``installs`` is False if nothing is installed afterwards, and ``with_pip`` if that is done by another tool.
    """
    specifier = project.requires_python
    pinned = pinned_version(project.settings.text(".python-version"))
    minors = range(_NEWEST_MINOR, _OLDEST_MINOR - 1, -1)
    candidates = [*([f"python{pinned}"] if pinned else []), "python3", "python", *(f"python3.{n}" for n in minors)]
    check = _CHECK.format(modules=", ensurepip" if installs else "", condition=version_condition(specifier))
    wanted = f"requires-python {ascii(specifier[:100])[1:-1]}" if specifier else "this project"
    message = (
        f"No Python on this machine fits {wanted}: use a build image that has one, with the modules venv and ensurepip."
        " Found:"
    )
    return _FIND_PYTHON.format(
        candidates=" ".join(dict.fromkeys(candidates)),
        check=shlex.quote(check),
        message=shlex.quote(message),
        options="" if installs and with_pip else "--without-pip ",
    ) + (_PIP if installs else "")


def pretend_version(project: PythonProject) -> str:
    """Return the script that names the version if it is derived from tags, and there are none; empty if it is not."""
    tools = normalized(str(project.pyproject.get("build-system", "")) + project.settings.text("setup.py"))
    variables = [variable for tool, variable in _VERSION_TOOLS if re.search(rf"\b{tool}\b", tools)]
    if "setuptools-scm" in tools:
        # Only for the project itself, because its dependencies may be built from source, too.
        own = f"_FOR_{normalized(project.name).replace('-', '_').upper()}" if project.name else ""
        variables.append(f"SETUPTOOLS_SCM_PRETEND_VERSION{own}")
    return _VERSION.format(variables=" ".join(f'{name}="$version"' for name in variables)) if variables else ""


def install_with_pip(project: PythonProject, extra: Sequence[str]) -> str:
    """Return the script that installs the project, if it is one, and everything that its tests need.

    ``extra`` are requirements that the project does not declare.
    """
    script = _UPGRADE_PIP
    files = project.requirement_files
    locked = [file for file in files if "--hash" in project.settings.text(file)]
    if locked:
        # With a hash anywhere, pip demands one for everything in the same command.
        script += _pip(*_file_options(locked))
    files = tuple(file for file in files if file not in locked)
    if not project.is_distribution:
        script += _pip(*_file_options(files)) if files else ""
        return script + (_pip(*extra) if extra else "")
    script += pretend_version(project)
    loose = (*project.hatch_requirements, *project.tox_requirements, *extra)
    everything = _install_project(project.extras, project.groups, files, loose)
    # What only developers need may be impossible to install here, while the tests can run without it.
    extras, groups = tuple(filter(_is_for_tests, project.extras)), tuple(filter(_is_for_tests, project.groups))
    attempts = [everything, _install_project(extras, groups, tuple(filter(_is_for_tests, files)), loose)]
    if not project.has_build_system and (project.dependencies or files):
        # An application whose folders are no packages cannot be installed, but runs in its folder.
        attempts.append(_pip(*_file_options(files), "--", *project.dependencies, *loose))
    return script + " || ".join(attempt.strip() for attempt in dict.fromkeys(attempts)) + "\n"


def install_with_uv(project: PythonProject, extra: Sequence[str]) -> str:
    """Return the script of ``uv sync``, which installs exactly what ``uv.lock`` names if there is one."""
    frozen = ["--frozen"] if project.has("uv.lock") else []
    everything = ["--all-packages"] if project.tool("uv", "workspace") else []
    names = [word for name in project.extras if name in _static_extras(project) for word in ("--extra", name)]
    names += [word for name in project.groups for word in ("--group", name)]
    plain = shlex.join(["uv", "sync", *frozen, *everything])
    chosen = shlex.join(["uv", "sync", *frozen, *everything, *names])
    # Some extras and groups exclude each other. The plain command installs what the project itself chose.
    script = _tool("uv") + pretend_version(project) + 'export UV_PYTHON="$python" UV_NO_CACHE=1 UV_NO_PROGRESS=1\n'
    script += f"{chosen} || {plain}\n" if names else f"{plain}\n"
    return script + (shlex.join(["uv", "pip", "install", "--python", PYTHON, *extra]) + "\n" if extra else "")


def install_with_poetry(project: PythonProject, extra: Sequence[str]) -> str:
    """Return the script of ``poetry install``."""
    required = project.tool("poetry").get("requires-poetry")
    requirement = f"poetry{required}" if isinstance(required, str) and required[:1] in "<>=~!" else "poetry"
    names = [word for name in project.extras if name in _static_extras(project) for word in ("--extras", name)]
    names += [word for name in project.poetry_groups for word in ("--with", name)]
    chosen = shlex.join(["poetry", "install", "--no-interaction", *names])
    # An application whose folders are no packages cannot be installed, but runs in its folder.
    script = _tool("poetry", requirement) + pretend_version(project)
    script += f"export POETRY_VIRTUALENVS_IN_PROJECT=true\n{chosen} || {chosen} --no-root\n"
    return script + _missing(extra)


def install_with_pdm(project: PythonProject, extra: Sequence[str]) -> str:
    """Return the script of ``pdm install``."""
    frozen = ["--frozen-lockfile"] if project.has("pdm.lock") else []
    names = [word for name in (*project.extras, *project.pdm_groups) for word in ("--group", name)]
    plain = shlex.join(["pdm", "install", *frozen])
    chosen = shlex.join(["pdm", "install", *frozen, *names])
    script = _tool("pdm") + pretend_version(project) + f"pdm use --first -f {PYTHON}\n"
    script += f"{chosen} || {plain}\n" if names else f"{plain}\n"
    return script + _missing(extra)


def install_with_pipenv(project: PythonProject, extra: Sequence[str]) -> str:
    """Return the script of ``pipenv sync``."""
    command = "pipenv sync --dev" if project.has("Pipfile.lock") else "pipenv install --dev"
    return f"{_tool('pipenv')}export PIPENV_VENV_IN_PROJECT=1 PIPENV_NOSPIN=1\n{command}\n{_missing(extra)}"


def _tool(name: str, requirement: str = "") -> str:
    return _TOOL.format(tool=name, requirement=shlex.quote(requirement or name))


def _missing(requirements: Sequence[str]) -> str:
    return _pip(*requirements) if requirements else ""


def _pip(*words: str) -> str:
    return f"{PYTHON} -m pip install {shlex.join(words)}\n"


def _file_options(files: Iterable[str]) -> list[str]:
    return [word for file in files for word in ("-r", file)]


def _install_project(extras: Sequence[str], groups: Sequence[str], files: Sequence[str], loose: Sequence[str]) -> str:
    editable = f".[{','.join(extras)}]" if extras else "."
    options = [word for group in groups for word in ("--group", group)]
    return _pip("-e", editable, *options, *_file_options(files), *(("--", *loose) if loose else ()))


def _is_for_tests(name: str) -> bool:
    """Return whether a file, an extra or a group is for more than development."""
    return not set(normalized(name.replace("/", "-").removesuffix(".txt").removesuffix(".in")).split("-")) & set(
        DEV_NAMES
    )


def _static_extras(project: PythonProject) -> frozenset[str]:
    """Return the extras that certainly exist, because these tools reject others."""
    found = project.pyproject.get("project")
    names = found.get("optional-dependencies") if isinstance(found, dict) else None
    poetry = project.tool("poetry", "extras")
    return frozenset((*(names if isinstance(names, dict) else ()), *poetry))
