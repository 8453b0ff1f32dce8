"""The text of the worker's comment on a pull request: the outcome first, then the facts, then how to continue."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from kiro_worker.github.markdown import block, code, link
from kiro_worker.models import BuildResult
from kiro_worker.names import with_environment
from kiro_worker.outcomes import Outcome
from kiro_worker.records.summaries import GATE_NOTES, RunSummary
from kiro_worker.redaction import redact
from kiro_worker.spec import completion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.config.model import Configuration
    from kiro_worker.models import Failure

_PHASE: Final = re.compile(r"([^:;]{1,100}):([0-9]{1,6}(?:\.[0-9]{1,3})?)")
_CHECKPOINT: Final = re.compile(r"(refs/[A-Za-z0-9._/+#-]+) ([0-9a-f]{40})")
_MAX_PHASES: Final = 40
_PULL_REQUEST: Final = re.compile(r"(https?://[^\s?#]+/[^/\s?#]+/[^/\s?#]+)/pull/[0-9]+")
_LONGEST_SECTION: Final = 18_000
"""The maximum length of the list of tasks, and of the agent's words, so that no comment is cut off."""
_LONGEST_FAILURES: Final = 8_000
_LONGEST_WORDS: Final = 1_000
_MOST_NOTES: Final = 10
_NO_SUMMARY: Final = RunSummary()


def rejected(reasons: str, execution_arn: str) -> str:
    """The comment for a card that is not ready.

    ``reasons`` is the text of :class:`~kiro_worker.errors.WorkItemInvalid`, one reason per line.
    """
    return _comment(
        "🚫 **Not ready for implementation**",
        block(redact(with_environment(reasons, execution_arn))),
        "Nothing was built.",
        _links(execution_arn, None),
    )


def already_implemented(commit: str, configuration: Configuration) -> str:
    """What is added to the report of an implementation when its card comes back without an open task."""
    return (
        f"**Already implemented** in {code(commit[:12])}: nothing was built. To have more done, add an open task to"
        f" tasks.md, and move the card back to {code(configuration.target_status_column)}."
    )


def succeeded(
    configuration: Configuration,
    branch: str,
    build: BuildResult,
    execution_arn: str,
    notes: Sequence[str] = (),
    *,
    summary: RunSummary = _NO_SUMMARY,
    pull_request_url: str = "",
) -> str:
    """The comment for work that was pushed to ``branch``. ``notes`` are what its reviewers have to know first.

    ``summary`` is what the run recorded about its tasks. The commits become links if ``pull_request_url`` names the
    repository.
    """
    return _comment(
        f"✅ **Implemented**: {code(build.commit[:12])} on {code(branch)} is ready for review",
        "\n".join(f"- ⚠️ {note}" for note in (*notes, *_gate_notes(summary))),
        redact(code(build.reason)) if build.reason else "",
        _done_tasks(build, summary, pull_request_url),
        _facts(build),
        _words(summary),
        "To have more done, add an open task to tasks.md, push it, and move the card back to"
        f" {code(configuration.target_status_column)}. Once it is there, you need not wait for the schedule:\n"
        + block(f"kiro-worker replay {execution_arn} --wait"),
        _timeline(build),
        _links(execution_arn, build),
    )


