from __future__ import annotations

from typing import Any

import pytest

from infra import app
from infra.errors import SynthError
from infra.packaging import HOST, LAMBDA, LAMBDA_PLATFORMS, ROOT
from infra.settings import NPM_AGENTS, Settings, build_state_seconds, read_settings
from kiro_worker.agent_pin import NPM_PACKAGES, npm_variables


def read(**context: object) -> Settings:
    return read_settings(context.get)


def test_defaults_are_environment_test_on_lambda() -> None:
    settings = read()
    assert settings == Settings(environment="test", platform=LAMBDA)
    assert settings.names.prefix == "kiro-worker-test"


def test_context_is_read() -> None:
    settings = read(environment="production", packagingPlatform="host", lockLeaseSeconds="18000", kiroCliUrl="u")
    assert settings == Settings("production", HOST, longer_lease_seconds=18000, kiro_cli_url="u")
    assert settings.keeps_data


INTEGRITY = f"sha512-{'A' * 86}=="


def test_pins_of_agents_become_variables() -> None:
    settings = read(codexVersion="1.2.3", codexIntegrity=INTEGRITY)

    assert settings.agent_pins == {"CODEX_VERSION": "1.2.3", "CODEX_INTEGRITY": INTEGRITY}
    assert tuple(settings.agent_pins) == npm_variables("codex")
    assert tuple(NPM_AGENTS) == tuple(NPM_PACKAGES)


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ({"claudeVersion": "1.2.3"}, "claudeIntegrity is ''"),
        ({"claudeIntegrity": INTEGRITY}, "claudeVersion is ''"),
        ({"claudeVersion": "latest", "claudeIntegrity": INTEGRITY}, "must be a version such as 1.2.3"),
        ({"geminiVersion": "1.2.3", "geminiIntegrity": "0" * 64}, "must be sha512-<base64>"),
    ],
)
def test_invalid_pin_is_rejected(context: dict[str, str], reason: str) -> None:
    with pytest.raises(SynthError, match=reason):
        read(**context)


def test_unknown_environment_lists_known_ones() -> None:
    with pytest.raises(SynthError) as error:
        read(environment="prod")
    assert str(error.value) == ("Context environment is 'prod', but it must be one of test, staging, production.")


@pytest.mark.parametrize(("given", "seconds"), [(7300, 7300), (7300.0, 7300), ("7300", 7300)])
def test_lease_may_be_number_or_text(given: object, seconds: int) -> None:
    assert read(lockLeaseSeconds=given).lock_lease_seconds == seconds


@pytest.mark.parametrize("given", ["2h", "", "-1", 0, 7300.5, True, [7300]])
def test_invalid_lease_is_rejected(given: Any) -> None:
    with pytest.raises(SynthError, match=r"Context lockLeaseSeconds is .* whole number of seconds from 1 "):
        read(lockLeaseSeconds=given)


@pytest.mark.parametrize(("given", "minutes"), [(None, 5), (1, 1), (60.0, 60), ("15", 15)])
def test_schedule_may_be_number_or_text(given: object, minutes: int) -> None:
    assert read(scheduleMinutes=given).schedule_minutes == minutes


@pytest.mark.parametrize("given", [0, 61, "5 minutes", "", 2.5, "-5", True])
def test_invalid_schedule_is_rejected(given: Any) -> None:
    with pytest.raises(SynthError, match=r"Context scheduleMinutes is .* whole number of minutes from 1 to 60"):
        read(scheduleMinutes=given)


def test_steering_prefix_is_read() -> None:
    assert read().steering_prefix == ""
    assert read(steeringPrefix="s3://acme-steering/kiro/team/").steering_prefix == "acme-steering/kiro/team"


@pytest.mark.parametrize(
    "given", ["acme/kiro", "s3://acme-steering", "s3://acme-steering/*", "s3://a/b", "s3://acme/${x}"]
)
def test_invalid_steering_prefix_is_rejected(given: str) -> None:
    with pytest.raises(SynthError, match="Context steeringPrefix"):
        read(steeringPrefix=given)


@pytest.mark.parametrize("minutes", [5, 60, 150, 2160])
def test_timeouts_follow_from_build(minutes: int) -> None:
    """A build ends before its state, the state before the execution, and the execution before the lease."""
    settings = read(buildTimeoutMinutes=minutes)
    queued_and_built = (30 + minutes) * 60
    assert queued_and_built < build_state_seconds(minutes) < settings.execution_seconds < settings.lock_lease_seconds


def test_architecture_chooses_wheels() -> None:
    assert read(architecture="x86_64").platform is LAMBDA_PLATFORMS["x86_64"]
    assert read(architecture="arm64").platform is LAMBDA
    assert read(architecture="x86_64", packagingPlatform="host").platform is HOST


@pytest.mark.parametrize(
    ("context", "python"),
    [
        ({}, "image"),
        ({"buildImage": "acme/ci:1"}, "bundled"),
        ({"buildImage": "acme/ci:1", "runnerPython": "image"}, "image"),
        ({"runnerPython": "bundled"}, "bundled"),
    ],
    ids=str,
)
def test_custom_image_gets_bundled_python(context: dict[str, object], python: str) -> None:
    assert read(**context).runner_python == python


def test_every_context_key_is_documented() -> None:
    """A key that is read must be in the how-to, the configuration page or the README, and the app's docstring."""
    keys: list[str] = []
    read_settings(keys.append)  # returns None for every key
    how_to, pages = (
        ROOT / "docs" / "how-to" / "build-machine.md",
        ("README.md", "docs/reference/configuration.md", "docs/reference/agents.md"),
    )
    documented = how_to.read_text("utf-8") + "".join((ROOT / page).read_text("utf-8") for page in pages)
    # For the embedded environment only.
    for key in set(keys) - {"packagingPlatform", "environment"}:
        assert f"`{key}`" in documented or f"--context {key}=" in documented, key
    assert all(f"``{key}``" in (app.__doc__ or "") for key in keys)
