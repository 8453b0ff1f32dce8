"""Lets only one thread at a time build request routers, because CPython 3.11 fails when several do."""

from __future__ import annotations

import threading
from functools import wraps
from typing import TYPE_CHECKING, Any

from moto.core.routing import ServiceOperationRouter
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiro_local.aws.replacements import Replacements

# One lock for all services and all servers of this process, because the defect is in the interpreter's global state.
_building = threading.RLock()  # reentrant: get_application calls _get_router to tell some services apart


def install(replacements: Replacements) -> None:
    """Replaces the two methods of moto that compile werkzeug's URL rules, in the thread that needs them first:
    ``ServiceOperationRouter._get_router`` (a service's operations) and ``DomainDispatcherApplication.get_application``
    (a service's web application).

    werkzeug compiles a rule with ``ast.parse``. In CPython 3.11, several threads that do so at once can fail with
    ``SystemError: AST constructor recursion depth mismatch`` (https://github.com/python/cpython/issues/106905), which
    moto's server answers as HTTP 500.
    """
    for owner, name in ((ServiceOperationRouter, "_get_router"), (DomainDispatcherApplication, "get_application")):
        replacements.set(owner, name, _one_at_a_time(getattr(owner, name)))


def _one_at_a_time(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def locked(*args: Any, **kwargs: Any) -> Any:
        with _building:
            return method(*args, **kwargs)

    return locked
