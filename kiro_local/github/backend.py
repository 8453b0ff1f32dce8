"""What the HTTP handlers work on: the board, the tokens, the pending faults and the request log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kiro_local.github.board import Board
from kiro_local.github.faults import Faults
from kiro_local.github.graphql_api import GraphQLApi
from kiro_local.github.request_log import RequestLog
from kiro_local.github.tokens import Tokens


def _ignore(_operation: str) -> None:
    pass


@dataclass
class Backend:
    """The state of one stand-in, shared by all of its connections.

    ``on_request`` is called in the request's own thread with the operation of each GraphQL and git request, after the
    request has arrived and before anything is done about it. A :class:`ConnectionError` from it ends the request.
    """

    board: Board
    api: GraphQLApi
    tokens: Tokens = field(default_factory=Tokens)
    faults: Faults = field(default_factory=Faults)
    requests: RequestLog = field(default_factory=RequestLog)
    on_request: Callable[[str], None] = _ignore
