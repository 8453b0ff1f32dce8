"""Probes of behavior that AWS does not document.

Each probe examines one question of docs/reference/unproven.md with a temporary state machine, and returns the answers
by name without judging them. ``kiro_local/aws/undocumented.py`` has a switch for each question: set it to the answer
that a probe found, and the tests show the consequences.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from tests.aws.probe_stack import REPORTING_BUILDSPEC, ProbeContext, machine

Answers = Mapping[str, Any]

SYNC: Final = "arn:aws:states:::codebuild:startBuild.sync"
SHARED_USER: Final = "agent and tests run as the runner's own user"
AGENT_RAN: Final = frozenset(
    {
        "Succeeded",
        "Incomplete",
        "AgentFailed",
        "AgentTimedOut",
        "BudgetExhausted",
        "NoChanges",
        "TestsFailed",
        "CoverageBelowThreshold",
        "PushRejected",
    }
)
_BUILDS_EXAMINED: Final = 20
_LONG: Final = "600"
_COUNT: Final = "$states.context.Execution.RedriveCount"


def show(probe: str, answers: Answers) -> None:
    """Print one line per answer."""
    for question, answer in answers.items():
        print(f"probe {probe}: {question}: {json.dumps(answer)}")


def arguments_after_redrive(context: ProbeContext) -> Answers:
    """The Arguments of a Task before and after its redrive, read from the history. The Task fails, because its function
    does not exist.
    """
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
    with machine(context, "arguments", states) as arn:
        execution = _start(context, arn)
        _ended(context, execution)
        context.client("stepfunctions").redrive_execution(executionArn=execution)
        _ended(context, execution)
        scheduled = [
            json.loads(event["taskScheduledEventDetails"]["parameters"])["Payload"]
            for event in _events(context, execution, "TaskScheduled")
        ]
    before, after = scheduled[0], scheduled[-1]
    return {
        "RedriveCount before the first redrive": before["count"],
        "RedriveTime exists before the first redrive": before["time"],
        "the Task was scheduled again": len(scheduled) == 2,
        "the Arguments were evaluated again": before["unique"] != after["unique"],
        "RedriveCount in the Arguments": after["count"],
        "RedriveTime in the Arguments": after["time"],
        "the input is unchanged": before["input"] == after["input"],
        "variables": after["variable"],
    }


def failed_build(context: ProbeContext) -> Answers:
    """Error and cause that Step Functions reports for a failed build."""
    with machine(context, "failed", {"Build": _build(context.project, "0", fails="yes")}) as arn:
        described = _ended(context, _start(context, arn))
    try:
        cause = json.loads(described.get("cause", ""))
    except ValueError:
        cause = {}
    build = cause.get("Build", {})
    return {
        "error": described.get("error"),
        "keys of the cause": sorted(cause),
        "build status in the cause": build.get("BuildStatus"),
        "exported variables in the cause": sorted(v["Name"] for v in build.get("ExportedEnvironmentVariables", [])),
        "bytes of the cause": len(described.get("cause", "")),
    }


def missing_report(context: ProbeContext) -> Answers:
    """How a build ends whose commands succeed and whose declared report has no file."""
    override = {"Type": "Task", **_build(context.project, "0")}
    override["Arguments"] = {**override["Arguments"], "BuildspecOverride": REPORTING_BUILDSPEC}
    with machine(context, "report", {"Build": override}) as arn:
        execution = _start(context, arn)
        _ended(context, execution)
        [build_id] = _builds(context, execution)
    build = context.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]
    failed = [phase["phaseType"] for phase in build["phases"] if phase.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED"]
    return {"build status": build["buildStatus"], "phases that did not succeed": failed}


def build_overrides(context: ProbeContext) -> Answers:
    """What a build gets of the overrides that RunBuild makes, with the permissions of the workflow's role. The image is
    one of others, which has no Python; whether a request with a further override is denied.
    """
    restricted = replace(context, role_arn=context.restricted_role_arn)
    image = "public.ecr.aws/docker/library/debian:bookworm-slim"
    state = _build(context.project, "0", TimeoutSeconds="{% 6 * 60 + 2100 %}")
    state["Arguments"] |= {
        "ImageOverride": image,
        "ImagePullCredentialsTypeOverride": "SERVICE_ROLE",
        "ComputeTypeOverride": "BUILD_GENERAL1_MEDIUM",
        "TimeoutInMinutesOverride": "{% 6 %}",
    }
    with machine(restricted, "overrides", {"Build": state}) as arn:
        chosen = _ended(context, _start(context, arn))
    further = {**state, "Arguments": {**state["Arguments"], "BuildspecOverride": REPORTING_BUILDSPEC}}
    with machine(restricted, "further", {"Build": further}) as arn:
        denied = _ended(context, _start(context, arn))
    build = json.loads(chosen.get("output", "{}")).get("Build", {})
    environment = build.get("Environment", {})
    return {
        "status": chosen["status"],
        "image is the chosen one": environment.get("Image") == image,
        "compute type": environment.get("ComputeType"),
        "timeout": build.get("TimeoutInMinutes"),
        "a buildspec of the request is denied": "AccessDenied" in denied.get("error", "") + denied.get("cause", "")
        or "not authorized" in denied.get("cause", ""),
    }


def abort_and_redrive(context: ProbeContext) -> Answers:
    """The effect of an abort on a running build, and of the redrive after it."""
    pause = f"{{% {_COUNT} > 0 ? '0' : '{_LONG}' %}}"
    client = context.client("stepfunctions")
    with machine(context, "abort", {"Build": _build(context.project, pause)}) as arn:
        execution = _start(context, arn)
        first = _build_of(context, execution)
        client.stop_execution(executionArn=execution)
        after_abort = _settled(context, first)
        status = client.describe_execution(executionArn=execution)
        client.redrive_execution(executionArn=execution)
        ended = _ended(context, execution)
        builds = _builds(context, execution)
    return {
        "status": status["status"],
        "redriveStatus": status.get("redriveStatus"),
        "build after the abort": after_abort,
        "status after the redrive": ended["status"],
        "the redrive started a new build": len(set(builds)) == 2,
    }


def state_timeout(context: ProbeContext) -> Answers:
    """The effect of the state's timeout on its build."""
    return _timeout(context, "state-timeout", _build(context.project, _LONG, TimeoutSeconds=context.limit))


