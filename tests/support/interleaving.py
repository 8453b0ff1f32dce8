"""Operations that stand still before each of their requests, so that a test decides in which order the requests of
several reach the server, and whose answers are lost on the way back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Final

from botocore.exceptions import ClientError, ConnectionClosedError

_SECONDS: Final = 30


class Fate(Enum):
    """What becomes of a request: its answer arrives; is lost, and boto3 sends the request again; or is lost for good.
    Or the caller is gone before it is sent.
    """

    ANSWERED = "answered"
    SENT_AGAIN = "sent again"
    LOST = "lost"
    KILLED = "killed"


class Killed(BaseException):
    """Ends a thread whose operation is not stepped any more."""


class Operation:
    """``run`` in a thread of its own. It is handed a ``request`` to wrap every request in, and goes on only while
    :meth:`step` runs: of all operations one at most is under way.
    """

    def __init__(self, run: Callable[[Callable[[Callable[[], Any]], Any]], object]) -> None:
        self.result: object = None
        self.error: BaseException | None = None
        self.done = False
        self._fate = Fate.ANSWERED
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(run,), daemon=True)
        self._thread.start()
        self._wait()

    def step(self, fate: Fate = Fate.ANSWERED) -> None:
        """Let the next request take place, and the operation come to the one after it or to its end."""
        if self.done:
            raise RuntimeError(f"the operation has ended already, with {self.error or self.result!r}")
        self._fate = fate
        self._go.release()
        self._wait()

    def _wait(self) -> None:
        if not self._stands.acquire(timeout=_SECONDS):
            raise TimeoutError("the operation neither sent a request nor ended")
        if self.done:
            self._thread.join(_SECONDS)

    def _run(self, run: Callable[[Callable[[Callable[[], Any]], Any]], object]) -> None:
        try:
            self.result = run(self._request)
        except BaseException as error:  # noqa: BLE001  # the test looks at it
            self.error = error
        self.done = True
        self._stands.release()

    def _request(self, send: Callable[[], Any]) -> Any:
        while True:
            self._stands.release()
            self._go.acquire()
            if self._fate is Fate.KILLED:
                raise Killed
            fate = self._fate
            try:
                answer = send()
            except ClientError:
                if fate is Fate.ANSWERED:
                    raise
            else:
                if fate is Fate.ANSWERED:
                    return answer
            if fate is Fate.LOST:
                raise ConnectionClosedError(endpoint_url="http://127.0.0.1")


class SteppedDynamoDB:
    """The part of a DynamoDB client that the lock uses, each request at the operation's pace."""

    def __init__(self, client: Any, request: Callable[[Callable[[], Any]], Any]) -> None:
        self._client, self._request = client, request

    def get_item(self, **arguments: Any) -> Any:
        return self._request(lambda: self._client.get_item(**arguments))

    def update_item(self, **arguments: Any) -> Any:
        return self._request(lambda: self._client.update_item(**arguments))

    def get_paginator(self, name: str) -> SteppedDynamoDB:
        assert name == "scan"
        return self

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        yield self._request(lambda: self._client.scan(**arguments))
