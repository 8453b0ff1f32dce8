from __future__ import annotations

from typing import Any

import pytest

from infra.errors import SynthError
from infra.packaging import HOST, LAMBDA
from infra.settings import Settings, read_settings


def read(**context: object) -> Settings:
    return read_settings(context.get)


def test_without_context_it_is_the_test_environment_on_lambda() -> None:
    settings = read()
    assert settings == Settings(environment="test", platform=LAMBDA, lock_lease_seconds=7200)
    assert settings.names.prefix == "kiro-worker-test"


def test_context_is_read() -> None:
    settings = read(environment="production", packagingPlatform="host", lockLeaseSeconds="8000", kiroCliUrl="u")
    assert settings == Settings("production", HOST, 8000, "u", "")
    assert settings.keeps_data


def test_an_unknown_environment_lists_the_known_ones() -> None:
    with pytest.raises(SynthError) as error:
        read(environment="prod")
    assert str(error.value) == ("Context environment is 'prod', but it must be one of test, staging, production.")


@pytest.mark.parametrize(("given", "seconds"), [(7300, 7300), (7300.0, 7300), ("7300", 7300)])
def test_a_lease_may_come_as_number_or_text(given: object, seconds: int) -> None:
    assert read(lockLeaseSeconds=given).lock_lease_seconds == seconds


@pytest.mark.parametrize("given", ["2h", "", "-1", 0, 7300.5, True, [7300]])
def test_any_other_lease_is_refused(given: Any) -> None:
    with pytest.raises(SynthError, match=r"Context lockLeaseSeconds is .* whole number of seconds"):
        read(lockLeaseSeconds=given)


def test_a_prefix_of_steering_files_may_be_given() -> None:
    assert read().steering_prefix == ""
    assert read(steeringPrefix="s3://acme-steering/kiro/team/").steering_prefix == "acme-steering/kiro/team"


@pytest.mark.parametrize(
    "given", ["acme/kiro", "s3://acme-steering", "s3://acme-steering/*", "s3://a/b", "s3://acme/${x}"]
)
def test_a_prefix_that_says_more_than_one_place_is_refused(given: str) -> None:
    with pytest.raises(SynthError, match="Context steeringPrefix"):
        read(steeringPrefix=given)
