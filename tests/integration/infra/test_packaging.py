from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from infra.errors import SynthError
from infra.packaging import (
    AWS_SERVICES,
    HOST,
    LAMBDA,
    LAMBDA_PLATFORMS,
    ROOT,
    Package,
    Platform,
    package,
    package_runtime,
)
from infra.packaging.files import link_tree
from infra.packaging.wheels import _merge as merge
from infra.packaging.wheels import run_uv
from kiro_worker.names import Names
from tests.support.stacks import Stacks

STEPS = sorted(handler.parent.name for handler in (ROOT / "functions").glob("*/handler.py"))
# The variables of the Lambda runtime that importing a step can depend on.
RUNTIME_ENVIRONMENT = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "LANG": "en_US.UTF-8"}


@pytest.fixture(scope="session")
def lambda_package() -> Package:
    return package(LAMBDA)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def library(folder: Path) -> set[str]:
    """The modules and packages of kiro_worker in a packaged folder."""
    return {path.name.removesuffix(".py") for path in (folder / "python" / "kiro_worker").iterdir()} - {"__pycache__"}


CORE = {
    "__init__", "agent_pin", "agent_steering", "availability", "build_machine", "build_result", "builds",
    "commit_rules", "config", "document", "environment", "errors", "execution_status", "exported_variables", "github",
    "fetched", "lock", "models", "names", "observability", "outcomes", "ownership", "passed_over", "platform_errors",
    "preflight", "records", "recovery", "redaction", "spec", "state", "work_queue",
}  # fmt: skip


def test_layer_holds_only_core(lambda_package: Package) -> None:
    assert library(lambda_package.layer.path) == CORE
    assert {path.name for path in lambda_package.layer.path.iterdir()} == {"python"}
    assert not (lambda_package.layer.path / "python" / "functions").exists()


def test_build_source_adds_the_runner(lambda_package: Package) -> None:
    assert library(lambda_package.source.path) == CORE | {"runner"}
    assert {path.name for path in lambda_package.source.path.iterdir()} == {"buildspec.yml", "start.sh", "python"}


def test_only_build_has_report_parsers(lambda_package: Package) -> None:
    parsers = {"defusedxml", "junitparser"}
    assert parsers <= {path.name for path in (lambda_package.source.path / "python").iterdir()}
    assert not parsers & {path.name for path in (lambda_package.layer.path / "python").iterdir()}


def test_step_is_only_its_handler(lambda_package: Package) -> None:
    assert sorted(lambda_package.functions) == STEPS
    for asset in lambda_package.functions.values():
        assert files(asset.path) == {"handler.py"}


def test_layer_is_for_arm_and_python_3_13(lambda_package: Package) -> None:
    compiled = [name for name in files(lambda_package.layer.path) if name.endswith(".so")]
    assert compiled
    for name in compiled:
        header = (lambda_package.layer.path / name).read_bytes()[:20]
        assert int.from_bytes(header[18:20], "little") == 183, f"{name} is not for aarch64"
        assert "abi3" in name or "cpython-313-" in name


def test_build_source_fits_every_python_of_an_image(lambda_package: Package) -> None:
    compiled = [Path(name) for name in files(lambda_package.source.path) if name.endswith(".so")]
    modules = {name.with_name(name.name.split(".")[0]) for name in compiled if "abi3" not in name.name}
    assert modules
    for module in modules:
        variants = {name.name.split(".")[1] for name in compiled if name.with_name(name.name.split(".")[0]) == module}
        assert variants == {f"cpython-3{minor}-aarch64-linux-gnu" for minor in (11, 12, 13, 14)}, module


def test_x86_gets_its_own_wheels() -> None:
    packaged = package(LAMBDA_PLATFORMS["x86_64"])
    for asset in (packaged.layer, packaged.source):
        compiled = [name for name in files(asset.path) if name.endswith(".so")]
        assert compiled
        for name in compiled:
            header = (asset.path / name).read_bytes()[:20]
            assert int.from_bytes(header[18:20], "little") == 62, f"{name} is not for x86_64"


def test_files_that_differ_between_pythons_are_rejected(tmp_path: Path) -> None:
    for name, text in (("further", "1"), ("folder", "2")):
        (tmp_path / name / "package").mkdir(parents=True)
        (tmp_path / name / "package" / "module.py").write_text(text)
    with pytest.raises(SynthError, match=r"package/module\.py differs between the wheels of two Pythons"):
        merge(tmp_path / "further", tmp_path / "folder")


