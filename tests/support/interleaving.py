"""Operations that pause before each of their requests.

A test decides in which order the requests of several operations reach the server, and which answers are lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Final

from botocore.exceptions import ClientError, ConnectionClosedError

_SECONDS: Final = 30


class Fate(Enum):
    """What happens to a request.

    Its answer arrives; its answer is lost and boto3 sends the request again; its answer is lost for good; or the
    caller dies before sending it.
    """

    ANSWERED = "answered"
    SENT_AGAIN = "sent again"
    LOST = "lost"
    KILLED = "killed"


class Killed(BaseException):
    """Ends the thread of an operation that takes no further step."""


class Operation:
    """``run`` in its own thread, which advances only during :meth:`step`, so at most one operation is active.

    ``run`` gets a function in which it must wrap every request.
    """

    def __init__(self, run: Callable[[Callable[[Callable[[], Any]], Any]], object]) -> None:
        self.result: object = None
        self.error: BaseException | None = None
        self.done = False
        self._fate = Fate.ANSWERED
        self._resume, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(run,), daemon=True)
        self._thread.start()
        self._wait()

    def step(self, fate: Fate = Fate.ANSWERED) -> None:
        """Send the next request, and let the operation advance to the one after it or to its end."""
        if self.done:
            raise RuntimeError(f"the operation has already ended, with {self.error or self.result!r}")
        self._fate = fate
        self._resume.release()
        self._wait()

    def _wait(self) -> None:
        if not self._paused.acquire(timeout=_SECONDS):
            raise TimeoutError("the operation neither sent a request nor ended")
        if self.done:
            self._thread.join(_SECONDS)

    def _run(self, run: Callable[[Callable[[Callable[[], Any]], Any]], object]) -> None:
        try:
            self.result = run(self._request)
        except BaseException as error:  # noqa: BLE001  # the test inspects it
            self.error = error
        self.done = True
        self._paused.release()

    def _request(self, send: Callable[[], Any]) -> Any:
        while True:
            self._paused.release()
            self._resume.acquire()
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
    """The part of a DynamoDB client that the lock uses, with every request wrapped for an :class:`Operation`."""

    def __init__(self, client: Any, request: Callable[[Callable[[], Any]], Any]) -> None:
        self._client, self._request = client, request

    def get_item(self, **arguments: Any) -> Any:
        return self._request(lambda: self._client.get_item(**arguments))

    def batch_get_item(self, **arguments: Any) -> Any:
        return self._request(lambda: self._client.batch_get_item(**arguments))

    def update_item(self, **arguments: Any) -> Any:
        return self._request(lambda: self._client.update_item(**arguments))

    def delete_item(self, **arguments: Any) -> Any:
        return self._request(lambda: self._client.delete_item(**arguments))

    def get_paginator(self, name: str) -> SteppedDynamoDB:
        assert name == "scan"
        return self

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        yield self._request(lambda: self._client.scan(**arguments))
