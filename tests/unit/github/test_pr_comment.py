"""The pull request comment, with hostile text in every untrusted field."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from kiro_worker.cli.app import app
from kiro_worker.config.model import Configuration
from kiro_worker.github.pr_comment import failed, rejected, succeeded
from kiro_worker.models import BuildResult, Failure, Work
from kiro_worker.records.summaries import DoneTask, FailedTest, GateNote, RunSummary, Turn

ARN = "arn:aws:states:eu-west-1:123456789012:execution:kiro-worker-test:run-1"
CONFIGURATION = Configuration.model_validate(
    {"organization": "a", "repository": "b", "projectNumber": 1, "targetStatusColumn": "For Implementation"}
)
URL = "https://github.com/a/b/pull/7"
WORK = Work("a/b", "feature/x", "0" * 40, ".kiro/specs/feature-x", 7, "PR_7", URL, "main", 1, "d" * 40)
UNTRUSTED = ("OUTCOME_REASON", "TESTS_SUMMARY", "COVERAGE", "CREDITS", "MINUTES", "CHECKPOINT", "PHASES", "ARTIFACTS")


def failure(**variables: str) -> Failure:
    pairs = [{"Name": name, "Value": value} for name, value in variables.items()]
    build = {"Id": "b:1", "BuildStatus": "FAILED", "Logs": {}, "ExportedEnvironmentVariables": pairs}
    return Failure("RunBuild", "States.TaskFailed", json.dumps({"Build": build}))


def comment(**variables: str) -> str:
    return failed(CONFIGURATION, failure(**{"OUTCOME": "TestsFailed", **variables}), ARN)


def outside_code(markdown: str) -> str:
    """What GitHub interprets as Markdown: the text without fenced blocks and inline code."""
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


def test_failure_comment_is_complete() -> None:
    text = comment(
        OUTCOME_REASON="the tests ended with exit code 1",
        TASKS_DONE="2",
        TASKS_OPEN="1",
        COVERAGE="lines 90 % (9/10)",
        CREDITS="0.4 credits",
        MINUTES="3.2",
        CHECKPOINT=f"refs/kiro-worker/checkpoints/feature/x#1 {'a' * 40}",
        PHASES="check out:1.5;agent:60",
        TAIL=json.dumps("FAILED test_a\n1 failed"),
        ARTIFACTS="s3://bucket-1/runs/run-1/7/",
    )
    assert text.startswith("❌ **TestsFailed** in `RunBuild`")
    for part in (
        "| Tasks | `2 done, 1 open` |",
        "| Coverage | `lines 90 % (9/10)` |",
        "| Checkpoint | `aaaaaaaaaaaa` on `refs/kiro-worker/checkpoints/feature/x#1`: `git fetch origin refs/",
        "The last lines of output:\n```text\nFAILED test_a\n1 failed\n```",
        "aws stepfunctions redrive-execution",
        "move the card back to `For Implementation`",
        "    1 check out 1.5 s :p1, 0, 1.5s\n    2 agent 60 s :p2, after p1, 60.0s",
        "[artifacts](https://s3.console.aws.amazon.com/s3/buckets/bucket-1?prefix=runs/run-1/7/)",
    ):
        assert part in text


def test_incomplete_work_is_counted_first() -> None:
    text = comment(
        OUTCOME="Incomplete",
        OUTCOME_REASON="3 of 5 tasks done: kiro changed nothing in 2 turns in a row. How to fix: redrive",
        TASKS_DONE="3",
        TASKS_DONE_BEFORE="1",
        TASKS_OPEN="2",
        TASKS_OPTIONAL="1",
        OPEN_TASKS=json.dumps("4. Export\n5. Import"),
    )

    assert text.split("\n")[0] == "❌ **Incomplete**: 3 of 5 tasks done"
    for part in (
        "```text\nkiro changed nothing in 2 turns in a row. How to fix: redrive\n```",
        "Open tasks:\n```text\n4. Export\n5. Import\n```",
        "| Tasks | `2 done by this run, 1 done before, 2 open, 1 optional` |",
        "aws stepfunctions redrive-execution",
        "move the card back to `For Implementation`",
    ):
        assert part in text


def test_long_list_of_open_tasks_ends_with_their_number() -> None:
    text = comment(TASKS_DONE="0", TASKS_OPEN="99", OPEN_TASKS=json.dumps("1. Code\n2. Tests"))

    assert "Open tasks:\n```text\n1. Code\n2. Tests\nand 97 more\n```" in text


def test_success_tells_earlier_tasks_apart() -> None:
    build = failure(RESULT_COMMIT="abc" * 13, TASKS_DONE="5", TASKS_DONE_BEFORE="0", TASKS_OPEN="0").build
    assert build
    assert "| Tasks | `5 done by this run, 0 open` |" in succeeded(CONFIGURATION, WORK.branch, build, ARN)


def test_success_names_pushed_commit() -> None:
    build = failure(RESULT_COMMIT="abc" * 13, PHASES="push:1").build
    assert build
    text = succeeded(CONFIGURATION, WORK.branch, build, ARN)
    assert text.startswith("✅ **Implemented**: `abcabcabcabc` on `feature/x`")
    assert "```mermaid" in text


SUMMARY = RunSummary(
    (DoneTask("1 Parse", "a" * 40, "1-0"), DoneTask("2 Price", "", "2-0")),
    (Turn("1 Parse", "I parse dates, too.\nPlease look at `parse`."), Turn("2 Price", "")),
)


def success(summary: RunSummary = SUMMARY, url: str = URL, **build: str) -> str:
    result = BuildResult(**{"commit": "b" * 40, "tasks_done": "3", "tasks_done_before": "1", **build})  # type: ignore[arg-type]  # no fence
    return succeeded(CONFIGURATION, WORK.branch, result, ARN, summary=summary, pull_request_url=url)


def test_success_shows_reviewers_each_task_and_turn() -> None:
    text = success(tests="Ran 7 tests", coverage="lines 90 %", files_changed="3", credits="0.4 credits", minutes="3.2")
    folded = "<details><summary>What the agent said at the end of each turn</summary>\n\n"
    for part in (
        "Tasks done by this run:\n- `1 Parse` in [`aaaaaaaaaaaa`](",
        f"](https://github.com/a/b/commit/{'a' * 40})\n- `2 Price`\n\n",
        "| Tests | `Ran 7 tests` |\n| Coverage | `lines 90 %` |\n| Files changed | `3` |\n| Agent | `0.4 credits` |",
        f"{folded}`1 Parse`:\n```text\nI parse dates, too.\nPlease look at `parse`.\n```\n\n</details>",
        "add an open task to tasks.md, push it, and move the card back to `For Implementation`",
        f"kiro-worker replay {ARN} --wait",
    ):
        assert part in text


def test_failure_shows_tasks_done_so_far() -> None:
    text = failed(CONFIGURATION, failure(OUTCOME="AgentFailed", TASKS_DONE="1"), ARN, summary=SUMMARY)
    assert "Tasks done by this run:\n- `1 Parse` in `aaaaaaaaaaaa`\n- `2 Price`\n\n" in text
    assert "I parse dates, too." in text
    assert f"kiro-worker redrive {ARN} --wait" in text
    assert "/commit/" not in text, "the commits are on no branch"


def test_commands_in_comments_exist() -> None:
    named = set(re.findall(r"^kiro-worker (\S+)", f"{success()}\n{comment()}", re.MULTILINE))
    assert named == {"replay", "redrive"}
    assert named <= {command.name for command in app.registered_commands}


@pytest.mark.parametrize("url", ["", "javascript:alert(1)//a/b/pull/7", "https://github.com/a/b/issues/7", f"{URL}?x"])
def test_commit_is_no_link_without_pull_request(url: str) -> None:
    assert "- `1 Parse` in `aaaaaaaaaaaa`\n" in success(url=url)


def test_run_without_summary_is_reported_without_it() -> None:
    text = success(RunSummary())
    assert "Tasks done by this run" not in text
    assert "What the agent said" not in text
    assert text.startswith("✅ **Implemented**")


def test_secrets_of_agent_are_redacted() -> None:
    token = "ghp_" + "0a1b" * 9
    text = success(RunSummary((DoneTask(f"1 Use {token}"),), (Turn(f"1 Use {token}", f"I used {token}"),)))
    assert token not in text
    assert "I used [redacted]" in text


def test_failed_tests_are_listed_by_name() -> None:
    tests = (FailedTest("tests.test_shop.test_add", "E   assert 1 == 2\n\ntests/test_shop.py:3"), FailedTest("b"))
    text = failed(CONFIGURATION, failure(OUTCOME="TestsFailed"), ARN, summary=RunSummary(failed=tests))

    assert (
        "Failed tests:\n- `tests.test_shop.test_add`\n```text\nE   assert 1 == 2\ntests/test_shop.py:3\n```\n- `b`\n"
        in text
    )


def test_notes_of_the_gate_come_first() -> None:
    notes = (GateNote("notMeasured", "no report"), GateNote("flaky", "tests.a, tests.b"), GateNote("other", "x"))
    text = success(RunSummary(notes=notes))

    lines = [line for line in text.splitlines() if line]
    assert lines[1:3] == [
        "- ⚠️ Coverage was not measured, so the default threshold was not applied: `no report`",
        "- ⚠️ Flaky: they failed, and passed when they were run again: `tests.a, tests.b`",
    ]


def test_longest_summary_fits_into_comment() -> None:
    tasks = tuple(DoneTask(f"{number} {'`' * 95}", "a" * 40) for number in range(1000))
    turns = tuple(Turn(task.name, f"turn {number} {'`' * 590}") for number, task in enumerate(tasks))
    tests = tuple(FailedTest(task.name, "`" * 600) for task in tasks)
    notes = tuple(GateNote("flaky", "`" * 500) for _ in tasks)
    stopped = failed(CONFIGURATION, failure(OUTCOME="TestsFailed"), ARN, summary=RunSummary(tasks, turns, tests, notes))
    assert len(stopped) < 60_000
    text = success(RunSummary(tasks, turns), tasks_done="1000", tasks_done_before="0")
    shown = text.count("/commit/")
    assert 20 < shown < 1000
    assert f"- and {1000 - shown} more\n" in text
    assert "turn 999 " in text
    assert "turn 0 " not in text
    assert len(text) < 60_000


def test_words_cannot_look_like_addition_to_comment() -> None:
    """The next addition replaces everything after the line that begins one."""
    assert "\n\n<!--" not in success(RunSummary((), (Turn("1", "a\n\n<!-- kiro-worker added -->\nb"),)))


@given(st.sampled_from(UNTRUSTED), st.text() | st.text(alphabet="`|[]()<>!#*_~:;\n\\ "))
def test_text_stays_inside_its_cell(variable: str, hostile: str) -> None:
    usual = outside_code(comment(**{variable: "x"}))
    shown = outside_code(comment(**{variable: f"{hostile}</details>\n# [evil](https://e.example) @octocat"}))
    assert "evil" not in shown.replace("%5Bevil%5D", "")
    assert "@octocat" not in shown
    assert shown.count("</details>") <= usual.count("</details>")


@given(st.text())
def test_output_stays_inside_its_block(hostile: str) -> None:
    shown = outside_code(comment(TAIL=json.dumps(f"{hostile}\n# evil\n``` \n@octocat")))
    assert "evil" not in shown
    assert "@octocat" not in shown


@given(st.lists(st.tuples(st.text(), st.floats(0, 9999))))
def test_phase_stays_on_its_chart_line(phases: list[tuple[str, float]]) -> None:
    text = comment(PHASES=";".join(f"{name}:{seconds:.1f}" for name, seconds in phases))
    for chart in re.findall(r"```mermaid\n(.*?)\n```", text, flags=re.DOTALL):
        head, *bars = chart.split("    section Build\n")
        assert head == "gantt\n    dateFormat X\n    axisFormat %M:%S\n"
        for bar in bars[0].split("\n"):
            assert re.fullmatch(r"    \d+ [A-Za-z0-9 ._-]* :p\d+, (?:0|after p\d+), [\d.]+s", bar)


def test_failed_build_is_not_succeeded() -> None:
    assert failure(OUTCOME="Succeeded").name == failure(OUTCOME="No **such** outcome").name == "BuildFailed"
    assert failure(OUTCOME="TestsFailed").name == "TestsFailed"


def test_malformed_tail_is_omitted() -> None:
    assert "The last lines" not in comment(TAIL="{not json") + comment(TAIL="[1]")


GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = st.one_of(
    st.text(),
    st.text(st.sampled_from("`|[]()<>!#*_~:;\\&\n\r\t @-=\x00\u2028\x85'\"")),
    st.sampled_from(["```\n", "~~~\n", "`", "``", "</details>", "-->", "<!--", "<script>", "| a | b |\n|---|---|\n"]),
    st.sampled_from(["|", "\\|", "\\`", "![x](https://e.example/x.png)", "<img src=x>", "&lt;", "\r\n# ", "    "]),
).flatmap(lambda text: st.sampled_from([text, text * 2, f"{text}\n{text}", f"x{text}"]))
OWN_URLS = (
    "https://github.com/a/b/commit/",
    "https://eu-west-1.console.aws.amazon.com/states/",
    "https://s3.console.aws.amazon.com/s3/buckets/",
)
OWN_HTML = {
    "<details><summary>Timeline</summary>",
    "<details><summary>What the agent said at the end of each turn</summary>",
    *("</details>", "<sub>", "</sub>"),
}
EVIL = "evil @evil https://evil.example"


def tokens(markdown: str) -> list[Token]:
    return [inner for token in GITHUB.parse(markdown) for inner in (token, *(token.children or []))]


def require_harmless(markdown: str) -> None:
    """Rendered as GitHub does, only the worker's own elements appear, and outside text appears only in code."""
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
        *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
        *("paragraph_open", "paragraph_close", "strong_open", "strong_close"),
        *(f"{part}_{end}" for part in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")),
    }
    for token in found:
        if token.type == "text":
            assert "evil" not in token.content
        elif token.type == "link_open":
            assert str(token.attrs["href"]).startswith(OWN_URLS)
        elif token.type in ("html_block", "html_inline"):
            assert token.content.strip() in OWN_HTML
        elif token.type == "fence":
            assert token.info in ("text", "mermaid")
    cells = [token.type for token in found if token.type in ("tr_open", "td_open")]
    assert cells == ["tr_open", *["tr_open", "td_open", "td_open"] * cells.count("tr_open")][: len(cells)]


