"""The steps of the workflow, with their timeouts and the environment variables that each handler reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from aws_cdk import Duration, Stack

from infra.constructs.core_layer import CoreLayer
from infra.constructs.step import Step
from infra.errors import SynthError
from infra.packaging import Package
from infra.settings import Settings
from infra.stacks.core import CoreStack
from infra.stacks.variables import Variables


@dataclass(frozen=True)
class Steps:
    """One field per folder of functions/."""

    fetch_work_item: Step
    validate_work_item: Step
    acquire_lock: Step
    read_build_result: Step
    update_status: Step
    release_lock: Step
    fail_run: Step

    def __iter__(self) -> Iterator[Step]:
        return (getattr(self, field.name) for field in fields(self))


def create_steps(stack: Stack, *, settings: Settings, core: CoreStack, package: Package) -> Steps:
    """Add every step to ``stack``. Raises :class:`SynthError` if the folders of functions/ are not these steps."""
    _require_same_names(package)
    layer = CoreLayer(stack, "CoreLayer", settings=settings, asset=package.layer).version

    def step(name: str, timeout: Duration, environment: Mapping[str, str]) -> Step:
        return Step(
            stack,
            "".join(word.capitalize() for word in name.split("_")),
            settings=settings,
            name=name,
            asset=package.functions[name],
            layer=layer,
            log_group=core.log_groups.steps[name],
            timeout=timeout,
            environment=environment,
        )

    github_timeout, aws_timeout = Duration.seconds(60), Duration.seconds(30)
    variables = Variables(settings, core)
    board = variables.configuration | variables.github_token
    return Steps(
        fetch_work_item=step("fetch_work_item", github_timeout, board | variables.locks | variables.records),
        validate_work_item=step(
            "validate_work_item",
            github_timeout,
            board | variables.records | variables.build_secrets | variables.build_project | variables.build_limits,
        ),
        read_build_result=step(
            "read_build_result",
            github_timeout,
            board | variables.locks | variables.records | variables.build_project,
        ),
        update_status=step("update_status", github_timeout, board | variables.records),
        acquire_lock=step(
            "acquire_lock", aws_timeout, variables.configuration | variables.locks | variables.lease | variables.records
        ),
        release_lock=step("release_lock", aws_timeout, variables.locks),
        fail_run=step("fail_run", aws_timeout, {}),
    )


def _require_same_names(package: Package) -> None:
    different = set(package.functions) ^ {field.name for field in fields(Steps)}
    if different:
        raise SynthError(
            f"The folders of functions/ and the steps of the stack differ by: {', '.join(sorted(different))}."
        )
