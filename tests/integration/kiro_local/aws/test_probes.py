"""Runs the probes of tests/aws against the embedded AWS. Their answers must match the values of its switches."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kiro_local.aws.server import EmbeddedAws
from kiro_local.aws.undocumented import ASSUMED, Undocumented
from kiro_worker.runner.sandbox import sandbox as isolation
from tests.aws import probes
from tests.aws.probe_stack import PREFIX, ProbeContext, probe_stack

OPPOSITE = Undocumented(
    redrive_evaluates_arguments=False,
    redrive_refreshes_context=False,
    redrive_keeps_variables=False,
    abort_stops_build=False,
    state_timeout_stops_build=False,
    machine_timeout_stops_build=False,
    failed_build_exports_variables=False,
    failed_build_error="CodeBuild.BuildFailed",
    missing_report_fails_build=False,
)


@contextmanager
def embedded_context(undocumented: Undocumented) -> Iterator[ProbeContext]:
    with (
        EmbeddedAws(undocumented=undocumented) as aws,
        probe_stack(aws.client, limit=2, patience=3, poll=0.05) as context,
    ):
        yield context
        assert aws.client("stepfunctions").list_state_machines()["stateMachines"] == []


@pytest.fixture(params=[ASSUMED, OPPOSITE], ids=["assumed", "opposite"])
def context(request: pytest.FixtureRequest) -> Iterator[ProbeContext]:
    with embedded_context(request.param) as context:
        yield context


def test_arguments_of_redriven_task(context: ProbeContext, request: pytest.FixtureRequest) -> None:
    assumed = "assumed" in request.node.name
    assert probes.arguments_after_redrive(context) == {
        "RedriveCount before the first redrive": 0,
        "RedriveTime exists before the first redrive": False,
        "the Task was scheduled again": True,
        "the Arguments were evaluated again": assumed,
        "RedriveCount in the Arguments": 1 if assumed else 0,
        "RedriveTime in the Arguments": assumed,
        "the input is unchanged": True,
        "variables": "kept",  # also for OPPOSITE: its stale Arguments date from before the redrive
    }


def test_stale_context_differs_from_stale_arguments() -> None:
    with embedded_context(Undocumented(redrive_refreshes_context=False, redrive_keeps_variables=False)) as context:
        answers = probes.arguments_after_redrive(context)
    assert answers["the Arguments were evaluated again"] is True
    assert answers["RedriveCount in the Arguments"] == 0
    assert answers["variables"] == "gone"


def test_failed_build_cause(context: ProbeContext, request: pytest.FixtureRequest) -> None:
    assumed = "assumed" in request.node.name
    answers = probes.failed_build(context)
    assert answers["error"] == ("States.TaskFailed" if assumed else "CodeBuild.BuildFailed")
    assert answers["keys of the cause"] == ["Build"]
    assert answers["build status in the cause"] == "FAILED"
    assert answers["exported variables in the cause"] == (["FROM_BUILD", "FROM_POST_BUILD"] if assumed else [])


def test_missing_report(context: ProbeContext, request: pytest.FixtureRequest) -> None:
    assumed = "assumed" in request.node.name
    assert probes.missing_report(context) == {
        "build status": "FAILED" if assumed else "SUCCEEDED",
        "phases that did not succeed": ["UPLOAD_ARTIFACTS"] if assumed else [],
    }


def test_build_overrides() -> None:
    with embedded_context(ASSUMED) as context:
        assert probes.build_overrides(context) == {
            "status": "SUCCEEDED",
            "image is the chosen one": True,
            "compute type": "BUILD_GENERAL1_MEDIUM",
            "timeout": 6,
            # The embedded AWS does not enforce IAM.
            "a buildspec of the request is denied": False,
        }


def test_abort_during_build(context: ProbeContext, request: pytest.FixtureRequest) -> None:
    assumed = "assumed" in request.node.name
    answers = probes.abort_and_redrive(context)
    assert (answers["status"], answers["redriveStatus"]) == ("ABORTED", "REDRIVABLE")
    assert answers["build after the abort"] == ("STOPPED" if assumed else "IN_PROGRESS 3 s later")
    # With the Arguments of the first attempt, the second build sleeps for ten minutes too.
    assert answers["status after the redrive"] == ("SUCCEEDED" if assumed else "RUNNING")
    assert answers["the redrive started a new build"] is True


@pytest.mark.parametrize(("probe", "status"), [(probes.state_timeout, "FAILED"), (probes.machine_timeout, "TIMED_OUT")])
def test_timeout_during_build(
    context: ProbeContext, request: pytest.FixtureRequest, probe: Callable[[ProbeContext], probes.Answers], status: str
) -> None:
    answers = probe(context)
    assert answers["status"] == status
    assert answers["build after the timeout"] == (
        "STOPPED" if "assumed" in request.node.name else "IN_PROGRESS 3 s later"
    )


def test_agent_user_is_read_from_log(
    embedded: EmbeddedAws, project: Callable[..., str], eventually: Callable[..., Any]
) -> None:
    def after(name: str, outcome: str, line: str) -> probes.Answers:
        commands = [f"export OUTCOME={outcome}", f"echo {shlex.quote(line)}"]
        phases = {"build": {"commands": commands}}
        spec = {"version": 0.2, "env": {"exported-variables": ["OUTCOME"]}, "phases": phases}
        client = embedded.client("codebuild")
        build = client.start_build(projectName=project(json.dumps(spec), name=name))["build"]["id"]
        eventually(lambda: client.batch_get_builds(ids=[build])["builds"][0]["buildComplete"])
        return probes.agent_user(embedded.client, name)

    question = "agent and tests run as a separate user"
    shared = f"the worker is not root: {probes.SHARED_USER}"
    assert after("own", "Succeeded", "all is well")[question] is True
    assert after("shared", "TestsFailed", shared) == {question: False, "lines of the log": [shared]}
    assert "ran an agent" in str(after("none", "CheckoutFailed", "no checkout")[question])


def test_shared_user_line_matches_runner(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with isolation.sandbox({}, tmp_path, lines.append):
        pass
    assert probes.SHARED_USER in lines[0]


def test_answers_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    probes.show("name", {"question": ["answer"]})
    assert capsys.readouterr().out == 'probe name: question: ["answer"]\n'


def test_failed_probe_deletes_stack() -> None:
    with EmbeddedAws() as aws:
        with pytest.raises(ZeroDivisionError), probe_stack(aws.client, limit=1, patience=1, poll=0.1):
            raise ZeroDivisionError
        assert aws.client("codebuild").list_projects()["projects"] == []
        assert [role for role in aws.client("iam").list_roles()["Roles"] if role["RoleName"].startswith(PREFIX)] == []
