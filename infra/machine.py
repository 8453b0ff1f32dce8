"""The machine that builds run on, from CDK context: image, size, architecture, time limit, privileges and network."""

from __future__ import annotations

import re
from dataclasses import dataclass

from infra.context import Context, flag, one_of, text_list, whole_number
from infra.errors import SynthError
from kiro_worker.names import AGENT_TURN_MINUTES, SETUP_MINUTES, TEST_MINUTES

AWS_IMAGES = "aws/codebuild/"
"""The prefix of the images that CodeBuild provides."""
DEFAULT_IMAGES = {
    "arm64": "aws/codebuild/amazonlinux-aarch64-standard:3.0",
    "x86_64": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
}
COMPUTE_TYPES = {size: f"BUILD_GENERAL1_{size}" for size in ("SMALL", "MEDIUM", "LARGE", "XLARGE", "2XLARGE")}
"""The sizes of CodeBuild's on-demand container machines, and their names in its API."""
MINUTES = range(5, 2161)
"""What CodeBuild accepts as the timeout of a build: CodeBuild API reference, "StartBuild"."""
DEFAULT_MINUTES = 150
OTHER_MINUTES = 15
"""For checking out, installing the agent, checks and pushing."""

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
_REPOSITORY = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.(?P<suffix>amazonaws\.com(?:\.cn)?)/"
    r"(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
)
_MOST_SUBNETS, _MOST_SECURITY_GROUPS = 16, 5
"""CodeBuild API reference, "VpcConfig"."""


@dataclass(frozen=True)
class Network:
    """The VPC that builds run in."""

    vpc: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]


@dataclass(frozen=True)
class Repository:
    """An ECR repository whose images builds may use."""

    address: str
    account: str
    region: str
    name: str


@dataclass(frozen=True)
class Machine:
    """``repositories`` are those of ``image`` and of the images that the configuration permits, if they are in ECR."""

    architecture: str = "arm64"
    image: str = DEFAULT_IMAGES["arm64"]
    compute_type: str = COMPUTE_TYPES["SMALL"]
    timeout_minutes: int = DEFAULT_MINUTES
    privileged: bool = False
    network: Network | None = None
    repositories: tuple[Repository, ...] = ()

    @property
    def is_arm(self) -> bool:
        return self.architecture == "arm64"

    @property
    def has_aws_image(self) -> bool:
        return self.image.startswith(AWS_IMAGES)

    @property
    def warnings(self) -> list[str]:
        """What will work, but probably not as intended."""
        needed = SETUP_MINUTES + TEST_MINUTES + AGENT_TURN_MINUTES + TEST_MINUTES + OTHER_MINUTES
        if self.timeout_minutes >= needed:
            return []
        warning = (
            f"Context buildTimeoutMinutes is {self.timeout_minutes}, but setup ({SETUP_MINUTES}), the tests before the"
            f" agent ({TEST_MINUTES}), one turn of the agent (agent.timeoutMinutes, by default {AGENT_TURN_MINUTES}),"
            f" the tests after it ({TEST_MINUTES}) and everything else ({OTHER_MINUTES}) may take {needed} minutes."
            f" CodeBuild ends a build that takes longer: set {needed} or more, unless your builds are short."
        )
        return [warning]


def read_machine(context: Context) -> Machine:
    """Return the validated machine. Raises :class:`SynthError`."""
    architecture = one_of(context, "architecture", tuple(DEFAULT_IMAGES), default="arm64")
    image = _image(context, architecture)
    return Machine(
        architecture=architecture,
        image=image,
        compute_type=COMPUTE_TYPES[one_of(context, "computeType", tuple(COMPUTE_TYPES), default="SMALL")],
        timeout_minutes=whole_number(context, "buildTimeoutMinutes", MINUTES, DEFAULT_MINUTES, "minutes"),
        privileged=flag(context, "privileged"),
        network=_network(context),
        repositories=_repositories(context, image),
    )


def _image(context: Context, architecture: str) -> str:
    image = str(context("buildImage") or DEFAULT_IMAGES[architecture])
    if not _IMAGE.fullmatch(image):
        raise SynthError(f"Context buildImage is {image!r}, but it must be the address of an image, such as acme/ci:1.")
    if image.startswith(AWS_IMAGES):
        _require_container_for(image, architecture)
    return image


def _require_container_for(image: str, architecture: str) -> None:
    if "lambda" in image or "windows" in image:
        raise SynthError(f"Context buildImage is {image!r}, but builds run in Linux containers: choose another image.")
    # The names of the Ubuntu images, `aws/codebuild/standard:7.0`, have no architecture: they are for x86_64.
    image_architecture = "arm64" if "aarch64" in image else "x86_64"
    if image_architecture != architecture:
        raise SynthError(
            f"Context buildImage is {image!r}, which is for {image_architecture}, but architecture is {architecture}:"
            f" set architecture={image_architecture} or choose another image."
        )


def _network(context: Context) -> Network | None:
    vpc = str(context("vpcId") or "")
    subnets = text_list(context, "subnetIds", r"subnet-[0-9a-f]{8,17}", _MOST_SUBNETS)
    groups = text_list(context, "securityGroupIds", r"sg-[0-9a-f]{8,17}", _MOST_SECURITY_GROUPS)
    if not (vpc or subnets or groups):
        return None
    if not (vpc and subnets and groups):
        raise SynthError("Context vpcId, subnetIds and securityGroupIds must be set together, or none of them.")
    if not re.fullmatch(r"vpc-[0-9a-f]{8,17}", vpc):
        raise SynthError(f"Context vpcId is {vpc!r}, but it must be the ID of a VPC, such as vpc-0a1b2c3d.")
    return Network(vpc, subnets, groups)


def _repositories(context: Context, image: str) -> tuple[Repository, ...]:
    addresses = list(text_list(context, "imageRepositories", _REPOSITORY.pattern, 50))
    # Everything before the tag or the digest. A port cannot occur in the address of an ECR repository.
    address = re.split(r"[:@]", image)[0]
    if _REPOSITORY.fullmatch(address):
        addresses.insert(0, address)
    return tuple(_repository(address) for address in dict.fromkeys(addresses))


def _repository(address: str) -> Repository:
    match = _REPOSITORY.fullmatch(address)
    if match is None:
        raise AssertionError(address)
    return Repository(address, match["account"], match["region"], match["name"])
