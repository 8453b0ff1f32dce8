"""The tables of a build's outcomes, generated from :data:`kiro_worker.outcomes.OUTCOMES`.

docs/reference/outcomes.md has every fact, docs/explanation/workflow.md the effect on the card, and
docs/explanation/build.md the meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kiro_worker.outcomes import OUTCOMES, CardEffect, FaultOwner
from tools.generator import GeneratedFile, Section, command_line, markdown_table, write_or_check

REFERENCE: Final = Section("docs/reference/outcomes.md", "outcomes")
WORKFLOW: Final = Section("docs/explanation/workflow.md", "outcomes")
BUILD: Final = Section("docs/explanation/build.md", "outcomes")

ACTORS: Final = {
    FaultOwner.CARD: "the author of the card",
    FaultOwner.REPOSITORY: "the team that owns the repository",
    FaultOwner.INSTALLATION: "the operators of the installation",
    FaultOwner.SERVICE: "no one; another attempt may succeed",
    None: "no one",
}
CARD_EFFECTS: Final = {
    CardEffect.REVIEW: "goes to the review status, with the report on the pull request",
    CardEffect.FAILED: "goes to the failed status, with the reason on the pull request",
    CardEffect.QUEUE: "goes back to the target status, without a comment",
    CardEffect.QUEUE_ONCE: "goes back to the target status, once per head commit; after that, to the failed status",
    CardEffect.NONE: "stays where it is",
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = command_line(__doc__).parse_args(arguments)
    return write_or_check(pages(), check=options.check)


def pages() -> Iterator[GeneratedFile]:
    yield REFERENCE.filled_with(
        markdown_table(
            ("outcome", "meaning", "who has to act", "the card", "how to fix"),
            (
                (f"`{outcome}`", facts.meaning, ACTORS[facts.owner], CARD_EFFECTS[facts.card_effect], facts.fix)
                for outcome, facts in OUTCOMES.items()
            ),
        )
    )
    yield WORKFLOW.filled_with(
        markdown_table(
            ("outcome", "the card", "who has to act"),
            (
                (f"`{outcome}`", CARD_EFFECTS[facts.card_effect], ACTORS[facts.owner])
                for outcome, facts in OUTCOMES.items()
            ),
        )
    )
    yield BUILD.filled_with(
        markdown_table(("outcome", "meaning"), ((f"`{outcome}`", facts.meaning) for outcome, facts in OUTCOMES.items()))
    )


if __name__ == "__main__":
    raise SystemExit(main())
