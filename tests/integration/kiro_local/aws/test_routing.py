from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from moto.core.model import ServiceModel
from moto.core.routing import PROTOCOL_ROUTERS, ProtocolRouter, ServiceOperationRouter
from moto.core.utils import get_service_model

from kiro_local.aws import routing
from kiro_local.aws.replacements import Replacements

SERVICES = ("stepfunctions", "dynamodb", "codebuild", "events")


class SlowRouter(ProtocolRouter):  # type: ignore[misc]  # moto's classes are not typed
    """Records how many threads construct a router at the same time."""

    counting = threading.Lock()
    entered = 0
    concurrent = 0
    most_concurrent = 0

    def __init__(self, service_model: ServiceModel) -> None:
        cls = type(self)
        with cls.counting:
            cls.entered += 1
            cls.concurrent += 1
            cls.most_concurrent = max(cls.most_concurrent, cls.concurrent)
        time.sleep(0.05)
        with cls.counting:
            cls.concurrent -= 1
        super().__init__(service_model)


@pytest.fixture
def slow_router(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SlowRouter]]:
    monkeypatch.setitem(PROTOCOL_ROUTERS, "json", SlowRouter)
    monkeypatch.setattr(SlowRouter, "entered", 0)
    monkeypatch.setattr(SlowRouter, "most_concurrent", 0)
    replacements = Replacements()
    routing.install(replacements)
    yield SlowRouter
    replacements.restore()


def test_routers_are_built_one_at_a_time(slow_router: type[SlowRouter]) -> None:
    routers = [ServiceOperationRouter(get_service_model(service)) for service in SERVICES]
    start = threading.Barrier(2 * len(routers))

    def build(router: ServiceOperationRouter) -> None:
        start.wait(10)
        router._get_router("json")

    threads = [threading.Thread(target=build, args=(router,)) for router in routers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert slow_router.most_concurrent == 1
    assert slow_router.entered == len(routers)  # the second thread of a service finds the first one's router