def machine_timeout(context: ProbeContext) -> Answers:
    """The effect of the state machine's timeout on the build."""
    return _timeout(context, "machine-timeout", _build(context.project, _LONG), TimeoutSeconds=context.limit)


def agent_user(client: Callable[[str], Any], project: str) -> Answers:
    """Whether the deployed project's last build that ran an agent ran it as a separate user. If not, its log has a line
    about it.
    """
    question = "agent and tests run as a separate user"
    ids = client("codebuild").list_builds_for_project(projectName=project)["ids"][:_BUILDS_EXAMINED]
    builds = client("codebuild").batch_get_builds(ids=ids)["builds"] if ids else []
    ran = [build for build in builds if _outcome(build) in AGENT_RAN]
    if not ran:
        return {question: f"none of the last {_BUILDS_EXAMINED} builds ran an agent"}
    last = max(ran, key=lambda build: build["startTime"])
    pages = (
        client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=last["logs"]["groupName"], logStreamNames=[last["logs"]["streamName"]])
    )
    messages = [event["message"].strip() for page in pages for event in page["events"]]
    lines = [message for message in messages if SHARED_USER in message]
    return {question: not lines, "lines of the log": lines}


def _outcome(build: Mapping[str, Any]) -> str:
    exported = build.get("exportedEnvironmentVariables", [])
    return next((str(variable["value"]) for variable in exported if variable["name"] == "OUTCOME"), "")


def _timeout(context: ProbeContext, purpose: str, state: dict[str, Any], **fields: Any) -> Answers:
    with machine(context, purpose, {"Build": state}, **fields) as arn:
        execution = _start(context, arn)
        build = _build_of(context, execution)
        described = _ended(context, execution)
        return {
            "status": described["status"],
            "error": described.get("error"),
            "build after the timeout": _settled(context, build),
        }


def _build(project: str, pause: str, fails: str = "no", **fields: Any) -> dict[str, Any]:
    variables = [{"Name": n, "Value": v, "Type": "PLAINTEXT"} for n, v in (("PAUSE_SECONDS", pause), ("FAILS", fails))]
    return {
        "Type": "Task",
        "Resource": SYNC,
        "Arguments": {"ProjectName": project, "EnvironmentVariablesOverride": variables},
        "End": True,
        **fields,
    }


def _start(context: ProbeContext, arn: str) -> str:
    return str(context.client("stepfunctions").start_execution(stateMachineArn=arn, input="{}")["executionArn"])


def _ended(context: ProbeContext, execution: str) -> dict[str, Any]:
    client = context.client("stepfunctions")

    def look() -> dict[str, Any]:
        described: dict[str, Any] = client.describe_execution(executionArn=execution)
        return {} if described["status"] == "RUNNING" else described

    return _until(context, look, context.patience + context.limit) or dict(
        client.describe_execution(executionArn=execution)
    )


def _build_of(context: ProbeContext, execution: str) -> str:
    """The build that the execution waits for. Returns once the build runs its commands."""
    build = _until(context, lambda: (_builds(context, execution) or [""])[0], context.patience)
    if not build:
        raise TimeoutError(f"{execution} started no build within {context.patience:.0f} s")
    client = context.client("codebuild")
    _until(
        context, lambda: client.batch_get_builds(ids=[build])["builds"][0]["currentPhase"] == "BUILD", context.patience
    )
    return str(build)


def _builds(context: ProbeContext, execution: str) -> list[str]:
    submitted = _events(context, execution, "TaskSubmitted")
    return [json.loads(event["taskSubmittedEventDetails"]["output"])["Build"]["Id"] for event in submitted]


def _settled(context: ProbeContext, build: str) -> str:
    client = context.client("codebuild")

    def look() -> str:
        status = str(client.batch_get_builds(ids=[build])["builds"][0]["buildStatus"])
        return "" if status == "IN_PROGRESS" else status

    return str(_until(context, look, context.patience) or f"IN_PROGRESS {context.patience:.0f} s later")


def _events(context: ProbeContext, execution: str, kind: str) -> list[dict[str, Any]]:
    pages = context.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
    return [event for page in pages for event in page["events"] if event["type"] == kind]


def _until(context: ProbeContext, look: Callable[[], Any], seconds: float) -> Any:
    """The first truthy result of ``look``, or its last result after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (result := look()) and time.monotonic() < deadline:
        time.sleep(context.poll)
    return result
