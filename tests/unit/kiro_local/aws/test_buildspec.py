from __future__ import annotations

import pytest

from kiro_local.aws.buildspec import BuildspecInvalid, Phase, parse

WHOLE = """
version: 0.2
env:
  variables: {TEXT: words, NUMBER: 3, FLAG: true}
  exported-variables: [OUTCOME]
phases:
  install:
    runtime-versions: {python: 3.13}
    commands: [first, second]
  build:
    commands:
      - |
        several
        lines
    finally: [last]
"""


def test_buildspec_is_parsed() -> None:
    spec = parse(WHOLE)
    assert spec.variables == {"TEXT": "words", "NUMBER": "3", "FLAG": "true"}
    assert spec.exported == ("OUTCOME",)
    assert spec.phases["install"] == Phase(("first", "second"))
    assert spec.phases["build"] == Phase(("several\nlines\n",), ("last",))
    assert spec.phases["post_build"] == Phase()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid YAML"),
        ("version: 0.1\nphases: {}", "version 0.2"),
        ("just text", "version 0.2"),
        ("version: 0.2", "at least one"),
        ("version: 0.2\nphases: {biuld: {commands: [x]}}", "phases.biuld"),
        ("version: 0.2\nphases: {build: {comands: [x]}}", "phases.build.comands"),
        ("version: 0.2\nphases: {build: {commands: x}}", "list of strings"),
        ("version: 0.2\nphases: {build: {commands: [{a: b}]}}", "list of strings"),
        ("version: 0.2\nenv: {variables: {A: [1]}}\nphases: {build: {commands: [x]}}", "env.variables.A"),
        ("version: 0.2\nenv: {shell: bash}\nphases: {build: {commands: [x]}}", "env.shell"),
        ("version: 0.2\nphases: {build: {commands: [x], on-failure: CONTINUE}}", "on-failure"),
    ],
)
def test_invalid_part_is_named(text: str, message: str) -> None:
    with pytest.raises(BuildspecInvalid, match=message):
        parse(text)


def test_reports_are_validated() -> None:
    text = "version: 0.2\nphases: {build: {commands: ['true']}}\nreports: {tests: {files: ['*.xml'], %s}}"
    assert parse(text % "file-format: JUNITXML").phases["build"].commands == ("true",)
    with pytest.raises(BuildspecInvalid, match=r"unknown key reports.tests.format"):
        parse(text % "format: JUNITXML")
