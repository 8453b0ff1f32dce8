"""The probes of tests/aws, which ask a real account, against the embedded AWS: they find what it was told to do."""

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
from tests.aws.probe_stack import PREFIX, Place, probe_stack

OTHERWISE = Undocumented(
    redrive_evaluates_arguments=False,
    redrive_refreshes_context=False,
    redrive_keeps_variables=False,
    abort_stops_build=False,
    state_timeout_stops_build=False,
    machine_timeout_stops_build=False,
    failed_build_exports_variables=False,
    failed_build_error="CodeBuild.BuildFailed",
)


@contextmanager
def embedded_place(undocumented: Undocumented) -> Iterator[Place]:
    with (
        EmbeddedAws(undocumented=undocumented) as aws,
        probe_stack(aws.client, limit=2, patience=3, poll=0.05) as place,
    ):
        yield place
        left = aws.client("stepfunctions").list_state_machines()["stateMachines"]
        assert left == []


@pytest.fixture(params=[ASSUMED, OTHERWISE], ids=["assumed", "otherwise"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with embedded_place(request.param) as place:
        yield place


def test_the_arguments_of_a_rescheduled_task(place: Place, request: pytest.FixtureRequest) -> None:
    assumed = "assumed" in request.node.name
    assert probes.arguments_after_redrive(place) == {
        "RedriveCount before the first redrive": 0,
        "RedriveTime exists before it": False,
        "the Task was scheduled again": True,
        "its Arguments were evaluated again": assumed,
        "RedriveCount that it got": 1 if assumed else 0,
        "RedriveTime that it got": assumed,
        "its input is the same": True,
        "variables": "kept",  # otherwise the Arguments of the first attempt hide that there are none
    }


def test_a_context_that_stays_stale_is_told_from_arguments_that_do() -> None:
    with embedded_place(Undocumented(redrive_refreshes_context=False, redrive_keeps_variables=False)) as place:
        answers = probes.arguments_after_redrive(place)
    assert answers["its Arguments were evaluated again"] is True
    assert answers["RedriveCount that it got"] == 0
    assert answers["variables"] == "gone"


def test_what_a_failed_build_says(place: Place, request: pytest.FixtureRequest) -> None:
    assumed = "assumed" in request.node.name
    answers = probes.failed_build(place)
    assert answers["error"] == ("States.TaskFailed" if assumed else "CodeBuild.BuildFailed")
    assert answers["keys of the cause"] == ["Build"]
    assert answers["build status in it"] == "FAILED"
    assert answers["exported variables in it"] == (["FROM_BUILD", "FROM_POST_BUILD"] if assumed else [])


def test_an_abort_in_the_middle_of_a_build(place: Place, request: pytest.FixtureRequest) -> None:
    assumed = "assumed" in request.node.name
    answers = probes.abort_and_redrive(place)
    assert (answers["status"], answers["redriveStatus"]) == ("ABORTED", "REDRIVABLE")
    assert answers["build after the abort"] == ("STOPPED" if assumed else "IN_PROGRESS 3 s later")
    # With the Arguments of the first attempt the build sleeps for its ten minutes once more.
    assert answers["status after the redrive"] == ("SUCCEEDED" if assumed else "RUNNING")
    assert answers["a build of its own was started"] is True


@pytest.mark.parametrize(("probe", "status"), [(probes.state_timeout, "FAILED"), (probes.machine_timeout, "TIMED_OUT")])
def test_a_timeout_in_the_middle_of_a_build(
    place: Place, request: pytest.FixtureRequest, probe: Callable[[Place], probes.Answers], status: str
) -> None:
    answers = probe(place)
    assert answers["status"] == status
    assert answers["build after it"] == ("STOPPED" if "assumed" in request.node.name else "IN_PROGRESS 3 s later")


def test_as_whom_the_agent_runs(
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

    question = "agent and tests run as a user of their own"
    shared = f"the worker is not root: {probes.SHARED_USER}"
    assert after("own", "Succeeded", "all is well")[question] is True
    assert after("shared", "TestsFailed", shared) == {question: False, "what the build says": [shared]}
    assert "ran an agent" in str(after("none", "CheckoutFailed", "no checkout")[question])


def test_the_line_that_it_looks_for_is_the_builds_own(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with isolation.sandbox({}, tmp_path, said.append):
        pass
    assert probes.SHARED_USER in said[0]


def test_what_is_found_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    probes.show("name", {"question": ["answer"]})
    assert capsys.readouterr().out == 'probe name: question: ["answer"]\n'


def test_the_stack_goes_away_when_a_probe_breaks() -> None:
    with EmbeddedAws() as aws:
        with pytest.raises(ZeroDivisionError), probe_stack(aws.client, limit=1, patience=1, poll=0.1):
            raise ZeroDivisionError
        assert aws.client("codebuild").list_projects()["projects"] == []
        assert [role for role in aws.client("iam").list_roles()["Roles"] if role["RoleName"].startswith(PREFIX)] == []
