"""The demonstration: a board with one card that is ready and some that are not, worked on until nothing waits."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kiro_local.environment import LocalEnvironment
from kiro_local.github.git_repository import read_directory
from kiro_worker.executions.follow import follow
from kiro_worker.executions.history import Run, StateEntered, read_events, read_run
from kiro_worker.models import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kiro_local.github.board import Board
    from kiro_local.github.model import Issue, Item, PullRequest, Repository

ORGANIZATION: Final = "acme"
REPOSITORY: Final = "acme/shop"
READY: Final = "feature/discounts"
CONFIGURATION: Final[Mapping[str, Any]] = {
    "organization": ORGANIZATION,
    "repository": "shop",
    "projectNumber": 1,
    "targetStatusColumn": "For Implementation",
    "testCommand": "python3 -m unittest discover -v",
    # unittest by itself measures none, and a threshold that cannot be measured is no pass.
    "coverageThreshold": None,
}
_FILES: Final = Path(__file__).parent / "repository"
_AGENT: Final = Path(__file__).parent / "scripted_agent.py"
_MOST_TICKS: Final = 6


def seed(board: Board) -> None:
    """The organisation, its repository and five cards: ready, no branch, spec incomplete, from a fork, and one in
    another column.
    """
    repository = board.add_repository(REPOSITORY)
    files = read_directory(_FILES)
    repository.git.commit(
        "main", {path: text for path, text in files.items() if not path.startswith(".kiro/")}, "Begin the shop"
    )
    repository.git.commit(READY, files, "Write the spec for discounts", base="main")
    _spec(repository, "feature/returns", files, without="design.md")
    _spec(repository, "feature/translations", files)

    project = board.add_project(ORGANIZATION, title="Shop", number=1)
    ready = board.add_issue(repository, "Discounts on whole orders")
    board.add_pull_request(repository, READY, title="Discounts on whole orders")
    board.add_card(project, ready, status="For Implementation", branch=READY)

    gift_cards = board.add_issue(repository, "Gift cards")
    board.add_card(project, gift_cards, status="For Implementation", branch="feature/gift-cards")

    returns = board.add_pull_request(repository, "feature/returns", title="Returns within 30 days")
    board.add_card(project, returns, status="For Implementation")

    translations = board.add_issue(repository, "Translations by a volunteer")
    board.add_repository("volunteer/shop", parent=repository)
    board.add_pull_request(
        repository, "volunteer:feature/translations", title="Translations", author="volunteer", association="NONE"
    )
    board.add_card(project, translations, status="For Implementation", branch="feature/translations")

    board.add_card(project, board.add_issue(repository, "Loyalty points"), status="Todo")


def _spec(repository: Repository, branch: str, files: Mapping[str, Any], without: str = "") -> None:
    """The ready branch's spec under another branch's name."""
    source, target = (f".kiro/specs/{name.replace('/', '-')}/" for name in (READY, branch))
    spec = {
        path.replace(source, target): text
        for path, text in files.items()
        if path.startswith(source) and not (without and path.endswith(without))
    }
    repository.git.commit(branch, spec, f"Write the spec for {branch}", base="main")


def agent_command(failing_once_in: Path | None = None) -> list[str]:
    """The scripted stand-in agent; with a folder it fails the first time and leaves a mark there."""
    command = [sys.executable, str(_AGENT)]
    return [*command, "--fail-first", str(failing_once_in)] if failing_once_in else command


@dataclass
class Demo:
    """The board before and after, and the runs between. ``graphql`` are requests and points, one pair a run."""

    board: Board
    local: LocalEnvironment
    usage: Callable[[], tuple[int, int]]
    runs: list[Run] = field(default_factory=list)
    graphql: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cards_before = self._cards()
        self.branches_before = self._branches()

    def play(self) -> Iterator[tuple[str, StateEntered | Run]]:
        """Tick until a tick finds nothing: every state as ``("state", …)``, every run's end as ``("run", …)``; a run
        that failed is redriven once and goes on as ``("redriven", …)``.
        """
        for _ in range(_MOST_TICKS):
            before = self.usage()
            arn = self.local.tick()
            yield from self._follow(arn, 0)
            run = read_run(self.local.client("stepfunctions"), arn)
            if run.status != "SUCCEEDED":
                yield "failed", run
                events = len(read_events(self.local.client("stepfunctions"), arn))
                self.local.redrive(arn)
                yield from self._follow(arn, events)
                run = read_run(self.local.client("stepfunctions"), arn)
            after = self.usage()
            self.runs.append(run)
            self.graphql.append((after[0] - before[0], after[1] - before[1]))
            yield "run", run
            if run.outcome == "NothingToDo" and not run.output.get("skipped"):
                return

    def _follow(self, arn: str, seen: int) -> Iterator[tuple[str, StateEntered]]:
        for passed in follow(self.local.client("stepfunctions"), arn, seen):
            yield "state", passed

    def title(self, item_id: str | None) -> str:
        return next((item.title for item in self._items() if item.id == item_id), "")

    def reasons(self) -> dict[str, list[str]]:
        """Why cards were rejected, by their titles."""
        rejected = [passed.document for run in self.runs for passed in run.states if passed.name == "RejectWorkItem"]
        return {
            self.title(document["item"]["id"]): Failure.from_dict(document["failure"]).reason.splitlines()[:-1]
            for document in rejected
        }

    def comments(self) -> dict[str, list[str]]:
        """The texts of the comments, by the title of the issue or pull request they are on."""
        repository = self.board.repository(REPOSITORY)
        assert repository is not None  # noqa: S101  # seeded
        subjects: list[Issue | PullRequest] = [*repository.issues, *repository.pull_requests]
        return {
            f"{subject.typename} #{subject.number} {subject.title}": [comment.body for comment in subject.comments]
            for subject in subjects
            if subject.comments
        }

    def diff(self, branch: str = READY) -> str:
        """What was pushed to the branch."""
        repository = self.board.repository(REPOSITORY)
        after = self._branches().get(branch)
        before = self.branches_before.get(branch)
        if repository is None or not after or not before or after == before:
            return ""
        return repository.git.run("diff", "--no-color", before, after).decode("utf-8", "replace")

    def tests(self) -> str:
        """The log of the tests of the build that succeeded last."""
        for run in reversed(self.runs):
            for passed in reversed(run.states):
                variables = (passed.document.get("build") or {}).get("variables") or []
                for variable in variables:
                    if variable["Name"] == "ARTIFACTS" and variable.get("Value"):
                        return self.local.artifact(variable["Value"], "tests.log")
        return ""

    def to_dict(self, seconds: float) -> dict[str, Any]:
        """The one object of ``--json``."""
        cards, branches, reasons = self._cards(), self._branches(), self.reasons()
        return {
            "runs": [
                {
                    "executionArn": run.arn,
                    "status": run.status,
                    "states": [passed.name for passed in run.states],
                    "stateTransitions": run.transitions,
                    "item": run.item_id,
                    "outcome": run.outcome,
                    "redrives": run.redrives,
                    "fences": list(dict.fromkeys(_fences(run))),
                    "lambdaInvocations": run.invocations,
                    "graphqlRequests": requests,
                    "graphqlPoints": points,
                }
                for run, (requests, points) in zip(self.runs, self.graphql, strict=True)
            ],
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

    def _items(self) -> list[Item]:
        return [item for project in self.board.projects for item in project.items]

    def _cards(self) -> dict[str, str | None]:
        return {item.title: item.value("Status") for item in self._items()}

    def _branches(self) -> dict[str, str]:
        repository = self.board.repository(REPOSITORY)
        assert repository is not None  # noqa: S101  # seeded
        heads = {name: found.oid for name, found in repository.git.refs().items()}
        return {name.removeprefix("refs/heads/"): oid for name, oid in heads.items() if name.startswith("refs/heads/")}


def _fences(run: Run) -> list[int]:
    return [passed.document["lease"]["fence"] for passed in run.states if "lease" in passed.document]
