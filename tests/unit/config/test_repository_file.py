"""The repository's file: what is accepted, and how every mistake names its line and key."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.config.repository_file import LARGEST_REPOSITORY_FILE, parse_repository_file
from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.errors import WorkItemInvalid

ONLY_IN_PARAMETER = "can be set only in the configuration parameter"
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
        ("test: a\nagent:\n  command: evil\n", f', line 3: "agent.command" {ONLY_IN_PARAMETER}'),
        ("agent:\n  keyVariable: X\n", f', line 2: "agent.keyVariable" {ONLY_IN_PARAMETER}'),
        ("maxCreditsPerDay: 5\n", f', line 1: "maxCreditsPerDay" {ONLY_IN_PARAMETER}'),
        ("maxCreditsPerDay: null\n", f', line 1: "maxCreditsPerDay" {ONLY_IN_PARAMETER}'),
        ("checks:\n  - maxCreditsPerDay: 5\n", ', line 2: unknown key "checks.0.maxCreditsPerDay"'),
        ("agent: {maxCreditsPerDay: 5}\n", ', line 1: unknown key "agent.maxCreditsPerDay"; did you mean "maxC'),
        ("test: a\nguardedPaths: []\n", ', line 2: unknown key "guardedPaths"'),
        ("lockScope: branch\n", ', line 1: unknown key "lockScope"'),
        ("test: a\ndirectory: ../x\n", ', line 2: "directory": must be a path inside the repository'),
        ("test: a\ntest: b\n", ", line 2: found duplicate key"),
        ("test: 'a\n", ", line 2: found unexpected end of stream"),
        ("- test\n", ", line 1: must be a mapping of keys to values"),
        ("plain text", ", line 1: must be a mapping of keys to values"),
        ("test: !!python/object/apply:os.system [id]\n", ", line 1: tags, which begin with !, are not supported"),
        ("test: !!int ''\n", ", line 1: tags, which begin with !"),
        ("commits: {signOff: !!bool maybe}\n", ", line 1: tags, which begin with !"),
        ("test: a\n<<: {setup: b}\n", ", line 2: merge keys are not supported"),
        ("coverage: {threshold: true}\n", ', line 1: "coverage.threshold": Input should be a valid number'),
        ("agent: {maxCredits: true}\n", ', line 1: "agent.maxCredits": Input should be a valid number'),
        ("coverage: {threshold: .nan}\n", ', line 1: "coverage.threshold": Input should be a finite number'),
        ("coverage:\n  threshold: " + "9" * 5000, ', line 2: "coverage.threshold": Input should be a valid number'),
        ('environment:\n  A: "\\ud800"\n', ', line 2: "environment.A": must not contain half of a surrogate pair'),
        ("test: a\nsetup: caf\ufffd\n", ", line 2: is not UTF-8"),
        ("test: a\n1: b\n", ', line 2: "1": is not text: write the key in quotes'),
        ("test: 5\n", ', line 1: "test": must be text or a list of texts'),
        ("test: ''\n", ', line 1: "test": must not be empty'),
        ("secrets: NPM_TOKEN\n", ', line 1: "secrets": must be a list'),
        ("test: [make, -j, 8]\n", ', line 1: "test.2": must be text; write a number'),
        ("agent: claude\n", ', line 1: "agent": must be a mapping of keys to values'),
        ("a: &a [x]\nb: *a\n", ", line 1: anchors and aliases are not supported"),
        ("environment:\n  LD_PRELOAD: x\n", ', line 1: "environment": LD_PRELOAD cannot be set'),
        *(
            (f"environment:\n  {name}: x\n", f', line 1: "environment": {name} cannot be set')
            for name in (
                *("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "OPENAI_BASE_URL"),
                *("GOOGLE_GEMINI_BASE_URL", "CODE_ASSIST_ENDPOINT", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "KIRO_X"),
                *("GIT_SSH_COMMAND", "LD_AUDIT", "DYLD_X", "AWS_PROFILE", "BASH_ENV", "GLIBC_TUNABLES", "PATH"),
            )
        ),
        ("environment:\n  A-B: x\n", ", line 1: \"environment\": 'A-B' is not the name of an environment variable"),
        ("environment:\n  A: true\n", ', line 2: "environment.A": '),
        ("baseline: red\n", ', line 1: "baseline": '),
        ("test: x\nchecks: [{name: a}]\n", ", line 1: \"checks\" replaces 'test'"),
        ("checks: [{name: a}, {name: A}]\n", ", line 1: \"checks\": several checks have the name 'a'"),
        ("commits: {subject: 'feat'}\n", ', line 1: "commits.subject": must contain {title} once'),
        ("commits: {author: 'me'}\n", ', line 1: "commits.author": must be name <address>'),
        ("build: {computeType: HUGE}\n", ', line 1: "build.computeType": '),
        ("agent: {model: 'x; rm -rf /'}\n", ', line 1: "agent.model": '),
        ('test: "a\\0b"\n', ', line 1: "test": must not contain a NUL character'),
        ("[" * 1000, ", line 1: is nested too deeply"),
        ("%YAML 1.1\n%TAG x y\n", ", line 2: "),
        ("\x00", ", line 1: contains a control character"),
        ("\ufefftest: é\r\n\ntest: \x0b\n", ", line 3: contains a control character"),
        ("a: " + "x" * LARGEST_REPOSITORY_FILE, " is larger than 64 KB"),
    ],
)
def test_mistake_names_line_and_key(text: str, expected: str) -> None:
    assert problems(text)[0].startswith(expected)


def test_every_mistake_is_reported() -> None:
    assert len(problems("tests: a\nsetups: b\nbaseline: x\n")) == 3


def test_key_of_service_for_tests_is_accepted() -> None:
    assert parse_repository_file("environment: {OPENAI_API_KEY: dummy}").environment == {"OPENAI_API_KEY": "dummy"}


def test_variable_keeps_its_text() -> None:
    text = "environment: {A: 3.10, B: 007, C: 1e3, D: 2026-01-31, E: 0x1F, F: 12:30, G: 1_000}"

    assert parse_repository_file(text).environment == {
        "A": "3.10",
        "B": "007",
        "C": "1e3",
        "D": "2026-01-31",
        "E": "0x1F",
        "F": "12:30",
        "G": "1_000",
    }


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_and_byte_order_mark_change_nothing(end: str) -> None:
    text = end.join(("\ufefftest: |", "  a", "  b", "setup: c", ""))

    file = parse_repository_file(text)

    assert (file.test, file.setup) == (("sh", "-eu", "-c", "a\nb\n"), ("sh", "-eu", "-c", "c"))


def test_wrong_item_does_not_make_its_list_too_short() -> None:
    assert problems("checks: [{tset: a}]") == [', line 1: unknown key "checks.0.tset"; did you mean "test"?']


def test_number_of_values_is_limited() -> None:
    [problem] = problems("coverage: {exclude: [" + "a," * 5000 + "]}")

    assert problem == ", line 1: the file has more than 3000 keys and values: shorten it"


@pytest.mark.parametrize("key", ["a\\nHow to fix: nothing", "a\\u202eb", "a\\tb"])
def test_key_cannot_look_like_another_message(key: str) -> None:
    [problem] = problems(f'"{key}": 1\n')

    assert problem.startswith(', line 1: unknown key "a\\')
    assert problem.isprintable()


def test_number_and_length_of_problems_are_limited() -> None:
    found = problems("".join(f"k{number}: 1\n" for number in range(1000)))

    assert (len(found), found[-1]) == (21, "and 980 more problems")
    assert all(len(problem) < 500 for problem in problems(f"? {'k' * 50_000}\n: 1\n"))


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
