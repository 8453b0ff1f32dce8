"""What a run says to people: the one comment on the pull request. Outcome first, then the facts, then the ways on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.github.markdown import block, code, link
from kiro_worker.observability import redact

if TYPE_CHECKING:
    from kiro_worker.config import Configuration
    from kiro_worker.models import BuildResult, Failure, Work


def rejected(reasons: str, execution_arn: str) -> str:
    """The card is not ready; ``reasons`` is :class:`~kiro_worker.errors.WorkItemInvalid`'s text, a reason a line."""
    return _comment(
        "🚫 **Not ready for implementation**",
        block(redact(reasons)),
        "Nothing was built.",
        _links(execution_arn, None),
    )


def succeeded(work: Work, build: BuildResult, execution_arn: str) -> str:
    """The work is on the branch."""
    return _comment(
        f"✅ **Implemented**: {code(build.commit[:12])} on {code(work.branch)} is ready for review",
        _facts(build),
        _links(execution_arn, build),
    )


def failed(configuration: Configuration, failure: Failure, execution_arn: str) -> str:
    """The run failed; says why and the two ways on."""
    build = failure.build
    return _comment(
        f"❌ **{failure.name}**" + (f" in {code(failure.state)}" if failure.state else ""),
        block(redact(failure.reason)[:4000]) if failure.reason else "",
        _facts(build) if build else "",
        "Two ways on: redrive the execution (nothing that succeeded is repeated)\n"
        + block(f"aws stepfunctions redrive-execution --execution-arn {execution_arn}")
        + f"\nor mend the cause and move the card back to {code(configuration.target_status_column)}.",
        _links(execution_arn, build),
    )


def execution_url(execution_arn: str) -> str:
    """The execution's page in the console."""
    region = execution_arn.split(":")[3] if execution_arn.count(":") >= 3 else ""
    return f"https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{execution_arn}"


def _facts(build: BuildResult) -> str:
    rows = [
        ("Tasks", f"{build.tasks_done} done, {build.tasks_open or '0'} open" if build.tasks_done else ""),
        ("Tests", build.tests),
        ("Files changed", build.files_changed),
        ("Artifacts", build.artifacts),
    ]
    filled = [f"| {name} | {code(redact(value)).replace('|', '¦')} |" for name, value in rows if value]
    return "\n".join(["| | |", "|---|---|", *filled]) if filled else ""


def _links(execution_arn: str, build: BuildResult | None) -> str:
    links = [link("execution", execution_url(execution_arn))]
    if build and build.log_url:
        links.append(link("build log", build.log_url))
    return " · ".join(links) + f"\n<sub>{code(execution_arn)}</sub>"


def _comment(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
