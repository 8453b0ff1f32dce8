"""`kiro-worker replay` and `kiro-worker redrive`: work on an execution's card again, in a new run or the same one."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from kiro_worker.cli.interrupt import interruptible_sleep
from kiro_worker.cli.options import EndpointOption, JsonOption
from kiro_worker.cli.runs import show_failure, show_run, show_state
from kiro_worker.errors import KiroWorkerError
from kiro_worker.executions.follow import follow
from kiro_worker.executions.history import read_events, read_run
from kiro_worker.executions.naming import ExecutionNameInvalid, NamedExecution, find_execution, replay_name
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.platform_errors import cause_message
from kiro_worker.state import End

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiro_worker.executions.history import Run

_WAIT_SECONDS: Final = 3 * 3600
_REDRIVE_POLLS: Final = 100
_REDRIVE_POLL_SECONDS: Final = 0.1

_REPLAY_EXAMPLES = """
Examples:

  kiro-worker replay arn:aws:states:eu-west-1:123456789012:execution:kiro-worker-test:0b1c2d3e

  kiro-worker replay 0b1c2d3e --environment production --wait

  kiro-worker replay 0b1c2d3e --endpoint-url http://127.0.0.1:PORT     against `kiro-worker local up`

Ctrl-C stops waiting, not the execution. Exit codes: 0 done, 1 failed, 2 wrong command line, 130 interrupted.
"""
_REDRIVE_EXAMPLES = _REPLAY_EXAMPLES.replace("kiro-worker replay", "kiro-worker redrive")

ExecutionArgument = Annotated[str, typer.Argument(metavar="EXECUTION", help="The execution's ARN or name.")]
EnvironmentOption = Annotated[str, typer.Option(help="The execution's environment, when only its name is given.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Follow the run, state by state, until it ends.")]


class ExecutionStillRuns(KiroWorkerError):
    """The execution is still working on its card."""

    owner = FaultOwner.CARD


class NoCardToReplay(KiroWorkerError):
    """The execution did not work on a card: the queue was empty, or the run failed before it took a card."""

    owner = FaultOwner.CARD


class ExecutionNotRedrivable(KiroWorkerError):
    """The execution cannot be redriven: it succeeded, is still running, or ended more than 14 days ago."""

    owner = FaultOwner.CARD


def replay(
    execution: ExecutionArgument,
    environment: EnvironmentOption = "test",
    endpoint_url: EndpointOption = None,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start a new run for the card that an execution worked on.

    The run fails and writes nothing if the card is in review or its pull request is merged or closed. If another card
    is being built and no lock is free, the card goes to the target status, and the queue builds it in its turn.
    """
    found = _find_execution(execution, environment, endpoint_url)
    if found.describe()["status"] == "RUNNING":
        raise ExecutionStillRuns(
            f"{found.arn} is still working on its card",
            f"wait until it ends, or stop it: aws stepfunctions stop-execution --execution-arn {found.arn}",
        )
    item, title = card_of(read_run(found.client, found.arn))
    arn = found.client.start_execution(
        stateMachineArn=found.state_machine_arn,
        name=replay_name(found.name),
        input=json.dumps({"trigger": "replay", "itemId": item}),
    )["executionArn"]
    result = {
        "replayed": found.arn,
        "itemId": item,
        "title": title,
        "executionArn": arn,
        "console": found.console_url(arn),
    }
    # A run that finds the lock held succeeds without building the card.
    _report(found, result, wait=wait, as_json=as_json, accepted=lambda run: run.outcome == Outcome.SUCCEEDED)