def standalone_python(folder: Path, platform: Platform) -> dict[str, str]:
    """Offer an archive of a Python as python-build-standalone makes them, and return uv's variables for it."""
    python = folder / "python"
    for name in ("bin", "lib/python3.13/test", "lib/python3.13/encodings", "share/man"):
        (python / name).mkdir(parents=True)
    (python / "bin" / "python3.13").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (python / "bin" / "python3.13").chmod(0o755)
    (python / "bin" / "python3").symlink_to("python3.13")
    data = "# system configuration generated and used by the sysconfig module\nbuild_time_vars = {}\n"
    _, version, _, architecture, _ = platform.bundled_python.split("-")
    (python / "lib" / "python3.13" / f"_sysconfigdata__linux_{architecture}-linux-gnu.py").write_text(data)
    for name in ("os.py", "test/test_os.py", "encodings/utf_8.py"):
        (python / "lib" / "python3.13" / name).write_text("")
    archive = folder / "python.tar.gz"
    with tarfile.open(archive, "w:gz") as opened:
        opened.add(python, "python")
    major, minor, patch = map(int, version.split("."))
    offered = {
        "name": "cpython", "arch": {"family": architecture, "variant": None}, "os": "linux", "libc": "gnu",
        "major": major, "minor": minor, "patch": patch, "prerelease": "", "variant": None, "build": "20261025",
        "url": archive.as_uri(), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
    }  # fmt: skip
    downloads = folder / "downloads.json"
    downloads.write_text(json.dumps({platform.bundled_python: offered}))
    return {"UV_PYTHON_DOWNLOADS_JSON_URL": downloads.as_uri(), "UV_PYTHON_CACHE_DIR": str(folder / "cache")}


