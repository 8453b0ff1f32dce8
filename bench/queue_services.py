"""The services around the simulated queue: DynamoDB, GitHub and Step Functions, as far as the worker asks them.

Each request is counted, and takes its time of the step that sends it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tests.support.memory_dynamodb import Item, MemoryDynamoDB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gql import GraphQLRequest

PAGE: Final = 100
"""The cards of a page, as FETCH_WORK_ITEM asks for them. A page costs one point."""
_SCANNED_PAGE: Final = 1_000_000
"""DynamoDB's answer to a scan covers at most 1 MB of the table, whatever a filter leaves of it."""
_FIELD: Final = "ProjectV2SingleSelectField"
Note = Callable[[str, float], None]
"""Counts a request of the step that runs now: a series, and an amount."""


class SimulatedDynamoDB(MemoryDynamoDB):
    """One table, with DynamoDB's request units.

    The answer to a scan holds the items with an owner or a pending report only, because the worker's filters leave out
    all others. They count as read nevertheless. Items are not copied, because the worker does not change what it reads.
    """

    def __init__(self, note: Note) -> None:
        super().__init__()
        self._note = note
        self._sizes: dict[str, int] = {}
        self._size = 0
        self._held: dict[str, Item] = {}

    def get_item(self, *, Key: Item, **_: Any) -> dict[str, Any]:  # noqa: N803  # boto3's name
        self._read(1)
        [value] = Key.values()
        item = self.items.get(value["S"])
        return {} if item is None else {"Item": item}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803  # boto3's name
        [(table, wanted)] = RequestItems.items()
        self._read(len(wanted["Keys"]) * (1 if wanted.get("ConsistentRead") else 0.5))
        keys = [value["S"] for key in wanted["Keys"] for value in key.values()]
        return {"Responses": {table: [self.items[key] for key in keys if key in self.items]}}

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        filtered = request.get("ExpressionAttributeValues", {}).get(":owner")
        found = [item for item in self._held.values() if filtered is None or item.get("owner") == filtered]
        for number in range(max(1, math.ceil(self._size / _SCANNED_PAGE))):
            self._read(math.ceil(min(self._size - number * _SCANNED_PAGE, _SCANNED_PAGE) / 4096))
            yield {"Items": [] if number else found}

    def update_item(self, **request: Any) -> dict[str, Any]:
        [key] = (value["S"] for value in request["Key"].values())
        self._note("dynamodb", 1)
        self._note("write units", math.ceil(max(1, self._sizes.get(key, 0)) / 1024))
        answer = super().update_item(**request)
        item = self.items[key]
        size = sum(len(name) + sum(map(len, map(str, value.values()))) for name, value in item.items())
        self._size += size - self._sizes.get(key, 0)
        self._sizes[key] = size
        if "owner" in item or "reportPending" in item:
            self._held[key] = item
        else:
            self._held.pop(key, None)
        return answer

    def delete_item(self, **request: Any) -> dict[str, Any]:
        [key] = (value["S"] for value in request["Key"].values())
        self._note("dynamodb", 1)
        self._note("write units", math.ceil(max(1, self._sizes.get(key, 0)) / 1024))
        answer = super().delete_item(**request)
        self._size -= self._sizes.pop(key, 0)
        self._held.pop(key, None)
        return answer

    def _read(self, units: float) -> None:
        self._note("dynamodb", 1)
        self._note("read units", units)


@dataclass
class SimulatedCard:
    """A card, and what its build will do: last ``seconds``, and fail if it ``fails``. An unready one is rejected."""

    id: str
    repository: str = "acme/shop"
    branch: str = ""
    seconds: float = 600
    fails: bool = False
    ready: bool = True
    status: str = "Ready"
    moved_at: float = 0


class SimulatedGitHub:
    """A board, behind the worker's session: it answers the query for a page of the cards in the status ``target``."""

    def __init__(self, cards: Sequence[SimulatedCard], note: Note, statuses: Sequence[str], target: str) -> None:
        self.cards = {card.id: card for card in cards}
        self._note = note
        self._target = target
        self._order = [card.id for card in cards]
        self._places = {card.id: place for place, card in enumerate(cards)}
        self._nodes: dict[str, dict[str, Any]] = {}
        self._waiting = [place for place, card in enumerate(cards) if card.status == target]
        options = [{"id": name, "name": name} for name in statuses]
        self._project = {
            "id": "PROJECT",
            "title": "Work",
            "closed": False,
            "statusField": {"__typename": _FIELD, "id": "FIELD", "name": "Status", "options": options},
            "priorityField": None,
        }

    def move(self, card: SimulatedCard, status: str, at: float) -> None:
        place = self._places[card.id]
        if card.status == self._target:
            self._waiting.pop(bisect_left(self._waiting, place))
        if status == self._target:
            insort(self._waiting, place)
        card.status, card.moved_at = status, at
        self._nodes.pop(card.id, None)

    def send(self, operations: Sequence[str], mutations: frozenset[str]) -> None:
        """Count operations of a step that is not simulated itself."""
        for name in operations:
            self._count(name in mutations)

    async def query(self, _: GraphQLRequest, variables: Mapping[str, Any], __: tuple[str, ...] = ()) -> dict[str, Any]:
        """The worker's session sends the query here."""
        self._count(is_write=False)
        first = int(variables.get("after") or 0)
        places = self._waiting[first : first + PAGE]
        following = first + len(places)
        items = {
            "totalCount": len(self._waiting),
            "pageInfo": {"hasNextPage": following < len(self._waiting), "endCursor": str(following)},
            "nodes": [self._node(self._order[place]) for place in places],
        }
        return {"organization": {"projectV2": {**self._project, "items": items}}}

    def _count(self, is_write: bool) -> None:
        self._note("github", 1)
        self._note("points", 1)
        self._note("secondary points", 5 if is_write else 1)
        if is_write:
            self._note("writes", 1)

    def _node(self, card_id: str) -> dict[str, Any]:
        if card_id not in self._nodes:
            self._nodes[card_id] = self._new_node(self.cards[card_id])
        return self._nodes[card_id]

    def _new_node(self, card: SimulatedCard) -> dict[str, Any]:
        moved = datetime.fromtimestamp(card.moved_at, UTC).isoformat()
        return {
            "id": card.id,
            "isArchived": False,
            "status": {"name": card.status, "optionId": card.status, "updatedAt": moved},
            "branch": {"text": card.branch},
            "spec": None,
            "content": {
                "__typename": "Issue",
                "id": f"I_{card.id}",
                "number": 1,
                "title": card.id,
                "url": "https://github.invalid/issue",
                "issueState": "OPEN",
                "repository": {"nameWithOwner": card.repository},
                "linkedBranches": {"nodes": []},
            },
        }
