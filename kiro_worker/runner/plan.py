"""What a dry run found: lines for people, a JSON document for programs, and what would stop the build."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import with_remedy

if TYPE_CHECKING:
    from kiro_worker.errors import BuildStopped
    from kiro_worker.outcomes import Outcome

_TOPIC_WIDTH: Final = 12


@dataclass(frozen=True)
class Blocker:
    """One thing that would stop the build: the outcome, the reason and the remedy."""

    outcome: Outcome
    reason: str
    remedy: str = ""
    details: str = ""


@dataclass
class Plan:
    """``lines`` are a topic and a sentence each, for people; ``facts`` are the same findings by topic, for programs."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    blockers: list[Blocker] = field(default_factory=list)

    def note(self, topic: str, sentence: str, fact: Any = None) -> None:
        """Add a finding."""
        self.lines.append((topic, sentence))
        if fact is not None:
            self.facts[topic] = fact

    def block(self, stop: BuildStopped) -> None:
        """Add something that would stop the build."""
        self.blockers.append(Blocker(stop.outcome, stop.reason, stop.remedy, stop.details))

    def text(self) -> str:
        """Return the plan for people."""
        lines = [f"{topic:<{_TOPIC_WIDTH}}{sentence}" for topic, sentence in self.lines]
        for blocker in self.blockers:
            lines.append(with_remedy(f"\nwould stop: {blocker.outcome}: {blocker.reason}", blocker.remedy))
            lines += [blocker.details] if blocker.details else []
        return "\n".join([*lines, *([] if self.blockers else ["\nnothing would stop the build"])])

    def document(self) -> dict[str, Any]:
        """Return ``{"wouldGo", "stops": [{"outcome", "reason", "remedy", "details"}], …}`` and the facts by topic."""
        return {
            "wouldGo": not self.blockers,
            "stops": [asdict(blocker) for blocker in self.blockers],
            **self.facts,
        }
