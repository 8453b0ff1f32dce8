"""What AWS does where its documentation is silent. Each probe asks one question of docs/reference/unproven.md with a throw-away
state machine, and gives the answers by name; it judges none of them. The switches of
``kiro_local/aws/undocumented.py`` are the same questions: set what a probe found there, and the tests show what
follows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.aws.probe_stack import Place, machine

Answers = Mapping[str, Any]

SYNC: Final = "arn:aws:states:::codebuild:startBuild.sync"
SHARED_USER: Final = "agent and tests run as the runner's own user"
AGENT_RAN: Final = frozenset(
    {
        "Succeeded",
        "AgentFailed",
        "AgentTimedOut",
        "NoChanges",
        "TestsFailed",
        "CoverageBelowThreshold",
        "PushRejected",
    }
)
_LOOKED_THROUGH: Final = 20
_LONG: Final = "600"
_COUNT: Final = "$states.context.Execution.RedriveCount"


def show(probe: str, answers: Answers) -> None:
    for question, answer in answers.items():
        print(f"probe {probe}: {question}: {json.dumps(answer)}")


def arguments_after_redrive(place: Place) -> Answers:
    """A Task that nobody may run fails; what it was given stands in the history, before and after the redrive."""
    payload = {
        "unique": "{% $uuid() %}",
        "count": f"{{% $exists({_COUNT}) ? {_COUNT} : 'absent' %}}",
        "time": "{% $exists($states.context.Execution.RedriveTime) %}",
        "input": "{% $states.input %}",
        "variable": "{% $exists($kept) ? $kept : 'gone' %}",
    }
    states = {
        "First": {"Type": "Pass", "Output": {"is": "{% $uuid() %}"}, "Assign": {"kept": "kept"}, "Next": "Task"},
        "Task": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": "kiro-worker-probe-absent", "Payload": payload},
            "End": True,
        },
    }
    with machine(place, "arguments", states) as arn:
        execution = _start(place, arn)
        _ended(place, execution)
        place.client("stepfunctions").redrive_execution(executionArn=execution)
        _ended(place, execution)
        scheduled = [
            json.loads(event["taskScheduledEventDetails"]["parameters"])["Payload"]
            for event in _events(place, execution, "TaskScheduled")
        ]
    before, after = scheduled[0], scheduled[-1]
    return {
        "RedriveCount before the first redrive": before["count"],
        "RedriveTime exists before it": before["time"],
        "the Task was scheduled again": len(scheduled) == 2,
        "its Arguments were evaluated again": before["unique"] != after["unique"],
        "RedriveCount that it got": after["count"],
        "RedriveTime that it got": after["time"],
        "its input is the same": before["input"] == after["input"],
        "variables": after["variable"],
    }


def failed_build(place: Place) -> Answers:
    with machine(place, "failed", {"Build": _build(place.project, "0", fails="yes")}) as arn:
        described = _ended(place, _start(place, arn))
    try:
        cause = json.loads(described.get("cause", ""))
    except ValueError:
        cause = {}
    build = cause.get("Build", {})
    return {
        "error": described.get("error"),
        "keys of the cause": sorted(cause),
        "build status in it": build.get("BuildStatus"),
        "exported variables in it": sorted(v["Name"] for v in build.get("ExportedEnvironmentVariables", [])),
        "bytes of it": len(described.get("cause", "")),
    }


def abort_and_redrive(place: Place) -> Answers:
    """In the middle of a build."""
    nap = f"{{% {_COUNT} > 0 ? '0' : '{_LONG}' %}}"
    client = place.client("stepfunctions")
    with machine(place, "abort", {"Build": _build(place.project, nap)}) as arn:
        execution = _start(place, arn)
        first = _build_of(place, execution)
        client.stop_execution(executionArn=execution)
        after_abort = _settled(place, first)
        status = client.describe_execution(executionArn=execution)
        client.redrive_execution(executionArn=execution)
        ended = _ended(place, execution)
        builds = _builds(place, execution)
    return {
        "status": status["status"],
        "redriveStatus": status.get("redriveStatus"),
        "build after the abort": after_abort,
        "status after the redrive": ended["status"],
        "a build of its own was started": len(set(builds)) == 2,
    }


def state_timeout(place: Place) -> Answers:
    return _timeout(place, "state-timeout", _build(place.project, _LONG, TimeoutSeconds=place.limit))


def machine_timeout(place: Place) -> Answers:
    return _timeout(place, "machine-timeout", _build(place.project, _LONG), TimeoutSeconds=place.limit)


def agent_user(client: Callable[[str], Any], project: str) -> Answers:
    """Of the deployed project's last build that ran an agent, from its log: a build says so when the user is not one
    of its own.
    """
    question = "agent and tests run as a user of their own"
    ids = client("codebuild").list_builds_for_project(projectName=project)["ids"][:_LOOKED_THROUGH]
    builds = client("codebuild").batch_get_builds(ids=ids)["builds"] if ids else []
    ran = [build for build in builds if _outcome(build) in AGENT_RAN]
    if not ran:
        return {question: f"none of the last {_LOOKED_THROUGH} builds ran an agent"}
    last = max(ran, key=lambda build: build["startTime"])
    pages = (
        client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=last["logs"]["groupName"], logStreamNames=[last["logs"]["streamName"]])
    )
    messages = [event["message"].strip() for page in pages for event in page["events"]]
    lines = [message for message in messages if SHARED_USER in message]
    return {question: not lines, "what the build says": lines}


def _outcome(build: Mapping[str, Any]) -> str:
    exported = build.get("exportedEnvironmentVariables", [])
    return next((str(variable["value"]) for variable in exported if variable["name"] == "OUTCOME"), "")


def _timeout(place: Place, purpose: str, state: dict[str, Any], **fields: Any) -> Answers:
    with machine(place, purpose, {"Build": state}, **fields) as arn:
        execution = _start(place, arn)
        build = _build_of(place, execution)
        described = _ended(place, execution)
        return {
            "status": described["status"],
            "error": described.get("error"),
            "build after it": _settled(place, build),
        }


def _build(project: str, nap: str, fails: str = "no", **fields: Any) -> dict[str, Any]:
    variables = [{"Name": n, "Value": v, "Type": "PLAINTEXT"} for n, v in (("NAP", nap), ("FAILS", fails))]
    return {
        "Type": "Task",
        "Resource": SYNC,
        "Arguments": {"ProjectName": project, "EnvironmentVariablesOverride": variables},
        "End": True,
        **fields,
    }


def _start(place: Place, arn: str) -> str:
    return str(place.client("stepfunctions").start_execution(stateMachineArn=arn, input="{}")["executionArn"])


def _ended(place: Place, execution: str) -> dict[str, Any]:
    client = place.client("stepfunctions")

    def look() -> dict[str, Any]:
        described: dict[str, Any] = client.describe_execution(executionArn=execution)
        return {} if described["status"] == "RUNNING" else described

    return _until(place, look, place.patience + place.limit) or dict(client.describe_execution(executionArn=execution))


def _build_of(place: Place, execution: str) -> str:
    """The build that it waits for, once it is at its commands."""
    build = _until(place, lambda: (_builds(place, execution) or [""])[0], place.patience)
    if not build:
        raise TimeoutError(f"{execution} started no build within {place.patience:.0f} s")
    client = place.client("codebuild")
    _until(place, lambda: client.batch_get_builds(ids=[build])["builds"][0]["currentPhase"] == "BUILD", place.patience)
    return str(build)


def _builds(place: Place, execution: str) -> list[str]:
    submitted = _events(place, execution, "TaskSubmitted")
    return [json.loads(event["taskSubmittedEventDetails"]["output"])["Build"]["Id"] for event in submitted]


def _settled(place: Place, build: str) -> str:
    client = place.client("codebuild")

    def look() -> str:
        status = str(client.batch_get_builds(ids=[build])["builds"][0]["buildStatus"])
        return "" if status == "IN_PROGRESS" else status

    return str(_until(place, look, place.patience) or f"IN_PROGRESS {place.patience:.0f} s later")


def _events(place: Place, execution: str, kind: str) -> list[dict[str, Any]]:
    pages = place.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
    return [event for page in pages for event in page["events"] if event["type"] == kind]


def _until(place: Place, look: Callable[[], Any], seconds: float) -> Any:
    """What it gives as soon as it gives something; nothing when the time is up."""
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(place.poll)
    return found
