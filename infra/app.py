"""``python -m infra.app``: synthesize the stacks into CDK_OUTDIR (``cdk.out`` by default).

Context keys: ``environment`` (test, staging or production), ``packagingPlatform`` (lambda or host),
``scheduleMinutes``, ``lockLeaseSeconds``, ``kiroCliUrl``, ``kiroCliSha256``, ``steeringPrefix``; those that pin other
versions of agents:
``claudeVersion``, ``claudeIntegrity``, ``codexVersion``, ``codexIntegrity``, ``geminiVersion``, ``geminiIntegrity``;
and those of the build machine: ``buildImage``, ``computeType``, ``architecture``, ``buildTimeoutMinutes``,
``privileged``, ``vpcId``, ``subnetIds``, ``securityGroupIds``, ``imageRepositories``, ``runnerPython``.
docs/how-to/build-machine.md and docs/reference/agents.md explain them. The ``cdk`` command passes them with
``--context key=value``. Without that command they come from the environment variable CDK_CONTEXT_JSON, as in any CDK
app.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aws_cdk import App, Tags

from infra.errors import SynthError
from infra.packaging import ROOT, package
from infra.settings import read_settings
from infra.stacks.core import CoreStack
from infra.stacks.workflow import WorkflowStack
from kiro_worker.names import CORE_STACK, WORKFLOW_STACK


def main() -> int:
    app = App(analytics_reporting=False)
    try:
        compose(app)
    except SynthError as error:
        print(error, file=sys.stderr)
        return 1
    app.synth()
    return 0


def compose(app: App, root: Path = ROOT, out: Path | None = None) -> tuple[CoreStack, WorkflowStack]:
    """Add both stacks to ``app``, and package what they deploy below ``out``."""
    settings = read_settings(app.node.try_get_context)
    for warning in settings.machine.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    packaged = package(settings.platform, root, out, bundles_python=settings.runner_python == "bundled")
    core = CoreStack(app, CORE_STACK, settings=settings, steps=packaged.functions)
    workflow = WorkflowStack(
        app,
        WORKFLOW_STACK,
        settings=settings,
        core=core,
        package=packaged,
        definitions=root / "statemachine",
    )
    Tags.of(app).add("application", "kiro-worker")
    Tags.of(app).add("environment", settings.environment)
    return core, workflow


if __name__ == "__main__":
    raise SystemExit(main())
