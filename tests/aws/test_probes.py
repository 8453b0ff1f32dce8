"""Runs the probes on a real account. They create and delete their own stack, ``kiro-worker-probe-…``, change nothing
else, and print the answers. They take about 15 minutes, ten of them on CodeBuild's smallest machine: less than $0.10.

    KIRO_WORKER_AWS=1 make test ARGS='tests/aws/test_probes.py -s'

The same probes run against the embedded AWS in tests/integration/kiro_local/aws/test_probes.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from kiro_worker.names import Names
from tests.aws import probes
from tests.aws.probe_stack import ProbeContext, probe_stack

ENVIRONMENT = os.environ.get("KIRO_WORKER_ENVIRONMENT", "test")

pytestmark = pytest.mark.skipif(
    os.environ.get("KIRO_WORKER_AWS") != "1",
    reason="needs an AWS account, and costs less than $0.10: KIRO_WORKER_AWS=1 (see docs/reference/unproven.md)",
)


def client(service: str) -> Any:
    make: Any = boto3.client  # its stubs accept literal service names only
    return make(service)


@pytest.fixture(scope="module")
def context() -> Iterator[ProbeContext]:
    # A build can take a minute and a half to start its commands.
    with probe_stack(client, limit=150, patience=300, poll=3) as context:
        yield context


@pytest.mark.parametrize(
    "probe",
    [
        probes.arguments_after_redrive,
        probes.failed_build,
        probes.missing_report,
        probes.build_overrides,
        probes.abort_and_redrive,
        probes.state_timeout,
        probes.machine_timeout,
    ],
    ids=lambda probe: probe.__name__,
)
def test_probe_answers(context: ProbeContext, probe: Callable[[ProbeContext], probes.Answers]) -> None:
    answers = probe(context)
    probes.show(probe.__name__, answers)
    assert answers


def test_agent_user() -> None:
    """Examine the last build of the deployed stack. Run a card first, by hand or with test_deployed.py."""
    answers = probes.agent_user(client, Names(ENVIRONMENT).build_project)
    probes.show("agent_user", answers)
    assert answers