def failed(
    configuration: Configuration,
    failure: Failure,
    execution_arn: str,
    build: BuildResult | None = None,
    *,
    summary: RunSummary = _NO_SUMMARY,
) -> str:
    """The comment for a failed run: why it failed and the two ways to continue.

    ``build`` is what ReadBuildResult found out about the build; without it, the failure's own cause may describe it.
    ``summary`` is what the run recorded about its tasks. Their commits are on no branch, so they are not links.
    """
    build = build or failure.build
    count = _completion(build) if build and failure.name == Outcome.INCOMPLETE else ""
    heading = f": {count}" if count else f" in {code(failure.state)}" if failure.state else ""
    reason = redact(with_environment(failure.reason, execution_arn)).removeprefix(f"{count}: ")[:4000]
    return _comment(
        f"❌ **{failure.name}**{heading}",
        block(reason) if reason else "",
        _done_tasks(build or BuildResult(), summary),
        _open_tasks(build) if build else "",
        _failed_tests(summary),
        "\n".join(f"- ⚠️ {note}" for note in _gate_notes(summary)),
        _facts(build) if build else "",
        "The last lines of output:\n" + block(redact(build.tail)[-4000:]) if build and build.tail.strip() else "",
        _words(summary),
        "To continue, redrive the execution (steps that succeeded are not repeated), with one of these commands:\n"
        + block(
            f"aws stepfunctions redrive-execution --execution-arn {execution_arn}\n"
            f"kiro-worker redrive {execution_arn} --wait"
        )
        + f"\nOr fix the cause and move the card back to {code(configuration.target_status_column)}.",
        _timeline(build) if build else "",
        _links(execution_arn, build),
    )


def execution_url(execution_arn: str) -> str:
    """The execution's page in the Step Functions console."""
    region = execution_arn.split(":")[3] if execution_arn.count(":") >= 3 else ""
    return f"https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{execution_arn}"


def _done_tasks(build: BuildResult, summary: RunSummary, pull_request_url: str = "") -> str:
    """The tasks that the run has done, each with its commit, as many as fit."""
    found = _PULL_REQUEST.fullmatch(pull_request_url)
    lines, length = [], 0
    for task in summary.tasks:
        commit = code(task.commit[:12])
        if found:
            commit = link(commit, f"{found[1]}/commit/{task.commit}")
        lines.append(f"- {_cell(redact(task.name))}" + (f" in {commit}" if task.commit else ""))
        length += len(lines[-1])
        if length > _LONGEST_SECTION:
            lines.pop()
            break
    if not lines:
        return ""
    done, before = build.tasks_done, build.tasks_done_before
    count = int(done) - int(before) if done.isdecimal() and before.isdecimal() else len(summary.tasks)
    more = [f"- and {count - len(lines)} more"] if count > len(lines) else []
    return "\n".join(["Tasks done by this run:", *lines, *more])


def _gate_notes(summary: RunSummary) -> list[str]:
    """What the gate found besides its verdict."""
    known = [note for note in summary.notes if note.kind in GATE_NOTES]
    return [f"{GATE_NOTES[note.kind]}: {_cell(redact(note.names))}" for note in known[:_MOST_NOTES]]


def _failed_tests(summary: RunSummary) -> str:
    """The tests that stopped the build, each with the last lines of its failure, as many as fit."""
    parts: list[str] = []
    for test in summary.failed:
        # Without blank lines, so that nothing in it can look like a part that is added to the comment later.
        said = "\n".join(filter(str.strip, redact(test.said).splitlines()))[-_LONGEST_WORDS:]
        part = f"- {_cell(redact(test.name))}" + (f"\n{block(said)}" if said else "")
        if sum(map(len, parts)) + len(part) > _LONGEST_FAILURES:
            break
        parts.append(part)
    if not parts:
        return ""
    more = len(summary.failed) - len(parts)
    return "\n".join(["Failed tests:", *parts, *([f"- and {more} more"] if more else [])])


def _words(summary: RunSummary) -> str:
    """What the agent said at the end of each turn, in a collapsed section that shows the last turns that fit."""
    shown: list[str] = []
    for turn in reversed(summary.turns):
        # Without blank lines, so that nothing in it can look like a part that is added to the comment later.
        said = "\n".join(filter(str.strip, redact(turn.said).splitlines()))[:_LONGEST_WORDS]
        part = f"{_cell(redact(turn.about))}:\n{block(said)}" if said else ""
        if sum(map(len, shown)) + len(part) > _LONGEST_SECTION:
            break
        shown = [part, *shown] if part else shown
    if not shown:
        return ""
    heading = "<details><summary>What the agent said at the end of each turn</summary>"
    return "\n\n".join([heading, *shown, "</details>"])


