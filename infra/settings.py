"""The settings of a deployment, from CDK context (``--context key=value`` or ``cdk.json``), validated once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from infra.errors import SynthError
from infra.packaging import LAMBDA, PLATFORMS, Platform
from kiro_worker.names import ENVIRONMENTS, Names

DEFAULT_LEASE_SECONDS = 7200
NPM_AGENTS = ("claude", "codex", "gemini")


@dataclass(frozen=True)
class Settings:
    environment: str = "test"
    platform: Platform = LAMBDA
    lock_lease_seconds: int = DEFAULT_LEASE_SECONDS
    kiro_cli_url: str = ""
    kiro_cli_sha256: str = ""
    agent_pins: Mapping[str, str] = field(default_factory=dict)
    """The variables that pin other versions of the npm packages of agents, by name: see kiro_worker/agent_pin.py."""
    steering_prefix: str = ""
    """``bucket/prefix`` of the central steering files that the build may read; empty if there are none."""

    @property
    def names(self) -> Names:
        return Names(self.environment)

    @property
    def keeps_data(self) -> bool:
        """Production keeps its table, bucket and logs when their stack is deleted; other environments keep nothing."""
        return self.environment == "production"


def read_settings(context: Callable[[str], object]) -> Settings:
    """Return the validated settings.

    ``context`` is ``node.try_get_context``: None for a key that is not set, a string from the command line.
    """
    return Settings(
        environment=_one_of(context, "environment", ENVIRONMENTS, default="test"),
        platform=PLATFORMS[_one_of(context, "packagingPlatform", tuple(PLATFORMS), default=LAMBDA.name)],
        lock_lease_seconds=_seconds(context, "lockLeaseSeconds", default=DEFAULT_LEASE_SECONDS),
        kiro_cli_url=str(context("kiroCliUrl") or ""),
        kiro_cli_sha256=str(context("kiroCliSha256") or ""),
        agent_pins=_agent_pins(context),
        steering_prefix=_s3_prefix(context, "steeringPrefix"),
    )


def _agent_pins(context: Callable[[str], object]) -> dict[str, str]:
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


def _one_of(context: Callable[[str], object], key: str, allowed: tuple[str, ...], default: str) -> str:
    value = context(key)
    if value is None:
        return default
    if value not in allowed:
        raise SynthError(f"Context {key} is {value!r}, but it must be one of {', '.join(allowed)}.")
    return str(value)


def _s3_prefix(context: Callable[[str], object], key: str) -> str:
    value = context(key)
    if value is None or value == "":
        return ""
    # Neither `*` nor `?`, which an IAM policy would read as wildcards.
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.'()-]+)+)/?", str(value))
    if not match:
        raise SynthError(f"Context {key} is {value!r}, but it must be s3://bucket/prefix.")
    return match[1]


def _seconds(context: Callable[[str], object], key: str, default: int) -> int:
    value = context(key)
    if value is None:
        return default
    # The command line passes a string; cdk.json and jsii pass a number, which may be a float.
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if not text.isdecimal() or int(text) == 0:
        raise SynthError(f"Context {key} is {value!r}, but it must be a whole number of seconds above 0.")
    return int(text)
