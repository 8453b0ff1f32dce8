"""What the simulation of the queue assumes: latencies, requests of the steps it does not run, limits and prices.

Change a number here to see what it does. Limits and prices were looked up in November 2026.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Latencies:
    """Seconds. Nothing was measured on AWS: these are what imports and requests take elsewhere, rounded up.

    ``cold`` is a function's start, unless an environment of it is idle: about 0.5 s of imports on a whole core, which
    Lambda gives to the start of any function. ``warm`` is its own time with 256 MB. ``keep_warm`` is how long an idle
    environment is kept. ``aws`` and ``github`` are those of one request. ``transition`` and ``start`` are those of Step
    Functions, and ``notice`` is how long it takes to see that a build has ended. The build's own time includes its
    provisioning.
    """

    cold: float = 1.0
    warm: float = 0.2
    keep_warm: float = 300
    aws: float = 0.02
    github: float = 0.5
    transition: float = 0.05
    start: float = 0.2
    notice: float = 3.0


MEMORY_GB: Final = 0.25
"""The memory of every function (infra/constructs/step.py)."""

OPERATIONS: Final = {
    "ValidateWorkItem": ("ValidateWorkItem",),
    "RejectWorkItem": ("ReadCard", "FindComments", "AddComment", "SetStatus"),
    "MarkInProgress": ("ReadCard", "SetStatus"),
    "MarkInReview": ("ReadCard", "ReadPullRequest", "FindComments", "AddComment", "SetStatus"),
    "MarkFailed": ("ReadCard", "FindComments", "AddComment", "SetStatus"),
}
"""The GraphQL operations of the steps that are not simulated themselves, each of one point.

``bench queue-run`` compares those of a card that is built with a real run.
"""
MUTATIONS: Final = frozenset({"AddComment", "UpdateComment", "DeleteComment", "RemoveLabel", "SetStatus"})


def operations_of(*states: str) -> Counter[str]:
    """How often these states send each operation."""
    return Counter(name for state in states for name in OPERATIONS[state])


@dataclass(frozen=True)
class Limit:
    """A limit of a service on the series ``series`` of the simulation, and the ``setting`` that moves it.

    With ``seconds``, at most ``most`` in any time that long. With ``refill``, ``most`` is the size of a bucket of
    tokens, of which so many come back each second. With neither, at most ``most`` at once.
    """

    name: str
    series: str
    most: float
    setting: str
    seconds: float = 0
    refill: float = 0


_FEWER: Final = "a lower maxConcurrentBuilds"
LIMITS: Final = (
    # https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
    # Which mutations create content is not documented, so all of them count.
    Limit("GitHub: 5,000 points an hour", "points", 5000, f"a GitHub App's token (up to 12,500), or {_FEWER}", 3600),
    Limit("GitHub: 80 writes a minute", "writes", 80, _FEWER, 60),
    Limit("GitHub: 500 writes an hour", "writes", 500, _FEWER, 3600),
    Limit("GitHub: 2,000 secondary points a minute", "secondary points", 2000, _FEWER, 60),
    # https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html, for regions other than the three largest
    Limit("Step Functions: StartExecution, 800 and 150 a second", "starts", 800, "Service Quotas", refill=150),
    Limit("Step Functions: transitions, 800 and 500 a second", "transitions", 800, "Service Quotas", refill=500),
    Limit("Step Functions: DescribeExecution, 250 and 10 a second", "describes", 250, "Service Quotas", refill=10),
    # https://docs.aws.amazon.com/general/latest/gr/codebuild.html: AWS raises it on request.
    Limit("CodeBuild: 1 build at once (ARM/Small, by default)", "builds", 1, "Service Quotas"),
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    Limit("Lambda: 1,000 invocations at once", "functions", 1000, "Service Quotas"),
)


@dataclass(frozen=True)
class Prices:
    """US dollars in us-east-1, without the free tiers, as of 2026-11.

    https://aws.amazon.com/step-functions/pricing, https://aws.amazon.com/lambda/pricing (arm64) and
    https://aws.amazon.com/dynamodb/pricing/on-demand
    """

    transition: float = 0.025 / 1000
    invocation: float = 0.20 / 1e6
    gigabyte_second: float = 0.0000133334
    read_unit: float = 0.125 / 1e6
    write_unit: float = 0.625 / 1e6