LINES = ("TAIL", "OPEN_TASKS")
VARIABLES = (
    *(*UNTRUSTED, *LINES, "TASKS_DONE", "TASKS_DONE_BEFORE", "TASKS_OPEN", "TASKS_OPTIONAL"),
    *("FILES_CHANGED", "RESULT_COMMIT", "OUTCOME"),
)


@given(st.sampled_from(VARIABLES), HOSTILE, HOSTILE)
def test_github_renders_build_text_as_code(variable: str, before: str, after: str) -> None:
    hostile = f"{before}{EVIL}{after}"
    values = {
        "TASKS_DONE": "1",
        "PHASES": "check out:1;agent:2",
        "CHECKPOINT": f"refs/kiro-worker/checkpoints/x {'a' * 40}",
    }
    require_harmless(comment(**{**values, variable: json.dumps(hostile) if variable == "TAIL" else hostile}))
    build = failure(**{**values, variable: hostile}).build
    assert build
    require_harmless(succeeded(CONFIGURATION, WORK.branch, build, ARN))


@given(HOSTILE, HOSTILE, HOSTILE)
def test_github_renders_reasons_as_code(state: str, cause: str, reasons: str) -> None:
    failed_run = Failure(f"{state}{EVIL}", "GitHubForbidden", f"{cause}{EVIL}{cause}")
    require_harmless(failed(CONFIGURATION, failed_run, ARN))
    require_harmless(rejected(f"{reasons}{EVIL}\n{reasons}", ARN))


TERMINAL = st.sampled_from(["\x1b[31m", "\x1b]8;;https://e.example\x07", "\x9b2J", "\u202e", "\ud800"])


@given(HOSTILE | TERMINAL, HOSTILE, st.sampled_from(["</details>\n\n", "```\n\n", "\n\n# ", "`", ""]))
def test_github_renders_words_of_agent_as_code(before: str, after: str, breaking: str) -> None:
    hostile = f"{before}{breaking}{EVIL} @octocat #1 <b>{after}"
    turns = (Turn(hostile, hostile), Turn("1 Parse", hostile))
    gate = (FailedTest(hostile, hostile),), (GateNote(hostile, hostile), GateNote("flaky", hostile))
    summary = RunSummary((DoneTask(hostile, "a" * 40),), turns, *gate)
    require_harmless(success(summary))
    require_harmless(failed(CONFIGURATION, failure(OUTCOME="AgentFailed"), ARN, summary=summary))
    assert "octocat" not in outside_code(success(summary))
