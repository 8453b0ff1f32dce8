from __future__ import annotations

from typing import Any

import pytest

from kiro_worker.build_machine import choose_machine
from kiro_worker.config.settings import REPOSITORY_FILE, BuildSettings, Settings
from kiro_worker.errors import ConfigurationInvalid, WorkItemInvalid
from kiro_worker.models import Work, WorkBuild

ARM = "aws/codebuild/amazonlinux-aarch64-standard:3.0"
X86 = "aws/codebuild/standard:7.0"
PROJECT: Any = {"environment": {"type": "ARM_CONTAINER", "image": ARM, "computeType": "BUILD_GENERAL1_SMALL"}}


def choose(build: BuildSettings, origin: str = "repositoryDefaults", project: Any = PROJECT) -> WorkBuild:
    keys = ("build.image", "build.computeType", "build.timeoutMinutes")
    return choose_machine(Settings(build=build, origins=dict.fromkeys(keys, origin)), project, 150)


def test_default_is_machine_of_project() -> None:
    assert choose(BuildSettings()) == WorkBuild(ARM, "BUILD_GENERAL1_SMALL", 150)


@pytest.mark.parametrize(("origin", "chosen"), [(REPOSITORY_FILE, True), ("repositorySettings.acme/shop", False)])
def test_machine_says_whether_file_chose_it(origin: str, chosen: bool) -> None:
    build = choose(BuildSettings(timeout_minutes=5), origin)

    assert build.by_repository is chosen
    assert ("byRepository" in build.to_dict()) is chosen


def test_settings_replace_single_values() -> None:
    assert choose(BuildSettings(image="acme/ci:1")) == WorkBuild("acme/ci:1", "BUILD_GENERAL1_SMALL", 150)
    assert choose(BuildSettings(compute_type="BUILD_GENERAL1_LARGE", timeout_minutes=5)) == WorkBuild(
        ARM, "BUILD_GENERAL1_LARGE", 5
    )
    assert choose(BuildSettings(timeout_minutes=150)).timeout_minutes == 150


@pytest.mark.parametrize(
    ("origin", "error"),
    [
        (REPOSITORY_FILE, WorkItemInvalid),
        ("repositoryDefaults", ConfigurationInvalid),
        ("repositorySettings.acme/shop", ConfigurationInvalid),
    ],
)
@pytest.mark.parametrize(
    ("build", "words"),
    [
        (BuildSettings(timeout_minutes=151), "151 is more than the 150 minutes"),
        (BuildSettings(image=X86), f"{X86} is for x86_64, and builds of this installation run on arm64"),
        (BuildSettings(image="aws/codebuild/amazonlinux-aarch64-lambda-standard:nodejs22"), "Linux containers"),
    ],
    ids=["minutes", "architecture", "lambda"],
)
def test_impossible_machine_is_fault_of_its_source(
    build: BuildSettings, words: str, origin: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        choose(build, origin)
    assert words in str(caught.value)
    assert f"of {origin}" in str(caught.value)


def test_other_architecture_is_checked_too() -> None:
    x86: Any = {"environment": {**PROJECT["environment"], "type": "LINUX_CONTAINER", "image": X86}}
    image = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
    assert choose(BuildSettings(image=image), project=x86).image == image
    with pytest.raises(ConfigurationInvalid, match="is for arm64, and builds of this installation run on x86_64"):
        choose(BuildSettings(image=ARM), project=x86)


def test_image_of_project_is_never_refused() -> None:
    """An operator may have changed the project by hand; CodeBuild then says what is wrong."""
    assert choose(BuildSettings(), project={"environment": {**PROJECT["environment"], "image": X86}}).image == X86


@pytest.mark.parametrize(
    "build", [None, WorkBuild("acme/ci:1", "BUILD_GENERAL1_SMALL", 45, by_repository=True)], ids=["none", "chosen"]
)
def test_machine_survives_state_document(build: WorkBuild | None) -> None:
    work = Work("acme/shop", "x", "a" * 40, ".kiro/specs/x", 7, "PR_1", "https://x", "main", 1, "d" * 40, build)
    document = work.to_dict()
    assert Work.from_dict(document) == work
    if build:
        assert document["build"] == {
            "image": "acme/ci:1",
            "computeType": "BUILD_GENERAL1_SMALL",
            "timeoutMinutes": 45,
            "byRepository": True,
        }
