"""The settings of a deployment, from CDK context (``--context key=value`` or ``cdk.json``), validated once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.context import Context, one_of, whole_number
from infra.errors import SynthError
from infra.machine import Machine, read_machine
from infra.packaging import HOST, LAMBDA, LAMBDA_PLATFORMS, Platform
from kiro_worker.names import ENVIRONMENTS, QUEUE_MINUTES, Names

EXECUTION_MARGIN_SECONDS = 900
"""For the steps before and after the build."""
LEASE_MARGIN_SECONDS = 600
NPM_AGENTS = ("claude", "codex", "gemini")
_LEASES = range(1, 1_000_000)
_SCHEDULES = range(1, 61)


@dataclass(frozen=True)
class Settings:
    environment: str = "test"
    platform: Platform = LAMBDA
    machine: Machine = field(default_factory=Machine)
    schedule_minutes: int = 5
    """How often the schedule starts the workflow."""
    longer_lease_seconds: int = 0
    """A lease that the context sets; 0 if it follows from the build's timeout."""
    kiro_cli_url: str = ""
    kiro_cli_sha256: str = ""
    runner_python: str = "image"
    """Whose Python runs the runner: the image's, or one that the build's source brings (``bundled``)."""
    agent_pins: Mapping[str, str] = field(default_factory=dict)
    """The variables that pin other versions of the npm packages of agents, by name: see kiro_worker/agent_pin.py."""
    steering_prefix: str = ""
    """``bucket/prefix`` of the central steering files that the build may read; empty if there are none."""

    @property
    def names(self) -> Names:
        return Names(self.environment)

    @property
    def execution_seconds(self) -> int:
        """The timeout of the state machine."""
        return build_state_seconds(self.machine.timeout_minutes) + EXECUTION_MARGIN_SECONDS

    @property
    def lock_lease_seconds(self) -> int:
        """How long a lock is held unless it is released. No execution may outlive it."""
        return self.longer_lease_seconds or self.execution_seconds + LEASE_MARGIN_SECONDS

    @property
    def keeps_data(self) -> bool:
        """Production keeps its table, bucket and logs when their stack is deleted; other environments keep nothing."""
        return self.environment == "production"


def read_settings(context: Context) -> Settings:
    """Return the validated settings.

    ``context`` is ``node.try_get_context``: None for a key that is not set, a string from the command line.
    """
    machine = read_machine(context)
    packaging = one_of(context, "packagingPlatform", ("lambda", "host"), default="lambda")
    return Settings(
        environment=one_of(context, "environment", ENVIRONMENTS, default="test"),
        platform=HOST if packaging == "host" else LAMBDA_PLATFORMS[machine.architecture],
        machine=machine,
        schedule_minutes=whole_number(context, "scheduleMinutes", _SCHEDULES, Settings.schedule_minutes, "minutes"),
        longer_lease_seconds=whole_number(context, "lockLeaseSeconds", _LEASES, 0, "seconds"),
        kiro_cli_url=str(context("kiroCliUrl") or ""),
        kiro_cli_sha256=str(context("kiroCliSha256") or ""),
        # AWS's images have a Python. Nothing is known of others.
        runner_python=one_of(
            context, "runnerPython", ("image", "bundled"), default="image" if machine.has_aws_image else "bundled"
        ),
        agent_pins=_agent_pins(context),
        steering_prefix=_s3_prefix(context, "steeringPrefix"),
    )


def _agent_pins(context: Context) -> dict[str, str]:
    pins: dict[str, str] = {}
    for agent in NPM_AGENTS:
        version, integrity = (str(context(f"{agent}{key}") or "") for key in ("Version", "Integrity"))
        if not version and not integrity:
            continue
        if not re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", version):
            raise SynthError(f"Context {agent}Version is {version!r}, but it must be a version such as 1.2.3.")
        if not re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", integrity):
            raise SynthError(f"Context {agent}Integrity is {integrity!r}, but it must be sha512-<base64>.")
        pins |= {f"{agent.upper()}_VERSION": version, f"{agent.upper()}_INTEGRITY": integrity}
    return pins


def _s3_prefix(context: Context, key: str) -> str:
    value = context(key)
    if value is None or value == "":
        return ""
    # Neither `*` nor `?`, which an IAM policy would read as wildcards.
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.'()-]+)+)/?", str(value))
    if not match:
        raise SynthError(f"Context {key} is {value!r}, but it must be s3://bucket/prefix.")
    return match[1]


def build_state_seconds(timeout_minutes: int) -> int:
    """Return the timeout of the state RunBuild, for a build of this timeout.

    It exceeds the queue's and the build's own together, because AWS does not document that a state's timeout stops its
    build. The definition computes the same from ``work.build.timeoutMinutes``.
    """
    return (QUEUE_MINUTES + timeout_minutes) * 60 + 300
