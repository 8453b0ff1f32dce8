"""The repository's file: what is accepted, and how every mistake names its line and key."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.config.repository_file import LARGEST_REPOSITORY_FILE, parse_repository_file
from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.errors import WorkItemInvalid

WHOLE = """\
# yaml-language-server: $schema=repository-file.schema.json
setup: |
  uv sync --frozen
  uv run prepare
test: uv run pytest
directory: services/api/
coverage: {report: coverage.xml, threshold: 80, mode: changed, exclude: ["tests/**"]}
baseline: known
environment: {TZ: UTC, PORT: 8080, ANSWER: no}
agent: {name: kiro, model: claude-sonnet-4, timeoutMinutes: 45, maxCredits: 20}
build: {computeType: MEDIUM, timeoutMinutes: 120}
commits: {signOff: true, subject: "feat: {title}", author: "build bot <bot@acme.com>"}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(WorkItemInvalid) as caught:
        parse_repository_file(text)
    assert caught.value.remedy.startswith(f"correct {REPOSITORY_FILE} on the default branch")
    return [line.removeprefix(f"{REPOSITORY_FILE}") for line in caught.value.reason.splitlines()]


def test_every_key_is_read() -> None:
    file = parse_repository_file(WHOLE)

    assert file.setup == ("sh", "-eu", "-c", "uv sync --frozen\nuv run prepare\n")
    assert file.test == ("sh", "-eu", "-c", "uv run pytest")
    assert file.directory == "services/api"
    # YAML 1.2: only true and false are booleans.
    assert file.environment == {"TZ": "UTC", "PORT": "8080", "ANSWER": "no"}
    assert file.agent
    assert file.agent.max_credits == 20
    assert file.commits
    assert file.commits.author == "build bot <bot@acme.com>"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "{}"])
def test_empty_file_sets_nothing(text: str) -> None:
    assert parse_repository_file(text).model_fields_set == set()


def test_list_runs_as_it_is() -> None:
    assert parse_repository_file("test: [npm, test, '--', '--ci']").test == ("npm", "test", "--", "--ci")


def test_long_command_is_accepted() -> None:
    assert parse_repository_file(f"test: {'x' * 9000}").test == ("sh", "-eu", "-c", "x" * 9000)


@pytest.mark.parametrize("text", ["setup: []", "setup: ''", "setup: '  '"])
def test_setup_can_install_nothing(text: str) -> None:
    assert parse_repository_file(text).setup == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test: a\n\ntests: b\n", ', line 3: unknown key "tests"; did you mean "test"?'),
        ("test: a\ncoverage:\n  treshold: 5\n", ', line 3: unknown key "coverage.treshold"; did you mean "threshold"?'),
        ("test: a\ncoverage:\n  threshold: 500\n", ', line 3: "coverage.threshold": '),
        ("checks: [{directory: a}, {name: A}]\n", ", line 1: \"checks\": several checks have the name 'a'"),
        ("checks:\n  - name: a\n    tset: x\n", ', line 3: unknown key "checks.0.tset"; did you mean "test"?'),
        ("test: a\nagent:\n  command: evil\n", ', line 3: unknown key "agent.command"'),
        ("agent:\n  keyVariable: X\n", ', line 2: unknown key "agent.keyVariable"'),
        ("test: a\nguardedPaths: []\n", ', line 2: unknown key "guardedPaths"'),
        ("lockScope: branch\n", ', line 1: unknown key "lockScope"'),
        ("test: a\ndirectory: ../x\n", ', line 2: "directory": must be a path inside the repository'),
        ("test: a\ntest: b\n", ", line 2: found duplicate key"),
        ("test: 'a\n", ", line 2: found unexpected end of stream"),
        ("- test\n", ", line 1: must be a mapping of keys to values"),
        ("plain text", ", line 1: must be a mapping of keys to values"),
        ("test: !!python/object/apply:os.system [id]\n", ", line 1: could not determine a constructor for the tag"),
        ("a: &a [x]\nb: *a\n", ", line 1: anchors and aliases are not supported"),
        ("environment:\n  LD_PRELOAD: x\n", ', line 1: "environment": LD_PRELOAD cannot be set'),
        ("environment:\n  A-B: x\n", ", line 1: \"environment\": 'A-B' is not the name of an environment variable"),
        ("environment:\n  A: true\n", ', line 2: "environment.A": '),
        ("baseline: red\n", ', line 1: "baseline": '),
        ("test: x\nchecks: [{name: a}]\n", ", line 1: \"checks\" replaces 'test'"),
        ("checks: [{name: a}, {name: A}]\n", ", line 1: \"checks\": several checks have the name 'a'"),
        ("commits: {subject: 'feat'}\n", ', line 1: "commits.subject": must contain {title} once'),
        ("commits: {author: 'me'}\n", ', line 1: "commits.author": must be name <address>'),
        ("build: {computeType: HUGE}\n", ', line 1: "build.computeType": '),
        ("agent: {model: 'x; rm -rf /'}\n", ', line 1: "agent.model": '),
        ('test: "a\\0b"\n', ', line 1: "test.3": must not contain a NUL character'),
        ("[" * 1000, ", line 1: is nested too deeply"),
        ("%YAML 1.1\n%TAG x y\n", ", line 2: "),
        ("\x00", " is not YAML"),
        ("a: " + "x" * LARGEST_REPOSITORY_FILE, " is larger than 64 KB"),
    ],
)
def test_mistake_names_line_and_key(text: str, expected: str) -> None:
    assert problems(text)[0].startswith(expected)


def test_every_mistake_is_reported() -> None:
    assert len(problems("tests: a\nsetups: b\nbaseline: x\n")) == 3


def is_accepted_or_explained(text: str) -> bool:
    try:
        parse_repository_file(text)
    except WorkItemInvalid as error:
        return error.reason.startswith(REPOSITORY_FILE)
    return True


@given(st.text())
def test_any_text_is_accepted_or_explained(text: str) -> None:
    assert is_accepted_or_explained(text)


KEYS = st.sampled_from(["test", "setup", "checks", "coverage", "agent", "name", "environment", "build", "other"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


@given(
    st.recursive(
        LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=10
    )
)
def test_any_document_is_accepted_or_explained(document: object) -> None:
    assert is_accepted_or_explained(json.dumps(document))
