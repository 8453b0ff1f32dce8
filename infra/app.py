"""`python -m infra.app`: synthesises the stacks into CDK_OUTDIR (`cdk.out` by default).

Context: `environment` (test, staging or production), `packagingPlatform` (lambda or host), `lockLeaseSeconds`,
`kiroCliUrl`, `kiroCliSha256`. The `cdk` command passes it with `--context key=value`; without that command it is read
from the environment variable CDK_CONTEXT_JSON, as in any CDK app.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aws_cdk import App, Tags

from infra.core_stack import CoreStack
from infra.errors import SynthError
from infra.packaging import ROOT, package
from infra.settings import read_settings
from infra.workflow_stack import WorkflowStack


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
    settings = read_settings(app.node.try_get_context)
    built = package(settings.platform, root, out)
    core = CoreStack(app, "KiroWorkerCore", settings=settings, steps=built.functions)
    workflow = WorkflowStack(
        app,
        "KiroWorkerWorkflow",
        settings=settings,
        core=core,
        package=built,
        definitions=root / "statemachine",
    )
    Tags.of(app).add("application", "kiro-worker")
    Tags.of(app).add("environment", settings.environment)
    return core, workflow


if __name__ == "__main__":
    raise SystemExit(main())
