"""`kiro-worker replay` and `kiro-worker redrive`: the card of an execution once more, by a new run or by the same."""

from __future__ import annotations

import json
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from kiro_worker.cli.aws import NamedExecution, named_execution
from kiro_worker.cli.runs import show_failure, show_run, show_state
from kiro_worker.errors import KiroWorkerError
from kiro_worker.executions.history import follow, history, read_run
from kiro_worker.models import cause_message

if TYPE_CHECKING:
    from kiro_worker.executions.history import Run

_PATIENCE_SECONDS: Final = 3 * 3600
_LONGEST_NAME: Final = 80
_TRIES: Final = 100

_REPLAY_EXAMPLES = """
Examples:

  kiro-worker replay arn:aws:states:eu-west-1:123456789012:execution:kiro-worker-test:0b1c2d3e

  kiro-worker replay 0b1c2d3e --environment production --wait

  kiro-worker replay 0b1c2d3e --endpoint-url http://127.0.0.1:PORT     against `kiro-worker local up`

Ctrl-C ends the waiting, not the execution. Exit codes: 0 done, 1 failed, 2 wrong command line, 130 interrupted.
"""
_REDRIVE_EXAMPLES = _REPLAY_EXAMPLES.replace("kiro-worker replay", "kiro-worker redrive")

