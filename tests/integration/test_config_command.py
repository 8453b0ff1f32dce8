"""`kiro-worker config`, as a person runs it: in its own process, against the stand-in GitHub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.config.settings import REPOSITORY_FILE

TOKEN = "ghp_0123456789abcdefABCDEF0123456789abcd"


@pytest.fixture
def github() -> Iterator[StandInGitHub]:
    with StandInGitHub() as server:
        server.add_token(TOKEN, "kiro-worker-bot")
        yield server


@pytest.fixture
def parameter(github: StandInGitHub, tmp_path: Path) -> Path:
    document = {
        "organization": "acme",
        "repository": "shop",
        "projectNumber": 1,
        "targetStatusColumn": "Ready",
        "githubApiUrl": github.graphql_url,
        "maxCreditsPerDay": 200,
        "repositoryDefaults": {"coverage": {"threshold": 70}, "maxCreditsPerDay": 50},
        "limits": {"credits": 20},
    }
    file = tmp_path / "parameter.json"
    file.write_text(json.dumps(document))
    return file


def run(*arguments: str, cwd: Path, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GITHUB_TOKEN": token, "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "kiro_worker.cli", "config", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def commit_file(github: StandInGitHub, text: str | None) -> str:
    repository = github.board.add_repository("acme/shop")
    files = {"README.md": "# Shop\n"} | ({REPOSITORY_FILE: text} if text is not None else {})
    return repository.git.commit("main", files, "Create the shop")


def test_effective_settings_have_their_origins(github: StandInGitHub, parameter: Path) -> None:
    commit = commit_file(github, 'test: make check\nenvironment: {TZ: UTC, A: "\\e[2J"}\n')

    shown = run("show", "acme/shop", "--config", str(parameter), cwd=parameter.parent)

    assert shown.returncode == 0, shown.stderr
    lines = {line.split()[0]: line.split()[1:] for line in shown.stdout.splitlines()[3:] if line.strip()}
    assert commit[:12] in shown.stdout
    assert lines["test"][-1] == REPOSITORY_FILE
    assert lines["environment.TZ"] == ["UTC", REPOSITORY_FILE]
    assert lines["environment.A"] == ['"\\u001b[2J"', REPOSITORY_FILE]
    assert lines["coverage.threshold"] == ["70.0", "repositoryDefaults"]
    assert lines["agent.maxCredits"] == ["20.0", "limits.credits"]
    assert lines["maxCreditsPerDay"] == ["50.0", "repositoryDefaults"]
    assert lines["installation.maxCreditsPerDay"] == ["200.0", "parameter"]
    assert lines["setup"] == ["detected", "from", "the", "files", "default"]


def test_settings_of_checks_have_their_origins(github: StandInGitHub, parameter: Path) -> None:
    commit_file(github, "checks: [{directory: api, test: make check, coverage: {mode: changed}}]\n")

    shown = run("show", "acme/shop", "--config", str(parameter), cwd=parameter.parent)

    assert shown.returncode == 0, shown.stderr
    origins = {line.split()[0]: line.split()[-1] for line in shown.stdout.splitlines()[3:] if line.strip()}
    for key in ("directory", "test", "coverage.mode"):
        assert origins[f"checks[0].{key}"] == REPOSITORY_FILE
    assert origins["checks[0].coverage.threshold"] == "repositoryDefaults"
    assert origins["checks[0].setup"] == "default"


def test_json_has_documented_form(github: StandInGitHub, parameter: Path) -> None:
    commit = commit_file(github, None)

    document = json.loads(run("show", "acme/shop", "--config", str(parameter), "--json", cwd=parameter.parent).stdout)

    assert (document["repository"], document["commit"]) == ("acme/shop", commit)
    assert document["effective"]["baseline"] == "known"
    assert document["effective"]["maxCreditsPerDay"] == 50
    assert document["installation"] == {"maxCreditsPerDay": 200}
    assert document["origins"] == {
        "coverage.threshold": "repositoryDefaults",
        "agent.maxCredits": "limits.credits",
        "maxCreditsPerDay": "repositoryDefaults",
    }


@pytest.mark.parametrize(
    ("text", "arguments", "code", "expected"),
    [
        ("tests: x\n", ("acme/shop",), 1, 'line 1: unknown key "tests"; did you mean "test"?'),
        ("agent: {maxCredits: 30}\n", ("acme/shop",), 1, "30 is more than 20"),
        ("maxCreditsPerDay: 1\n", ("acme/shop",), 1, "can be set only in the configuration parameter"),
        (None, ("acme/other",), 1, "acme/other"),
        (None, (), 2, "OWNER/NAME"),
    ],
)
def test_problem_is_named(
    github: StandInGitHub, parameter: Path, text: str | None, arguments: tuple[str, ...], code: int, expected: str
) -> None:
    commit_file(github, text)

    shown = run("show", *arguments, "--config", str(parameter), cwd=parameter.parent)

    assert shown.returncode == code
    assert expected in shown.stderr
    assert "Traceback" not in shown.stderr


def test_missing_token_is_named(github: StandInGitHub, parameter: Path) -> None:
    shown = run("show", "acme/shop", "--config", str(parameter), cwd=parameter.parent, token="")

    assert shown.returncode == 2
    assert "GITHUB_TOKEN" in shown.stderr


@pytest.mark.parametrize(
    ("text", "arguments", "code", "expected"),
    [
        ("test: make\n", (), 0, "is valid"),
        ("test: make\n", ("--config", "parameter.json"), 0, "repositoryDefaults"),
        ("tset: make\n", (), 1, 'line 1: unknown key "tset"; did you mean "test"?'),
        ("agent: {maxCredits: 30}\n", ("--config", "parameter.json"), 1, "30 is more than 20"),
        ("test: make\n", ("missing.yml",), 2, "cannot be read"),
        ("test: make\n", (".kiro-worker.yaml",), 1, "has the wrong name"),
    ],
)
def test_file_is_checked_before_it_is_pushed(
    parameter: Path, text: str, arguments: tuple[str, ...], code: int, expected: str
) -> None:
    for name in (REPOSITORY_FILE, ".kiro-worker.yaml"):
        (parameter.parent / name).write_text(text)

    checked = run("check", *arguments, cwd=parameter.parent)

    assert checked.returncode == code, checked.stderr
    assert expected in checked.stdout + checked.stderr
    assert "Traceback" not in checked.stderr


def test_json_of_check_is_one_object(parameter: Path) -> None:
    (parameter.parent / REPOSITORY_FILE).write_text("checks: [{directory: api}, {directory: web, test: npm test}]\n")

    document: dict[str, Any] = json.loads(
        run("check", "--config", "parameter.json", "--json", cwd=parameter.parent).stdout
    )

    assert document["valid"] is True
    assert [check["name"] for check in document["effective"]["checks"]] == ["api", "web"]
