"""The lock files pin every package by hash, and never by the address of an index."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from infra.packaging import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==([^ ;\\]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_by_hash(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"://|^-|^/|\bfile:", text, flags=re.MULTILINE)
    for requirement in re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip()):
        assert re.match(r"[a-z0-9._-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_lock_files_agree_with_each_other() -> None:
    dev = pinned((ROOT / "requirements" / "dev.txt").read_text())
    for path in LOCKS:
        assert pinned(path.read_text()).items() <= dev.items(), path.name


def test_every_declared_requirement_is_locked() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = pinned((ROOT / "requirements" / "dev.txt").read_text())
    project, groups = document["project"], document["dependency-groups"].values()
    lists = [project["dependencies"], *project["optional-dependencies"].values(), *groups]
    # Lock files have normalized names: https://packaging.python.org/en/latest/specifications/name-normalization/
    declared = {
        re.split(r"[\[>=<]", line)[0].replace(".", "-") for lines in lists for line in lines if isinstance(line, str)
    }
    assert declared <= locked.keys()


def test_npm_lock_holds_no_address() -> None:
    packages = json.loads((ROOT / "tests" / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert all("integrity" in package for name, package in packages.items() if name)