ExecutionArgument = Annotated[str, typer.Argument(metavar="EXECUTION", help="Its ARN, or its name.")]
EnvironmentOption = Annotated[str, typer.Option(help="Whose execution it is, when only its name is given.")]
EndpointOption = Annotated[
    str | None, typer.Option(help="Instead of AWS: the endpoint of `kiro-worker local up`. Or AWS_ENDPOINT_URL.")
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Follow the run state by state until it has ended.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


class ExecutionNotFound(KiroWorkerError):
    """There is no such execution; AWS forgets one 90 days after its end."""


class ExecutionStillRuns(KiroWorkerError):
    """Its card is being worked on."""


class NoCardToReplay(KiroWorkerError):
    """The execution worked on no card: a quiet tick, or it failed before it had one."""


class ExecutionNotRedrivable(KiroWorkerError):
    """AWS redrives an execution that failed, was aborted or timed out, for 14 days."""


def replay(
    execution: ExecutionArgument,
    environment: EnvironmentOption = "test",
    endpoint_url: EndpointOption = None,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start a new run for the card that an execution worked on.

    It is refused, and nothing is written, when the card is in review, or its pull request is merged or closed.
    """
    found = named_execution(execution, environment, endpoint_url)
    described = describe(found)
    if described["status"] == "RUNNING":
        raise ExecutionStillRuns(
            f"{found.arn} still works on its card",
            f"wait, or aws stepfunctions stop-execution --execution-arn {found.arn}",
        )
    run = read_run(found.client, found.arn)
    item, title = card_of(run)
    arn = found.client.start_execution(
        stateMachineArn=found.state_machine_arn,
        name=name_of_replay(found.name),
        input=json.dumps({"trigger": "replay", "itemId": item}),
    )["executionArn"]
    result = {"replayed": found.arn, "itemId": item, "title": title, "executionArn": arn, "console": found.console(arn)}
    _tell(found, result, seen=0, wait=wait, as_json=as_json, wanted="Succeeded")


def redrive(
    execution: ExecutionArgument,
    environment: EnvironmentOption = "test",
    endpoint_url: EndpointOption = None,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a failed execution go on: the same run, from the state that failed, with the same card."""
    found = named_execution(execution, environment, endpoint_url)
    described = describe(found)
    seen = len(history(found.client, found.arn))
    try:
        found.client.redrive_execution(executionArn=found.arn)
    except found.client.exceptions.ExecutionNotRedrivable as error:
        reason = described.get("redriveStatusReason") or error.response["Error"].get("Message", "")
        raise ExecutionNotRedrivable(
            f"{found.arn}: {reason}", f"a new run for the same card: kiro-worker replay {found.arn}"
        ) from None
    result = {"executionArn": found.arn, "redrives": described.get("redriveCount", 0) + 1}
    _wait_until_redriven(found, result["redrives"])
    _tell(found, result | {"console": found.console(found.arn)}, seen=seen, wait=wait, as_json=as_json)


replay.__doc__ = f"{replay.__doc__}\n{_REPLAY_EXAMPLES}"
redrive.__doc__ = f"{redrive.__doc__}\n{_REDRIVE_EXAMPLES}"


def describe(found: NamedExecution) -> dict[str, Any]:
    """DescribeExecution's answer. Raises :class:`ExecutionNotFound`."""
    try:
        return dict(found.client.describe_execution(executionArn=found.arn))
    except (found.client.exceptions.ExecutionDoesNotExist, found.client.exceptions.InvalidArn):
        raise ExecutionNotFound(
            f"there is no execution {found.arn}; AWS forgets one 90 days after its end",
            f"aws stepfunctions list-executions --state-machine-arn {found.state_machine_arn}",
        ) from None


def _wait_until_redriven(found: NamedExecution, times: int) -> None:
    """DescribeExecution is eventually consistent: for a moment it may still tell of the failure before."""
    for _ in range(_TRIES):
        if describe(found).get("redriveCount", 0) >= times:
            return
        time.sleep(0.1)


def card_of(run: Run) -> tuple[str, str]:
    """ID and title of the card that its input names, else of the last that it worked on. Cards that it only passed
    over are none. Raises :class:`NoCardToReplay`.
    """
    documents = [passed.document for passed in run.states]
    items = [item for document in documents if (item := document.get("item"))]
    pinned = documents[0].get("itemId") if documents else None
    if isinstance(pinned, str):
        return pinned, next((str(item["title"]) for item in items if item["id"] == pinned), "")
    if items and run.outcome != "NothingToDo":
        return str(items[-1]["id"]), str(items[-1]["title"])
    passed_over = run.output.get("skipped") or ()
    raise NoCardToReplay(
        f"{run.arn} worked on no card: it ended as {run.outcome}"
        + (f" and passed over {', '.join(map(str, passed_over))}" if passed_over else ""),
        "move a card to the target status, and the schedule takes it; the comment on a card says what it lacks",
    )


def name_of_replay(name: str) -> str:
    """Says whose replay it is, also of a replay; unlike any other, for AWS refuses a name again for 90 days."""
    original = name.removeprefix("replay-").rpartition("--")[0] if name.startswith("replay-") else ""
    when = f"--{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return f"replay-{original or name}"[: _LONGEST_NAME - len(when)] + when


def _tell(
    found: NamedExecution, result: dict[str, Any], *, seen: int, wait: bool, as_json: bool, wanted: str = ""
) -> None:
    """Print what was started and, with ``wait``, how it goes. ``wanted`` is the only outcome that is a success: another
    run may hold the lock.
    """
    console = Console(quiet=as_json, highlight=False, soft_wrap=True)
    arn = result["executionArn"]
    console.print(f"{'redriven' if 'redrives' in result else 'started'}  {arn}")
    if item := result.get("itemId"):
        console.print(f"card     {item} [dim]{escape(result['title'])}[/dim]")
    if result["console"]:
        console.print(f"console  {result['console']}")
    run = _follow(console, found, arn, seen) if wait else None
    if run:
        states = [passed.name for passed in run.states]
        result |= {"status": run.status, "outcome": run.outcome, "reason": _reason(run), "states": states}
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    if run and (run.status != "SUCCEEDED" or (wanted and run.outcome != wanted)):
        if run.status == "SUCCEEDED":
            console.print(f"  nothing was done: {escape(_reason(run))}")
        raise typer.Exit(1)


def _follow(console: Console, found: NamedExecution, arn: str, seen: int) -> Run:
    for passed in follow(found.client, arn, seen, _PATIENCE_SECONDS, found.poll_seconds):
        show_state(console, passed)
    run = read_run(found.client, arn)
    if run.status != "SUCCEEDED":
        show_failure(console, run)
    show_run(console, run)
    return run


def _reason(run: Run) -> str:
    return cause_message(run.cause or str(run.output.get("reason", "")))
