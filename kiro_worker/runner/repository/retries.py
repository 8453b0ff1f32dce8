"""Retries what may have failed only temporarily, after growing pauses."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSES: Final = (1.0, 3.0, 9.0)
"""Seconds before the second, third and fourth attempt, before jitter."""
LONGEST_SECONDS: Final = 300.0
"""No retry starts later than this after the first attempt began: a slow failure is not made slower."""


@dataclass(frozen=True)
class Retries:
    """When to try again. ``jitter`` returns a number in [0, 1), which makes each pause 0.5 to 1.5 times as long.

    Without jitter, all builds that an outage interrupts would return at the same moments.
    """

    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    def wait(self, attempt: int, started: float) -> bool:
        """Wait before the attempt after ``attempt``, and return True; False if no other attempt is allowed."""
        if attempt > len(PAUSES) or self.clock() - started > LONGEST_SECONDS:
            return False
        self.sleep(PAUSES[attempt - 1] * (0.5 + self.jitter()))
        return True