def redrive(
    execution: ExecutionArgument,
    environment: EnvironmentOption = "test",
    endpoint_url: EndpointOption = None,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Continue a failed execution: the same run, from the state that failed, with the same card.

    If another card is being built and no lock is free, the card goes to the target status, and the queue builds it in
    its turn.
    """
    found = _find_execution(execution, environment, endpoint_url)
    described = found.describe()
    past_events = len(read_events(found.client, found.arn))
    try:
        found.client.redrive_execution(executionArn=found.arn)
    except found.client.exceptions.ExecutionNotRedrivable as error:
        reason = described.get("redriveStatusReason") or error.response["Error"].get("Message", "")
        raise ExecutionNotRedrivable(
            f"AWS refuses to redrive {found.arn}: {reason}",
            f"start a new run for the same card: kiro-worker replay {found.arn}",
        ) from None
    redrives = described.get("redriveCount", 0) + 1
    _wait_until_redriven(found, redrives)
    result = {"executionArn": found.arn, "redrives": redrives, "console": found.console_url(found.arn)}
    # A run that had no card may find none again.
    _report(found, result, past_events=past_events, wait=wait, as_json=as_json, accepted=lambda run: not _waits(run))


replay.__doc__ = f"{replay.__doc__}\n{_REPLAY_EXAMPLES}"
redrive.__doc__ = f"{redrive.__doc__}\n{_REDRIVE_EXAMPLES}"


def card_of(run: Run) -> tuple[str, str]:
    """The ID and title of the card that the run worked on last, or of the card that its input names.

    A card that the run only skipped does not count. Raises :class:`NoCardToReplay`.
    """
    documents = [entered.document for entered in run.states]
    items = [item for document in documents if (item := document.get("item"))]
    pinned = documents[0].get("itemId") if documents else None
    if isinstance(pinned, str):
        return pinned, next((str(item["title"]) for item in items if item["id"] == pinned), "")
    if items and (run.outcome not in set(End) or run.output.get("item")):
        return str(items[-1]["id"]), str(items[-1]["title"])
    skipped = [card["item"] for card in run.output.get("skipped") or ()]
    raise NoCardToReplay(
        f"{run.arn} did not work on a card: it ended as {run.outcome}"
        + (f" and skipped {', '.join(skipped)}" if skipped else ""),
        "move a card to the target status, and the queue takes it; the run's output says why it skipped a card",
    )


def _find_execution(execution: str, environment: str, endpoint_url: str | None) -> NamedExecution:
    try:
        return find_execution(execution, environment, endpoint_url)
    except ExecutionNameInvalid as error:
        raise typer.BadParameter(error.reason) from None


def _wait_until_redriven(found: NamedExecution, redrives: int) -> None:
    """Wait until DescribeExecution shows the redrive: it is eventually consistent and may still show the failure."""
    for _ in range(_REDRIVE_POLLS):
        if found.describe().get("redriveCount", 0) >= redrives:
            return
        time.sleep(_REDRIVE_POLL_SECONDS)


def _report(
    found: NamedExecution,
    result: dict[str, Any],
    *,
    past_events: int = 0,
    wait: bool,
    as_json: bool,
    accepted: Callable[[Run], bool],
) -> None:
    """Print what was started and, with ``wait``, follow it until it ends.

    Exits with 1 if the run does not succeed, or if its outcome is not ``accepted``.
    """
    console = Console(quiet=as_json, highlight=False, soft_wrap=True)
    arn = result["executionArn"]
    console.print(f"{'redriven' if 'redrives' in result else 'started'}  {arn}")
    if item := result.get("itemId"):
        console.print(f"card     {item} [dim]{escape(result['title'])}[/dim]")
    if result["console"]:
        console.print(f"console  {result['console']}")
    run = _follow(console, found, arn, past_events) if wait else None
    if run:
        states = [entered.name for entered in run.states]
        result |= {"status": run.status, "outcome": run.outcome, "reason": _reason(run), "states": states}
        result["cardStatus"] = run.output.get("status", "")
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    if run and (run.status != "SUCCEEDED" or not accepted(run)):
        if run.status == "SUCCEEDED":
            console.print(f"  the run built nothing: {escape(_reason(run))}")
        if _waits(run) and (status := result["cardStatus"]):
            console.print(f"  the card is in “{escape(status)}”")
        raise typer.Exit(1)


def _follow(console: Console, found: NamedExecution, arn: str, past_events: int) -> Run:
    with interruptible_sleep() as sleep:
        for entered in follow(found.client, arn, past_events, _WAIT_SECONDS, found.poll_seconds, sleep):
            show_state(console, entered)
    run = read_run(found.client, arn)
    if run.status != "SUCCEEDED":
        show_failure(console, run)
    show_run(console, run)
    return run


def _waits(run: Run) -> bool:
    """Whether the run left its card to the queue, because another run holds the lock."""
    return run.outcome == End.WORK_IN_PROGRESS_ELSEWHERE and "item" in run.output


def _reason(run: Run) -> str:
    return cause_message(run.cause or str(run.output.get("reason", "")))
