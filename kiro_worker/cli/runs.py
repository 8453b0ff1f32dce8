"""Prints a run on the terminal: one line per state, and one at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from kiro_worker.models import BuildResult, Failure
from kiro_worker.platform_errors import cause_message

if TYPE_CHECKING:
    from rich.console import Console

    from kiro_worker.executions.history import Run, StateEntered


def show_state(console: Console, entered: StateEntered) -> None:
    """Print the state that the run enters, with the most useful fact in its state document."""
    console.print(f"  {entered.seconds:6.1f} s  {entered.name:<24}[dim]{escape(_detail(entered))}[/dim]")


def show_failure(console: Console, run: Run) -> None:
    """Print the status, error and cause of a failed run, as the Step Functions console shows them."""
    cause = cause_message(run.cause).splitlines()
    console.print(f"  [red]{run.status}[/red]  {escape(run.error)}: {escape(cause[0] if cause else '')}")


def show_run(console: Console, run: Run, graphql: tuple[int, int] | None = None) -> None:
    """Print how the run ended and what it cost. ``graphql`` is the number of GraphQL requests and their points."""
    color = "green" if run.status == "SUCCEEDED" else "red"
    redriven = f", redriven {_count(run.redrives, 'time')}" if run.redrives else ""
    cost = f"{_count(run.transitions, 'state transition')}, {_count(run.invocations, 'Lambda invocation')}"
    if graphql is not None:
        requests, points = graphql
        cost += f", {_count(requests, 'GraphQL request')} for {_count(points, 'point')}"
    console.print(f"  [{color}]{run.status}[/{color}]  {escape(run.outcome)}{redriven} [dim]({cost})[/dim]")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _detail(entered: StateEntered) -> str:
    document = entered.document
    match entered.name:
        case "ValidateWorkItem":
            item = document["item"]
            return f"“{item['title'] or item['id']}”"
        case "RejectWorkItem" | "ReturnToQueue":
            return cause_message(document["failure"]["cause"]).splitlines()[0]
        case "MarkInProgress":
            return f"lock acquired, fence {document['lease']['fence']}"
        case "RunBuild":
            work = document["work"]
            return f"{work['branch']} at {work['commit'][:12]}, {work['openTasks']} open tasks"
        case "MarkInReview":
            return f"pushed {BuildResult.from_document(document['build']).commit[:12]}"
        case "ReadBuildResult":
            return f"RunBuild: {Failure.from_dict(document['failure']).name}"
        case "MarkFailed" | "FailRun":
            failure = Failure.from_dict(document["failure"])
            return f"{failure.state}: {failure.name}"
        case "ResumePoint":
            return "the failed step ran again; the run starts over with fresh data"
    return ""
