"""One demo from the first tick to the last, and the comparison of the board before and after."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kiro_local.demo.board import READY_BRANCH, REPOSITORY
from kiro_local.environment import LocalEnvironment
from kiro_local.next_runs import NextRunEnded, NextRunStarted, follow_next_runs
from kiro_worker.executions.follow import follow
from kiro_worker.executions.history import Run, StateEntered, read_events, read_run
from kiro_worker.models import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kiro_local.github.board import Board
    from kiro_local.github.model import Issue, Item, PullRequest, Repository

_TICK_LIMIT: Final = 6
_ENDINGS: Final = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")


@dataclass(frozen=True)
class TickStarted:
    """The schedule started an execution. ``number`` counts from 1."""

    number: int


@dataclass(frozen=True)
class RunFailed:
    """``run`` failed, and will be redriven."""

    run: Run


@dataclass(frozen=True)
class RunRedriven:
    """The run that failed has been redriven."""


@dataclass(frozen=True)
class RunEnded:
    """``run`` reached its final status. ``usage`` is its number of GraphQL requests, and their cost in points.

    If it is ``quiet``, another run started it, it took no card, and its states were not shown.
    """

    run: Run
    usage: tuple[int, int]
    quiet: bool = False


Event = TickStarted | NextRunStarted | StateEntered | RunFailed | RunRedriven | RunEnded


class Usage:
    """Attributes the GraphQL requests to the runs, which ask GitHub one after the other.

    ``total`` returns the number of requests so far and their cost in points. After a run has started the next one, it
    sends no more requests unless it is redriven.
    """

    def __init__(self, total: Callable[[], tuple[int, int]]) -> None:
        self._total = total
        self._attributed = (0, 0)
        self._by_run: dict[str, tuple[int, int]] = {}
        self._done: set[str] = set()

    def on_history_event(self, arn: str, event: Mapping[str, Any]) -> None:
        """The listener for the embedded AWS."""
        kind, entered = event["type"], event.get("stateEnteredEventDetails", {}).get("name", "")
        if kind == "ExecutionRedriven":
            self._done.discard(arn)
        elif entered.startswith("StartNextRun") or (kind in _ENDINGS and arn not in self._done):
            self._done.add(arn)
            self._attribute(arn)

    def of(self, arn: str) -> tuple[int, int]:
        return self._by_run.get(arn, (0, 0))

    def _attribute(self, arn: str) -> None:
        total, before, earlier = self._total(), self._attributed, self.of(arn)
        self._by_run[arn] = (earlier[0] + total[0] - before[0], earlier[1] + total[1] - before[1])
        self._attributed = total


@dataclass
class DemoSession:
    """Runs the demo on a seeded board."""

    board: Board
    local: LocalEnvironment
    usage: Usage
    ended: list[RunEnded] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cards_before = self._cards()
        self.branches_before = self._branches()

    @property
    def runs(self) -> list[Run]:
        return [each.run for each in self.ended]

    def play(self) -> Iterator[Event]:
        """Tick until a run finds no card, and yield what happens. The failed run of a tick is redriven once."""
        client = self.local.client("stepfunctions")
        for number in range(1, _TICK_LIMIT + 1):
            arn, next_runs = self.local.tick(), set[str]()
            yield TickStarted(number)
            yield from follow(client, arn)
            run = read_run(client, arn)
            if run.status != "SUCCEEDED":
                yield RunFailed(run)
                yield from self._follow_next(arn, next_runs)
                yield from self._redrive(run)
                run = read_run(client, arn)
            yield self._end(run)
            yield from self._follow_next(arn, next_runs)
            last = self.runs[-1]
            if last.outcome == "NothingToDo" and not last.output.get("skipped"):
                return

    def _redrive(self, run: Run) -> Iterator[Event]:
        client = self.local.client("stepfunctions")
        past_events = len(read_events(client, run.arn))
        self.local.redrive(run.arn)
        yield RunRedriven()
        yield from follow(client, run.arn, past_events)

    def _follow_next(self, arn: str, known: set[str]) -> Iterator[Event]:
        for event in follow_next_runs(self.local.client("stepfunctions"), arn, known):
            yield self._end(event.run, quiet=event.quiet) if isinstance(event, NextRunEnded) else event

    def _end(self, run: Run, *, quiet: bool = False) -> RunEnded:
        self.ended.append(RunEnded(run, self.usage.of(run.arn), quiet))
        return self.ended[-1]

    def title(self, item_id: str | None) -> str:
        return next((item.title for item in self._items() if item.id == item_id), "")

    def reasons(self) -> dict[str, list[str]]:
        """Why each rejected card was rejected, by card title."""
        rejections = [state.document for run in self.runs for state in run.states if state.name == "RejectWorkItem"]
        return {
            self.title(document["item"]["id"]): Failure.from_dict(document["failure"]).reason.splitlines()[:-1]
            for document in rejections
        }

    def comments(self) -> dict[str, list[str]]:
        """The texts of the comments, by issue or pull request."""
        repository = self._repository()
        subjects: list[Issue | PullRequest] = [*repository.issues, *repository.pull_requests]
        return {
            f"{subject.typename} #{subject.number} {subject.title}": [comment.body for comment in subject.comments]
            for subject in subjects
            if subject.comments
        }

    def diff(self, branch: str = READY_BRANCH) -> str:
        """The diff that was pushed to a branch; empty if nothing was."""
        before, after = self.branches_before.get(branch), self._branches().get(branch)
        if not before or not after or before == after:
            return ""
        return self._repository().git.run("diff", "--no-color", before, after).decode("utf-8", "replace")

    def test_log(self) -> str:
        """The test log of the last build that has one."""
        for run in reversed(self.runs):
            for state in reversed(run.states):
                variables = (state.document.get("build") or {}).get("variables") or []
                for variable in variables:
                    if variable["Name"] == "ARTIFACTS" and variable.get("Value"):
                        return self.local.artifact(variable["Value"], "tests.log")
        return ""

    def to_dict(self, seconds: float) -> dict[str, Any]:
        """The object that ``--json`` prints. The runs are in the order of their ends."""
        cards, branches, reasons = self._cards(), self._branches(), self.reasons()
        return {
            "runs": [_run_to_dict(each) for each in self.ended],
            "cards": {
                title: {"before": before, "after": cards[title], "reasons": reasons.get(title, [])}
                for title, before in self.cards_before.items()
            },
            "branches": {
                name: {"before": self.branches_before.get(name), "after": branches.get(name)}
                for name in sorted({*self.branches_before, *branches})
            },
            "lock": {"held": self.local.lock() is not None},
            "seconds": round(seconds, 1),
        }

    def _repository(self) -> Repository:
        repository = self.board.repository(REPOSITORY)
        assert repository is not None  # noqa: S101  # the board was seeded with it
        return repository

    def _items(self) -> list[Item]:
        return [item for project in self.board.projects for item in project.items]

    def _cards(self) -> dict[str, str | None]:
        return {item.title: item.value("Status") for item in self._items()}

    def _branches(self) -> dict[str, str]:
        refs = self._repository().git.refs().items()
        return {name.removeprefix("refs/heads/"): ref.oid for name, ref in refs if name.startswith("refs/heads/")}


def _run_to_dict(ended: RunEnded) -> dict[str, Any]:
    run, (requests, points) = ended.run, ended.usage
    fences = [state.document["lease"]["fence"] for state in run.states if "lease" in state.document]
    return {
        "executionArn": run.arn,
        "status": run.status,
        "states": [state.name for state in run.states],
        "stateTransitions": run.transitions,
        "item": run.item_id,
        "outcome": run.outcome,
        "redrives": run.redrives,
        "fences": list(dict.fromkeys(fences)),
        "lambdaInvocations": run.invocations,
        "graphqlRequests": requests,
        "graphqlPoints": points,
    }
