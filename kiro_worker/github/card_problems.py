"""What a card itself shows that keeps it from being built: a closed issue, and branches that are linked to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiro_worker.config.model import Configuration
    from kiro_worker.models import WorkItem


def card_problems(item: WorkItem, configuration: Configuration) -> Iterator[str]:
    """The reasons that the card itself shows."""
    if item.content_type == "Issue" and item.state == "CLOSED":
        yield f"the issue #{item.number} is closed: reopen it if it still has to be built"
    if not item.linked_branches:
        return
    foreign = [linked for linked in item.linked_branches if linked.partition(":")[0].lower() != item.repository.lower()]
    if len(foreign) == len(item.linked_branches):
        yield (
            f"the issue is in {item.repository}, but its linked branch is in another repository"
            f" ({', '.join(foreign)}): link a branch of {item.repository}, or use an issue of that repository"
        )
    else:
        yield (
            f"several branches are linked to the issue ({', '.join(item.linked_branches)}): name one of"
            f' {item.repository} in the card\'s field "{configuration.branch_field}", or unlink the others'
        )
