"""How an execution looks on a terminal: a line a state, and a line at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from kiro_worker.models import BuildResult, Failure, cause_message

if TYPE_CHECKING:
    from rich.console import Console

    from kiro_worker.executions.history import Run, StateEntered


def show_state(console: Console, passed: StateEntered) -> None:
    """One state as it is entered, with what the state document says of it."""
    console.print(f"  {passed.seconds:6.1f} s  {passed.name:<24}[dim]{escape(_remark(passed))}[/dim]")


def show_failure(console: Console, run: Run) -> None:
    """An execution that failed, as the console of Step Functions shows it: error and cause."""
    cause = cause_message(run.cause).splitlines()
    console.print(f"  [red]{run.status}[/red]  {escape(run.error)}: {escape(cause[0] if cause else '')}")


def show_run(console: Console, run: Run, graphql: tuple[int, int] | None = None) -> None:
    """The end of an execution and what it cost."""
    colour = "green" if run.status == "SUCCEEDED" else "red"
    redriven = f", redriven {_count(run.redrives, 'time')}" if run.redrives else ""
    cost = f"{_count(run.transitions, 'state transition')}, {_count(run.invocations, 'Lambda invocation')}"
    if graphql is not None:
        requests, points = graphql
        cost += f", {_count(requests, 'GraphQL request')} for {_count(points, 'point')}"
    console.print(f"  [{colour}]{run.status}[/{colour}]  {escape(run.outcome)}{redriven} [dim]({cost})[/dim]")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _remark(passed: StateEntered) -> str:
    document = passed.document
    match passed.name:
        case "ValidateWorkItem":
            item = document["item"]
            return f"“{item['title'] or item['id']}”"
        case "RejectWorkItem":
            return cause_message(document["failure"]["cause"]).splitlines()[0]
        case "MarkInProgress":
            return f"lock taken, fence {document['lease']['fence']}"
        case "RunBuild":
            work = document["work"]
            return f"{work['branch']} at {work['commit'][:12]}, {work['openTasks']} open tasks"
        case "MarkInReview":
            return f"pushed {BuildResult.from_document(document['build']).commit[:12]}"
        case "MarkFailed" | "FailRun":
            failure = Failure.from_dict(document["failure"])
            return f"{failure.state}: {failure.name}"
        case "ResumePoint":
            return "the failed step ran again; starting over from fresh facts"
    return ""
