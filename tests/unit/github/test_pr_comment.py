"""The comment, with hostile text in every place where text comes from outside."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from kiro_worker.config import Configuration
from kiro_worker.github.pr_comment import failed, rejected, repository_url, succeeded
from kiro_worker.models import Failure, Work

ARN = "arn:aws:states:eu-west-1:123456789012:execution:kiro-worker-test:run-1"
CONFIGURATION = Configuration.model_validate(
    {"organization": "a", "repository": "b", "projectNumber": 1, "targetStatusColumn": "For Implementation"}
)
URL = "https://github.com/a/b/pull/7"
WORK = Work("a/b", "feature/x", "0" * 40, ".kiro/specs/feature-x", 7, "PR_7", URL, "main", 1)
PLACES = ("OUTCOME_REASON", "TESTS_SUMMARY", "COVERAGE", "CREDITS", "MINUTES", "CHECKPOINT", "PHASES", "ARTIFACTS")


def failure(**variables: str) -> Failure:
    pairs = [{"Name": name, "Value": value} for name, value in variables.items()]
    build = {"Id": "b:1", "BuildStatus": "FAILED", "Logs": {}, "ExportedEnvironmentVariables": pairs}
    return Failure("RunBuild", "States.TaskFailed", json.dumps({"Build": build}))


def comment(**variables: str) -> str:
    return failed(CONFIGURATION, failure(**{"OUTCOME": "TestsFailed", **variables}), ARN, repository_url(URL))


def outside_code(markdown: str) -> str:
    """What GitHub would read as Markdown: without fenced blocks and inline code."""
    plain, fence = [], ""
    for line in markdown.split("\n"):
        if fence:
            fence = "" if line.strip() == fence else fence
        elif opened := re.match("`{3,}", line):
            fence = opened[0]
        else:
            plain.append(line)
    assert not fence
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", "\n".join(plain))


def test_a_failure_tells_outcome_facts_last_lines_and_the_two_ways_on() -> None:
    text = comment(
        OUTCOME_REASON="the tests ended with exit code 1",
        TASKS_DONE="2",
        TASKS_OPEN="1",
        COVERAGE="lines 90 % (9/10)",
        CREDITS="0.4 credits",
        MINUTES="3.2",
        CHECKPOINT="kiro-worker/checkpoint/feature/x#1",
        PHASES="check out:1.5;agent:60",
        TAIL=json.dumps("FAILED test_a\n1 failed"),
        ARTIFACTS="s3://bucket-1/runs/run-1/7/",
    )
    assert text.startswith("❌ **TestsFailed** in `RunBuild`")
    for part in (
        "| Tasks | `2 done, 1 open` |",
        "| Coverage | `lines 90 % (9/10)` |",
        "(https://github.com/a/b/tree/kiro-worker/checkpoint/feature/x%231)",
        "The last lines of output:\n```text\nFAILED test_a\n1 failed\n```",
        "aws stepfunctions redrive-execution",
        "move the card back to `For Implementation`",
        "    1 check out 1.5 s :p1, 0, 1.5s\n    2 agent 60 s :p2, after p1, 60.0s",
        "[artifacts](https://s3.console.aws.amazon.com/s3/buckets/bucket-1?prefix=runs/run-1/7/)",
    ):
        assert part in text


def test_a_success_says_what_was_pushed() -> None:
    build = failure(RESULT_COMMIT="abc" * 13, PHASES="push:1").build
    assert build
    text = succeeded(WORK, build, ARN)
    assert text.startswith("✅ **Implemented**: `abcabcabcabc` on `feature/x`")
    assert "```mermaid" in text


@given(st.sampled_from(PLACES), st.text() | st.text(alphabet="`|[]()<>!#*_~:;\n\\ "))
def test_no_text_leaves_its_place(place: str, hostile: str) -> None:
    usual = outside_code(comment(**{place: "x"}))
    shown = outside_code(comment(**{place: f"{hostile}</details>\n# [evil](https://e.example) @somebody"}))
    assert "evil" not in shown.replace("%5Bevil%5D", "")
    assert "@somebody" not in shown
    assert shown.count("</details>") <= usual.count("</details>")


@given(st.text())
def test_no_last_line_leaves_its_block(hostile: str) -> None:
    shown = outside_code(comment(TAIL=json.dumps(f"{hostile}\n# evil\n``` \n@somebody")))
    assert "evil" not in shown
    assert "@somebody" not in shown


@given(st.lists(st.tuples(st.text(), st.floats(0, 9999))))
def test_a_phase_is_one_line_of_the_chart_whatever_its_name(phases: list[tuple[str, float]]) -> None:
    text = comment(PHASES=";".join(f"{name}:{seconds:.1f}" for name, seconds in phases))
    for chart in re.findall(r"```mermaid\n(.*?)\n```", text, flags=re.DOTALL):
        head, *bars = chart.split("    section Build\n")
        assert head == "gantt\n    dateFormat X\n    axisFormat %M:%S\n"
        for bar in bars[0].split("\n"):
            assert re.fullmatch(r"    \d+ [A-Za-z0-9 ._-]* :p\d+, (?:0|after p\d+), [\d.]+s", bar)


def test_a_failed_build_is_never_called_by_the_name_of_a_success() -> None:
    assert failure(OUTCOME="Succeeded").name == failure(OUTCOME="No **such** outcome").name == "TaskFailed"
    assert failure(OUTCOME="TestsFailed").name == "TestsFailed"


def test_a_tail_that_is_no_json_is_nothing() -> None:
    assert "The last lines" not in comment(TAIL="{not json") + comment(TAIL="[1]")


GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = st.one_of(
    st.text(),
    st.text(st.sampled_from("`|[]()<>!#*_~:;\\&\n\r\t @-=\x00\u2028\x85'\"")),
    st.sampled_from(["```\n", "~~~\n", "`", "``", "</details>", "-->", "<!--", "<script>", "| a | b |\n|---|---|\n"]),
    st.sampled_from(["|", "\\|", "\\`", "![x](https://e.example/x.png)", "<img src=x>", "&lt;", "\r\n# ", "    "]),
).flatmap(lambda text: st.sampled_from([text, text * 2, f"{text}\n{text}", f"x{text}"]))
OURS = (
    "https://github.com/a/b/tree/",
    "https://eu-west-1.console.aws.amazon.com/states/",
    "https://s3.console.aws.amazon.com/s3/buckets/",
)
OUR_HTML = {"<details><summary>Timeline</summary>", "</details>", "<sub>", "</sub>"}
EVIL = "evil @evil https://evil.example"


def tokens(markdown: str) -> list[Token]:
    return [inner for token in GITHUB.parse(markdown) for inner in (token, *(token.children or []))]


def require_harmless(markdown: str) -> None:
    """As GitHub reads it: no element but ours, and text from outside nowhere but in code."""
    found = tokens(markdown)
    assert {token.type for token in found} <= {
        *(
            "inline",
            "text",
            "softbreak",
            "code_inline",
            "fence",
            "html_block",
            "html_inline",
            "link_open",
            "link_close",
        ),
        *("paragraph_open", "paragraph_close", "strong_open", "strong_close"),
        *(f"{part}_{way}" for part in ("table", "thead", "tbody", "tr", "th", "td") for way in ("open", "close")),
    }
    for token in found:
        if token.type == "text":
            assert "evil" not in token.content
        elif token.type == "link_open":
            assert str(token.attrs["href"]).startswith(OURS)
        elif token.type in ("html_block", "html_inline"):
            assert token.content.strip() in OUR_HTML
        elif token.type == "fence":
            assert token.info in ("text", "mermaid")
    cells = [token.type for token in found if token.type in ("tr_open", "td_open")]
    assert cells == ["tr_open", *["tr_open", "td_open", "td_open"] * cells.count("tr_open")][: len(cells)]


VARIABLES = (*PLACES, "TASKS_DONE", "TASKS_OPEN", "FILES_CHANGED", "RESULT_COMMIT", "OUTCOME", "TAIL")


@given(st.sampled_from(VARIABLES), HOSTILE, HOSTILE)
def test_as_github_reads_it_no_text_of_a_build_is_anything_but_code(place: str, before: str, after: str) -> None:
    hostile = f"{before}{EVIL}{after}"
    values = {"TASKS_DONE": "1", "PHASES": "check out:1;agent:2", "CHECKPOINT": "kiro-worker/checkpoint/x"}
    require_harmless(comment(**{**values, place: json.dumps(hostile) if place == "TAIL" else hostile}))
    build = failure(**{**values, place: hostile}).build
    assert build
    require_harmless(succeeded(WORK, build, ARN))


@given(HOSTILE, HOSTILE, HOSTILE)
def test_as_github_reads_it_no_reason_is_anything_but_code(state: str, cause: str, reasons: str) -> None:
    told = Failure(f"{state}{EVIL}", "GitHubForbidden", f"{cause}{EVIL}{cause}")
    require_harmless(failed(CONFIGURATION, told, ARN))
    require_harmless(rejected(f"{reasons}{EVIL}\n{reasons}", ARN))
