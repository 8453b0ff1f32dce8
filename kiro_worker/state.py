"""The state document of a run, and the event that carries it to each step.

The state machine keeps the document as JSON, to which each state may add a part. This module parses the JSON once per
step, and the step then works with typed values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from kiro_worker.document import Document
from kiro_worker.errors import InvalidExecutionInput
from kiro_worker.models import BuildResult, Failure, Lease, Work, WorkItem

if TYPE_CHECKING:
    from collections.abc import Callable

HOW_TO_START: Final = 'start it with {} for the next card, or {"trigger":"manual","itemId":"PVTI_…"} for that card'
"""How to fix an invalid execution input."""

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class CardReport(Document):
    """What a step did to its card: the status afterwards, the comment's URL and the pushed commit.

    ``status`` is empty if the card no longer exists. The URL and commit are ``None`` for a step that never writes them.
    ``notes`` are what reviewers have to know. The JSON leaves out ``None`` and empty notes.
    """

    status: str
    comment_url: str | None = None
    commit: str | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {key: value for key, value in super().to_dict().items() if value not in (None, ())}


class End(StrEnum):
    """Why a run ends without a card: the name of the state that it ends in."""

    NOTHING_TO_DO = "NothingToDo"
    CARDS_PASSED_OVER = "CardsPassedOver"
    WORK_IN_PROGRESS_ELSEWHERE = "WorkInProgressElsewhere"
    PAUSED = "Paused"
    INSTALLATION_UNAVAILABLE = "InstallationUnavailable"


@dataclass(frozen=True)
class SkippedCard(Document):
    """A card that the run passed over, and why."""

    item: str
    reason: str = ""


@dataclass(frozen=True)
class HeldLock(Document):
    """The lock that an ended execution still held when the clean-up ran."""

    lock_key: str
    work_item_id: str = ""
    repository: str = ""
    branch: str = ""


@dataclass(frozen=True)
class StateDocument:
    """What a run has found out so far. A part is ``None`` until the state that adds it has run.

    A work-item run uses ``request`` to ``report``, and sets ``report_pending`` if its card could not be updated.
    ``pinned`` means that the input or a redrive named ``item``, so that it was not chosen from the queue.
    ``repeat`` says that RunBuild is to repeat a build that CodeBuild failed, or has done so.

    The clean-up uses ``ended_at``, which is when the execution ended in epoch milliseconds, and then ``held``.
    """

    request: Any = None
    skipped: tuple[SkippedCard, ...] = ()
    item: WorkItem | None = None
    pinned: bool = False
    work: Work | None = None
    lease: Lease | None = None
    build: BuildResult | None = None
    failure: Failure | None = None
    report: CardReport | None = None
    report_pending: bool = False
    repeat: bool = False
    held: HeldLock | None = None
    ended_at: float | None = None

    @classmethod
    def parse(cls, document: Any) -> Self:
        """The typed form of ``document``. Raises :class:`InvalidExecutionInput` if a part has the wrong shape.

        The first state's document is the execution's input, which can be any JSON. Unknown keys are ignored here, and
        so is a document that is not an object: :class:`~kiro_worker.github.selection.ExecutionInput` rejects both and
        names every wrong key.
        """
        parts = document if isinstance(document, dict) else {}
        return cls(
            request=parts.get("request"),
            skipped=_parse_part(parts, "skipped", _skipped_cards) or (),
            item=_parse_part(parts, "item", WorkItem.from_dict),
            pinned=parts.get("pinned") is True,
            work=_parse_part(parts, "work", Work.from_dict),
            lease=_parse_part(parts, "lease", Lease.from_dict),
            build=_parse_part(parts, "build", BuildResult.from_document),
            failure=_parse_part(parts, "failure", Failure.from_dict),
            report=_parse_part(parts, "report", CardReport.from_dict),
            report_pending=parts.get("reportPending") is True,
            repeat=parts.get("repeat") is True,
            held=_parse_part(parts, "held", HeldLock.from_dict),
            ended_at=_parse_part(parts, "endedAt", float),
        )


@dataclass(frozen=True)
class StepEvent:
    """The payload of every step.

    ``redrive_count`` comes from Step Functions' context. ``execution_input`` is unvalidated JSON. ``state`` is the name
    of the calling state.
    """

    execution_arn: str
    redrive_count: int
    execution_input: Any
    state: str
    document: StateDocument

    @classmethod
    def parse(cls, event: Mapping[str, Any]) -> Self:
        """The typed form of a step's payload. Raises the same errors as :meth:`StateDocument.parse`."""
        return cls(
            execution_arn=event["executionArn"],
            redrive_count=event["redriveCount"],
            execution_input=event["executionInput"],
            state=event["state"],
            document=StateDocument.parse(event["document"]),
        )


def require(part: _Part | None, name: str) -> _Part:
    """Return ``part`` of the state document. Raises :class:`LookupError` if no earlier state has added it."""
    if part is None:
        raise LookupError(f"the state document has no {name}: the state machine called this step too early")
    return part


def _parse_part(document: Mapping[str, Any], key: str, parse: Callable[[Any], _Part]) -> _Part | None:
    if key not in document:
        return None
    try:
        return parse(document[key])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InvalidExecutionInput(f"{key} in the state document has the wrong shape", HOW_TO_START) from None


def _skipped_cards(value: Any) -> tuple[SkippedCard, ...]:
    if not isinstance(value, list):
        raise TypeError("not a list of cards")
    return tuple(SkippedCard.from_dict(card) for card in value)
