"""Two guarantees of DynamoDB that moto breaks: conditional writes are atomic, and a comparison of different types is
false.
"""

from __future__ import annotations

import threading
from functools import wraps
from typing import TYPE_CHECKING, Any

from moto.dynamodb import comparisons
from moto.dynamodb.models import DynamoDBBackend

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiro_local.aws.replacements import Replacements

_WRITES = ("put_item", "update_item", "delete_item", "transact_write_items")
_COMPARISONS = ("OpLessThan", "OpGreaterThan", "OpLessThanOrEqual", "OpGreaterThanOrEqual")


def install(replacements: Replacements) -> None:
    """Replaces the write methods of ``DynamoDBBackend`` (moto checks the condition and writes without a lock, so two
    threads of its server can both succeed) and ``expr`` of the comparisons (moto raises ``TypeError`` for a string and
    a number).
    """
    lock = threading.RLock()
    for name in _WRITES:
        replacements.set(DynamoDBBackend, name, _one_at_a_time(getattr(DynamoDBBackend, name), lock))
    for name in _COMPARISONS:
        comparison = getattr(comparisons, name)
        replacements.set(comparison, "expr", _false_across_types(comparison.expr))


def _one_at_a_time(method: Callable[..., Any], lock: threading.RLock) -> Callable[..., Any]:
    @wraps(method)
    def locked(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return method(*args, **kwargs)

    return locked


def _false_across_types(expr: Callable[..., bool]) -> Callable[..., bool]:
    @wraps(expr)
    def compared(*args: Any) -> bool:
        try:
            return expr(*args)
        except TypeError:
            return False

    return compared