def _completion(build: BuildResult) -> str:
    """``3 of 5 tasks done``; empty if the build did not count its tasks."""
    if not (build.tasks_done.isdecimal() and build.tasks_open.isdecimal()):
        return ""
    done, still_open = int(build.tasks_done), int(build.tasks_open)
    return completion(done, done + still_open)


def _open_tasks(build: BuildResult) -> str:
    names = redact(build.open_tasks).strip()[:4000]
    if not names:
        return ""
    shown = len(names.splitlines())
    more = int(build.tasks_open) - shown if build.tasks_open.isdecimal() else 0
    return "Open tasks:\n" + block(names + (f"\nand {more} more" if more > 0 else ""))


def _tasks(build: BuildResult) -> str:
    """``2 done by this run, 1 done before, 2 open, 1 optional``, without what is not known."""
    done, before = build.tasks_done, build.tasks_done_before
    if not done:
        return ""
    parts = [f"{done} done"]
    if done.isdecimal() and before.isdecimal():
        parts = [f"{int(done) - int(before)} done by this run", *([f"{before} done before"] if int(before) else [])]
    parts.append(f"{build.tasks_open or '0'} open")
    if build.tasks_optional not in ("", "0"):
        parts.append(f"{build.tasks_optional} optional")
    return ", ".join(parts)


def _facts(build: BuildResult) -> str:
    rows = [
        ("Tasks", _tasks(build)),
        ("Tests", build.tests),
        ("Coverage", build.coverage),
        ("Files changed", build.files_changed),
        ("Agent", build.credits),
        ("Minutes", build.minutes),
        ("Commit", build.commit),
    ]
    cells = [(name, _cell(redact(value))) for name, value in rows if value.strip()]
    if found := _CHECKPOINT.fullmatch(build.checkpoint):
        # The ref is not a branch, so GitHub has no page for it.
        ref, commit = found.groups()
        cells.append(("Checkpoint", f"{_cell(commit[:12])} on {_cell(ref)}: {_cell(f'git fetch origin {ref}')}"))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {cell} |" for name, cell in cells)]) if cells else ""


def _cell(text: str) -> str:
    # A vertical bar ends a table cell, even inside code.
    return code(text[:500]).replace("|", "¦")


def _timeline(build: BuildResult) -> str:
    """The phases as a Mermaid chart.

    A name keeps only letters, digits and a few punctuation marks, so that it cannot break its line. The number in front
    of it prevents Mermaid from reading it as a keyword.
    """
    found = [_PHASE.fullmatch(entry) for entry in build.phases.split(";")[:_MAX_PHASES]]
    bars = []
    for number, phase in enumerate(filter(None, found), 1):
        name = re.sub(r"[^A-Za-z0-9 ._-]+", " ", phase[1]).strip()[:40]
        start = f"after p{number - 1}" if number > 1 else "0"
        bars.append(f"    {number} {name} {phase[2]} s :p{number}, {start}, {max(float(phase[2]), 0.1):.1f}s")
    if not bars:
        return ""
    chart = "\n".join(["gantt", "    dateFormat X", "    axisFormat %M:%S", "    section Build", *bars])
    return f"<details><summary>Timeline</summary>\n\n```mermaid\n{chart}\n```\n\n</details>"


def _links(execution_arn: str, build: BuildResult | None) -> str:
    links = [link("execution", execution_url(execution_arn))]
    if build and build.log_url:
        links.append(link("build log", build.log_url))
    if build and (artifacts := re.fullmatch(r"s3://([a-z0-9.-]+)/([A-Za-z0-9._/-]+)", build.artifacts)):
        address = f"https://s3.console.aws.amazon.com/s3/buckets/{artifacts[1]}?prefix={quote(artifacts[2])}"
        links.append(f"{link('artifacts', address)} {code(build.artifacts)}")
    return " · ".join(links) + f"\n<sub>{code(execution_arn)}</sub>"


def _comment(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
