from __future__ import annotations

from typing import Any

import pytest

from infra.errors import SynthError
from infra.packaging import HOST, LAMBDA
from infra.settings import NPM_AGENTS, Settings, read_settings
from kiro_worker.agent_pin import NPM_PACKAGES, npm_variables


def read(**context: object) -> Settings:
    return read_settings(context.get)


def test_defaults_are_environment_test_on_lambda() -> None:
    settings = read()
    assert settings == Settings(environment="test", platform=LAMBDA, lock_lease_seconds=7200)
    assert settings.names.prefix == "kiro-worker-test"


def test_context_is_read() -> None:
    settings = read(environment="production", packagingPlatform="host", lockLeaseSeconds="8000", kiroCliUrl="u")
    assert settings == Settings("production", HOST, 8000, "u", "")
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
    with pytest.raises(SynthError, match=r"Context lockLeaseSeconds is .* whole number of seconds"):
        read(lockLeaseSeconds=given)


def test_steering_prefix_is_read() -> None:
    assert read().steering_prefix == ""
    assert read(steeringPrefix="s3://acme-steering/kiro/team/").steering_prefix == "acme-steering/kiro/team"


@pytest.mark.parametrize(
    "given", ["acme/kiro", "s3://acme-steering", "s3://acme-steering/*", "s3://a/b", "s3://acme/${x}"]
)
def test_invalid_steering_prefix_is_rejected(given: str) -> None:
    with pytest.raises(SynthError, match="Context steeringPrefix"):
        read(steeringPrefix=given)