def test_source_can_bring_a_python(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in standalone_python(tmp_path, LAMBDA).items():
        monkeypatch.setenv(name, value)
    source = package(LAMBDA, small, bundles_python=True).source
    bundled = source.path / "bundled-python"
    assert "lib/python3.13/test/test_os.py" not in files(bundled)
    assert {"lib/python3.13/os.py", "lib/python3.13/encodings/utf_8.py"} <= files(bundled)
    assert [path.name for path in (bundled / "bin").iterdir()] == ["python3.13"]
    assert {path.name for path in bundled.iterdir()} == {"bin", "lib"}
    assert not [path for path in bundled.rglob("*") if path.is_symlink()]
    assert os.access(bundled / "bin" / "python3.13", os.X_OK)
    assert package(LAMBDA, small).source.digest != source.digest


def test_python_with_another_hash_is_not_brought(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in standalone_python(tmp_path, LAMBDA).items():
        monkeypatch.setenv(name, value)
    downloads = tmp_path / "downloads.json"
    offered = json.loads(downloads.read_text())
    offered[LAMBDA.bundled_python]["sha256"] = "0a" * 32
    downloads.write_text(json.dumps(offered))
    with pytest.raises(SynthError, match=r"(?s)Hash mismatch.*runnerPython=image"):
        package(LAMBDA, small, bundles_python=True)


@pytest.mark.parametrize("platform", [*LAMBDA_PLATFORMS.values(), HOST], ids=lambda platform: platform.name)
def test_pinned_uv_knows_hash_of_bundled_python(platform: Platform) -> None:
    """uv contains the hashes, so that a Python that it does not know could not be checked."""
    known = run_uv(["python", "list", "--all-platforms", "--all-arches", "--all-versions", "--only-downloads"])
    assert platform.bundled_python in known.stdout.split()


def test_layer_is_same_on_every_machine(lambda_package: Package) -> None:
    for name in files(lambda_package.layer.path):
        path = Path(name)
        assert "__pycache__" not in path.parts
        assert path.name not in {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", ".lock"}
    assert not (lambda_package.layer.path / "python" / "bin").exists()


def test_layer_is_far_below_lambda_limits(lambda_package: Package, tmp_path: Path) -> None:
    """50 MB zipped for a direct upload, 250 MB unpacked: AWS Lambda Developer Guide, quotas."""
    archive = tmp_path / "layer.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened:
        for name in files(lambda_package.layer.path):
            opened.write(lambda_package.layer.path / name, name)
    assert archive.stat().st_size < 20e6
    assert sum((lambda_package.layer.path / name).stat().st_size for name in files(lambda_package.layer.path)) < 60e6


def test_called_aws_services_are_packaged(lambda_package: Package) -> None:
    packaged = lambda_package.source.path / "python" / "kiro_worker"
    sources = [*(ROOT / "functions").rglob("*.py"), *packaged.rglob("*.py")]
    called = set().union(*(services_called(file) for file in sources))
    assert {"dynamodb", "secretsmanager", "ssm", "stepfunctions"} <= called <= set(AWS_SERVICES)
    data = lambda_package.layer.path / "python" / "botocore" / "data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == set(AWS_SERVICES)


def services_called(file: Path) -> set[str]:
    return {
        node.args[0].value
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"client", "resource"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


@pytest.mark.parametrize("step", STEPS)
def test_step_imports_only_asset_and_layer(step: str, host_package: Package, stacks: Stacks) -> None:
    asset, layer = host_package.functions[step].path, host_package.layer.path / "python"
    script = (
        "import json, sys\n"
        f"sys.path[:0] = [{str(asset)!r}, {str(layer)!r}]\n"
        "import handler\n"
        "assert callable(handler.handler)\n"
        "files = [getattr(module, '__file__', None) for module in list(sys.modules.values())]\n"
        "print(json.dumps([sys.prefix, sys.base_prefix, [file for file in files if file]]))\n"
    )
    function = stacks.of("AWS::Lambda::Function")[Names("test").function(step)]
    variables = {name: stacks.resolve(value) for name, value in function["Environment"]["Variables"].items()}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", script],
        env=RUNTIME_ENVIRONMENT | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _, base, loaded = json.loads(done.stdout.splitlines()[-1])
    allowed = (str(asset), str(layer), base)
    assert [file for file in loaded if not file.startswith(allowed) or "site-packages" in file] == []


def test_build_imports_only_its_source(host_package: Package) -> None:
    source = host_package.source.path / "python"
    script = f"import sys; sys.path.insert(0, {str(source)!r}); import kiro_worker.runner, boto3, pydantic"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_runtime_client_imports_on_its_own() -> None:
    runtime = package_runtime().path
    script = f"import sys; sys.path.insert(0, {str(runtime)!r}); import awslambdaric.bootstrap, runtime_client"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (runtime / "boto3").exists()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A repository without requirements, so that packaging it takes no time."""
    root = tmp_path / "repository"
    shutil.copytree(ROOT / "kiro_worker", root / "kiro_worker", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "functions" / "only_step").mkdir(parents=True)
    (root / "functions" / "only_step" / "handler.py").write_text("def handler(event, context): ...\n")
    (root / "buildspec.yml").write_text("version: 0.2\n")
    (root / "start.sh").write_text("exit 0\n")
    (root / "requirements").mkdir()
    for lock in ("lambda.txt", "gate.txt"):
        (root / "requirements" / lock).write_text("")
    return root


@pytest.mark.parametrize("platform", [HOST, LAMBDA], ids=lambda platform: platform.name)
def test_unchanged_source_is_packaged_once(small: Path, platform: Platform) -> None:
    first = package(platform, small)
    untouched = first.layer.path / "untouched"
    untouched.touch()
    assert package(platform, small) == first
    assert untouched.exists()


def test_linked_trees_keep_their_own_files(tmp_path: Path) -> None:
    for name in ("wheels", "gate"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.py").write_text(f"OF = {name!r}\n")
    for name in ("wheels", "gate"):
        link_tree(tmp_path / name, tmp_path / "together")
    files = {name: (tmp_path / name / "module.py").read_text() for name in ("wheels", "gate", "together")}
    assert files == {"wheels": "OF = 'wheels'\n", "gate": "OF = 'gate'\n", "together": "OF = 'gate'\n"}


def test_changed_source_is_packaged_again(small: Path) -> None:
    first = package(LAMBDA, small)
    with (small / "kiro_worker" / "lock" / "table.py").open("a") as lock:
        lock.write("CHANGED = True\n")
    second = package(LAMBDA, small)
    assert second.layer.digest != first.layer.digest
    assert "CHANGED" in (second.layer.path / "python" / "kiro_worker" / "lock" / "table.py").read_text()
    assert second.functions == first.functions


def test_two_checkouts_package_same_bytes(small: Path, tmp_path: Path) -> None:
    twin = tmp_path / "elsewhere"
    shutil.copytree(small, twin)
    first, second = package(LAMBDA, small), package(LAMBDA, twin)
    assert first.layer.digest == second.layer.digest
    assert files(first.layer.path) == files(second.layer.path)
    for name in files(first.layer.path):
        assert (first.layer.path / name).read_bytes() == (second.layer.path / name).read_bytes()


def test_concurrent_packaging_gives_one_result(small: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from infra.packaging import HOST, package;"
        "print(package(HOST, Path(sys.argv[1])).layer.digest)"
    )
    command = [sys.executable, "-c", script, str(small)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ) for _ in range(4)]
    digests = {process.communicate(timeout=60)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0, 0]
    assert len(digests) == 1
