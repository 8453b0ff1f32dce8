"""Ordinary log text: test runs, installers, structured lines, patches and prose, some of it not ASCII."""

from __future__ import annotations

import random
from functools import cache
from typing import Final

_WORDS: Final = (
    *("the", "a", "test", "of", "module", "passed", "function", "value", "returns", "error", "in", "at", "line"),
    *("build", "session", "setup", "through", "light", "basic", "compile", "token", "user", "config", "path", "▸"),
    *("request", "response", "key", "order", "•", "price", "discount", "secret"),
)


@cache
def ordinary(size: int) -> str:
    """Return whole lines, ``size`` characters or a little more."""
    random_source = random.Random(1)  # noqa: S311  # reproducible, and no secret
    lines: list[str] = []
    length = number = 0
    while length < size:
        lines.append(_line(random_source, number))
        length += len(lines[-1]) + 1
        number += 1
    return "\n".join(lines) + "\n"


def _line(random_source: random.Random, number: int) -> str:
    def words(count: int) -> str:
        return " ".join(random_source.choices(_WORDS, k=count))

    one, other = random_source.choices(_WORDS, k=2)
    return (
        f"tests/unit/test_{one}.py::test_{one}_{other}_{number} PASSED [{number % 100:3}%]",
        f"2026-01-01T00:00:{number % 60:02}.123Z INFO  {words(9)} ({random_source.random():.3f}s)",
        f"  Downloading https://files.example/packages/{random_source.randbytes(16).hex()}/{one}-{number}.whl (1.2 MB)",
        f'{{"level": "info", "message": "{words(6)}", "count": {number}}}',
        f"+    return self.{one}.{other}({number})",
        words(12),
    )[number % 6]
