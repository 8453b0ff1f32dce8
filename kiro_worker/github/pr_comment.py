"""The text of the worker's comment on a pull request: the outcome first, then the facts, then how to continue."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from kiro_worker.github.markdown import block, code, link
from kiro_worker.redaction import redact

if TYPE_CHECKING:
    from kiro_worker.config.model import Configuration
    from kiro_worker.models import BuildResult, Failure

_PHASE: Final = re.compile(r"([^:;]{1,100}):([0-9]{1,6}(?:\.[0-9]{1,3})?)")
_MAX_PHASES: Final = 40


def rejected(reasons: str, execution_arn: str) -> str:
    """The comment for a card that is not ready.

    ``reasons`` is the text of :class:`~kiro_worker.errors.WorkItemInvalid`, one reason per line.
    """
    return _comment(
        "🚫 **Not ready for implementation**",
        block(redact(reasons)),
        "Nothing was built.",
        _links(execution_arn, None),
    )


def succeeded(branch: str, build: BuildResult, execution_arn: str, repository: str = "") -> str:
    """The comment for work that was pushed to ``branch``. ``repository`` is its URL, empty if it is not known."""
    return _comment(
        f"✅ **Implemented**: {code(build.commit[:12])} on {code(branch)} is ready for review",
        redact(code(build.reason)) if build.reason else "",
        _facts(build, repository),
        _timeline(build),
        _links(execution_arn, build),
    )


def failed(
    configuration: Configuration,
    failure: Failure,
    execution_arn: str,
    repository: str = "",
    build: BuildResult | None = None,
) -> str:
    """The comment for a failed run: why it failed and the two ways to continue.

    ``repository`` is the repository's URL, for the link to the checkpoint; empty if it is not known. ``build`` is what
    ReadBuildResult found out about the build; without it, the failure's own cause may describe the build.
    """
    build = build or failure.build
    return _comment(
        f"❌ **{failure.name}**" + (f" in {code(failure.state)}" if failure.state else ""),
        block(redact(failure.reason)[:4000]) if failure.reason else "",
        _facts(build, repository) if build else "",
        "The last lines of output:\n" + block(redact(build.tail)[-4000:]) if build and build.tail.strip() else "",
        "To continue, redrive the execution (steps that succeeded are not repeated):\n"
        + block(f"aws stepfunctions redrive-execution --execution-arn {execution_arn}")
        + f"\nOr fix the cause and move the card back to {code(configuration.target_status_column)}.",
        _timeline(build) if build else "",
        _links(execution_arn, build),
    )


def repository_url(pull_request_url: str) -> str:
    """``https://github.com/owner/name`` from the URL of one of its pull requests; empty for any other text."""
    found = re.fullmatch(r"(https?://[^\s/]+/[^\s/]+/[^\s/]+)/pull/\d+", pull_request_url)
    return found[1] if found else ""


def execution_url(execution_arn: str) -> str:
    """The execution's page in the Step Functions console."""
    region = execution_arn.split(":")[3] if execution_arn.count(":") >= 3 else ""
    return f"https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{execution_arn}"


def _facts(build: BuildResult, repository: str) -> str:
    rows = [
        ("Tasks", f"{build.tasks_done} done, {build.tasks_open or '0'} open" if build.tasks_done else ""),
        ("Tests", build.tests),
        ("Coverage", build.coverage),
        ("Files changed", build.files_changed),
        ("Agent", build.credits),
        ("Minutes", build.minutes),
        ("Commit", build.commit),
    ]
    cells = [(name, _cell(redact(value))) for name, value in rows if value.strip()]
    if build.checkpoint:
        shown = _cell(redact(build.checkpoint))
        cells.append(
            ("Checkpoint", link(shown, f"{repository}/tree/{quote(build.checkpoint)}") if repository else shown)
        )
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
