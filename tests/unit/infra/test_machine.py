from __future__ import annotations

from typing import Any

import pytest

from infra.errors import SynthError
from infra.machine import COMPUTE_TYPES, DEFAULT_MINUTES, Machine, Network, read_machine
from kiro_local.aws.build_overrides import MINUTES
from kiro_worker.config.repository_settings import ComputeType
from kiro_worker.config.settings import AgentSettings
from kiro_worker.names import AGENT_TURN_MINUTES, SETUP_MINUTES, TEST_MINUTES
from kiro_worker.runner.gate import evidence, setup

ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/ci"
VPC = {"vpcId": "vpc-0a1b2c3d", "subnetIds": "subnet-0a1b2c3d", "securityGroupIds": "sg-0a1b2c3d"}


def read(**context: object) -> Machine:
    return read_machine(context.get)


def refused(**context: object) -> str:
    with pytest.raises(SynthError) as error:
        read(**context)
    return str(error.value)


def test_default_is_small_unprivileged_arm() -> None:
    machine = read()
    assert machine == Machine()
    assert machine.image == "aws/codebuild/amazonlinux-aarch64-standard:3.0"
    assert machine.compute_type == "BUILD_GENERAL1_SMALL"
    assert (machine.privileged, machine.network, machine.repositories, machine.warnings) == (False, None, (), [])


def test_architecture_has_its_own_image() -> None:
    assert read(architecture="x86_64").image == "aws/codebuild/amazonlinux-x86_64-standard:5.0"
    assert refused(architecture="arm") == "Context architecture is 'arm', but it must be one of arm64, x86_64."


@pytest.mark.parametrize(
    ("image", "architecture", "words"),
    [
        ("aws/codebuild/amazonlinux-aarch64-standard:3.0", "x86_64", "is for arm64, but architecture is x86_64"),
        ("aws/codebuild/standard:7.0", "arm64", "is for x86_64, but architecture is arm64"),
        ("aws/codebuild/amazonlinux-aarch64-lambda-standard:python3.13", "arm64", "run in Linux containers"),
        ("aws/codebuild/windows-base:2022-1.0", "x86_64", "run in Linux containers"),
        ("acme/ci 1", "arm64", "must be the address of an image"),
        ("${Fn}", "arm64", "must be the address of an image"),
        ("-x", "arm64", "must be the address of an image"),
    ],
)
def test_impossible_image_is_rejected(image: str, architecture: str, words: str) -> None:
    message = refused(buildImage=image, architecture=architecture)
    assert message.startswith(f"Context buildImage is {image!r}")
    assert words in message


@pytest.mark.parametrize("size", COMPUTE_TYPES)
def test_every_size_has_codebuilds_name(size: str) -> None:
    assert read(computeType=size).compute_type == f"BUILD_GENERAL1_{size}"
    assert size in ComputeType.__args__  # type: ignore[attr-defined]  # a Literal


@pytest.mark.parametrize("size", ["small", "BUILD_GENERAL1_SMALL", "HUGE", 1])
def test_unknown_size_lists_known_ones(size: object) -> None:
    assert "it must be one of SMALL, MEDIUM, LARGE, XLARGE, 2XLARGE." in refused(computeType=size)


@pytest.mark.parametrize(("given", "minutes"), [(5, 5), ("2160", 2160), (90.0, 90)])
def test_timeout_may_be_number_or_text(given: object, minutes: int) -> None:
    assert read(buildTimeoutMinutes=given).timeout_minutes == minutes


@pytest.mark.parametrize("given", [4, 2161, "", "2h", "-5", 7.5, True, "9" * 20, "٣٠"])
def test_impossible_timeout_is_rejected(given: object) -> None:
    assert "must be a whole number of minutes from 5 to 2160." in refused(buildTimeoutMinutes=given)
    assert (MINUTES[0], MINUTES[-1]) == (5, 2160)


def test_short_timeout_is_reported() -> None:
    [warning] = read(buildTimeoutMinutes=149).warnings
    assert "set 150 or more" in warning
    assert read(buildTimeoutMinutes=150).warnings == []
    assert read(buildTimeoutMinutes=DEFAULT_MINUTES).warnings == []


def test_compared_times_are_those_of_runner() -> None:
    assert setup.TIMEOUT_MINUTES == SETUP_MINUTES
    assert evidence.TIMEOUT_MINUTES == TEST_MINUTES
    assert AgentSettings().timeout_minutes == AGENT_TURN_MINUTES


@pytest.mark.parametrize(("given", "on"), [(True, True), ("true", True), (False, False), ("false", False)])
def test_privileged_is_read(given: object, on: bool) -> None:
    assert read(privileged=given).privileged is on


@pytest.mark.parametrize("given", ["yes", 1, 0, 1.0, "", "True"])
def test_privileged_is_never_guessed(given: object) -> None:
    assert refused(privileged=given) == f"Context privileged is {given!r}, but it must be true or false."


def test_network_is_read() -> None:
    network = Network("vpc-0a1b2c3d", ("subnet-0a1b2c3d", "subnet-0a1b2c3e"), ("sg-0a1b2c3d",))
    assert read(**VPC | {"subnetIds": "subnet-0a1b2c3d, subnet-0a1b2c3e"}).network == network
    assert read(**VPC | {"subnetIds": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"]}).network == network


@pytest.mark.parametrize("missing", VPC)
def test_network_is_complete_or_absent(missing: str) -> None:
    context: dict[str, Any] = {key: value for key, value in VPC.items() if key != missing}
    assert "must be set together" in refused(**context)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vpcId": "vpc-x"}, "Context vpcId is 'vpc-x'"),
        ({"subnetIds": "subnet-0a1b2c3d,*"}, "Context subnetIds contains '*'"),
        ({"securityGroupIds": "subnet-0a1b2c3d"}, "Context securityGroupIds contains 'subnet-0a1b2c3d'"),
        ({"securityGroupIds": 7}, "must be a list, or a text with commas"),
        ({"securityGroupIds": ",".join(f"sg-0a1b2c3{n}" for n in range(6))}, "at most 5 are possible"),
        ({"subnetIds": ",".join(f"subnet-0a1b2c{n}" for n in range(10, 27))}, "at most 16 are possible"),
    ],
)
def test_wrong_network_is_rejected(changes: dict[str, object], words: str) -> None:
    assert words in refused(**VPC | changes)


@pytest.mark.parametrize("image", [f"{ECR}:1.2", f"{ECR}@sha256:{'0a' * 32}", ECR])
def test_ecr_repository_of_image_is_found(image: str) -> None:
    [repository] = read(buildImage=image).repositories
    assert (repository.account, repository.region, repository.name) == ("123456789012", "eu-central-1", "team/ci")


@pytest.mark.parametrize("image", ["acme/ci:1", "public.ecr.aws/docker/library/python:3.13", "ghcr.io/acme/ci:1"])
def test_other_registries_need_no_permission(image: str) -> None:
    assert read(buildImage=image).repositories == ()


def test_repositories_of_permitted_images_are_read() -> None:
    other = "210987654321.dkr.ecr.us-east-1.amazonaws.com/other"
    machine = read(buildImage=f"{ECR}:1", imageRepositories=f"{other},{ECR}")
    assert [repository.address for repository in machine.repositories] == [ECR, other]
    assert "Context imageRepositories contains" in refused(imageRepositories=f"{other}:1")
    assert "Context imageRepositories contains" in refused(imageRepositories=other.replace("other", "*"))
