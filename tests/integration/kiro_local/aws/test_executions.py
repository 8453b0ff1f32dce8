from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kiro_local.aws.http import LoopbackServer
from kiro_local.aws.server import EmbeddedAws, EmbeddedAwsRunning

INVOKE = "arn:aws:states:::lambda:invoke"
WAITING = {"Wait": {"Type": "Wait", "Seconds": 60_000, "End": True}}
TRICKY = "quotes \" ' newline \n dollar $x {% %} emoji 😀 backslash \\"


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_lambda_task_passes_arguments_and_payload(
    function: Callable[..., str], machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    name = function("echo", "def handler(event, context):\n    return {'got': event}\n")
    states = {
        "Call": {
            "Type": "Task",
            "Resource": INVOKE,
            "Arguments": {"FunctionName": name, "Payload": {"text": "{% $states.input.text %}"}},
            "Output": "{% $merge([$states.input, $states.result.Payload]) %}",
            "End": True,
        }
    }
    assert run(machine(states), {"text": TRICKY}).output() == {"text": TRICKY, "got": {"text": TRICKY}}


def test_exception_class_is_the_error_name(
    function: Callable[..., str], machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    name = function(
        "held", "class LockHeld(Exception): pass\ndef handler(event, context):\n    raise LockHeld('by me')\n"
    )
    states = {
        "Call": {
            "Type": "Task",
            "Resource": INVOKE,
            "Arguments": {"FunctionName": name},
            "Catch": [
                {"ErrorEquals": ["Other"], "Next": "Never"},
                {"ErrorEquals": ["LockHeld"], "Output": "{% $parse($states.errorOutput.Cause) %}", "Next": "Caught"},
            ],
            "End": True,
        },
        "Never": {"Type": "Fail"},
        "Caught": {"Type": "Succeed"},
    }
    output = run(machine(states)).output()
    assert output["errorType"] == "LockHeld"
    assert output["errorMessage"] == "by me"


@pytest.mark.parametrize("field", ["Arguments", "Output"])
def test_undefined_result_can_be_caught(
    function: Callable[..., str], machine: Callable[..., str], run: Callable[..., Any], field: str
) -> None:
    name = function("one", "def handler(event, context):\n    return 1\n")
    missing = "{% $states.input.missing %}"
    states = {
        "Call": {
            "Type": "Task",
            "Resource": INVOKE,
            "Arguments": {"FunctionName": name, "Payload": missing if field == "Arguments" else 1},
            "Output": missing if field == "Output" else 1,
            "Catch": [
                {
                    "ErrorEquals": ["States.QueryEvaluationError"],
                    "Output": "{% $states.errorOutput.Error %}",
                    "Next": "Caught",
                }
            ],
            "End": True,
        },
        "Caught": {"Type": "Succeed"},
    }
    execution = run(machine(states))
    assert execution.output() == "States.QueryEvaluationError"
    assert execution.event_types().count("EvaluationFailed") == 1


@pytest.mark.parametrize("condition", ["{% $states.input.missing %}", "{% 'text' %}"])
def test_condition_must_be_boolean(machine: Callable[..., str], run: Callable[..., Any], condition: str) -> None:
    states = {
        "Choose": {"Type": "Choice", "Choices": [{"Condition": condition, "Next": "End"}], "Default": "End"},
        "End": {"Type": "Succeed"},
    }
    execution = run(machine(states))
    assert execution.ended()["error"] == "States.QueryEvaluationError"
    assert execution.event_types().count("EvaluationFailed") == 1


def test_invalid_expression_is_rejected(machine: Callable[..., str]) -> None:
    with pytest.raises(ClientError, match="InvalidDefinition"):
        machine({"A": {"Type": "Pass", "Output": "{% $states.input. %}", "End": True}})


def test_missing_name_is_generated(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    arn = machine({"A": {"Type": "Pass", "End": True}})
    assert run(arn).arn != run(arn).arn


def test_name_is_unique(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    arn = machine(WAITING)
    first = run(arn, {"a": 1}, name="once")
    assert run(arn, {"a": 1}, name="once").arn == first.arn
    with pytest.raises(ClientError) as error:
        run(arn, {"a": 2}, name="once")
    assert code(error) == "ExecutionAlreadyExists"


@pytest.mark.parametrize("name", ["a b", "a/b", "a:b", "a*", 'a"'])
def test_invalid_name_is_rejected(machine: Callable[..., str], run: Callable[..., Any], name: str) -> None:
    with pytest.raises(ClientError) as error:
        run(machine(WAITING), name=name)
    assert code(error) == "InvalidName"


def test_waiting_execution_aborts_at_once(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    execution = run(machine(WAITING))
    eventually(lambda: execution.entered("Wait"))
    started = time.monotonic()
    stopped = embedded.client("stepfunctions").stop_execution(executionArn=execution.arn, error="Own", cause="why")
    described = execution.describe()
    assert time.monotonic() - started < 2
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Own", "why")
    assert described["stopDate"] == stopped["stopDate"]
    assert execution.history()[-1]["executionAbortedEventDetails"] == {"error": "Own", "cause": "why"}
    again = embedded.client("stepfunctions").stop_execution(executionArn=execution.arn, error="Other")
    assert again["stopDate"] == stopped["stopDate"]
    assert execution.describe()["error"] == "Own"


def test_abort_abandons_running_lambda(
    embedded: EmbeddedAws,
    function: Callable[..., str],
    machine: Callable[..., str],
    run: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    text = """
import pathlib, time
def handler(event, context):
    while not pathlib.Path(event).exists():
        time.sleep(0.01)
"""
    name = function("blocked", text, Timeout=60)
    release = embedded.workspace / "release"
    states = {
        "Call": {
            "Type": "Task",
            "Resource": INVOKE,
            "Arguments": {"FunctionName": name, "Payload": str(release)},
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Never"}],
            "End": True,
        },
        "Never": {"Type": "Succeed"},
    }
    execution = run(machine(states))
    eventually(lambda: "TaskStarted" in execution.event_types())
    embedded.client("stepfunctions").stop_execution(executionArn=execution.arn)
    assert execution.describe()["status"] == "ABORTED"
    history = execution.event_types()
    release.touch()
    embedded.client("lambda").invoke(FunctionName=name, Payload=json.dumps(str(release)))
    assert execution.event_types() == history
    assert history[-1] == "ExecutionAborted"


def test_abort_ends_retry_pause(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    states = {
        "Call": {
            "Type": "Task",
            "Resource": INVOKE,
            "Arguments": {"FunctionName": "missing"},
            "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60_000}],
            "End": True,
        }
    }
    execution = run(machine(states))
    eventually(lambda: "TaskFailed" in execution.event_types())
    embedded.client("stepfunctions").stop_execution(executionArn=execution.arn)
    assert execution.describe()["status"] == "ABORTED"


def test_machine_timeout_ends_execution(machine: Callable[..., str], run: Callable[..., Any]) -> None:
    execution = run(machine(WAITING, TimeoutSeconds=1))
    described = execution.ended()
    assert (described["status"], described["error"]) == ("TIMED_OUT", "States.Timeout")
    assert described["stopDate"] >= described["startDate"]
    assert execution.event_types()[-1] == "ExecutionTimedOut"


def test_state_timeout_can_be_caught(
    function: Callable[..., str], machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    name = function("sleeper", "import time\ndef handler(event, context):\n    time.sleep(30)\n", Timeout=60)
    states = {
        "Call": {
            "Type": "Task",
            "Resource": INVOKE,
            "TimeoutSeconds": 1,
            "Arguments": {"FunctionName": name},
            "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "Late"}],
            "End": True,
        },
        "Late": {"Type": "Pass", "Output": "late", "End": True},
    }
    assert run(machine(states)).output() == "late"


def test_history_is_paged_and_ordered(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    execution = run(machine({"A": {"Type": "Pass", "End": True}}))
    execution.ended()
    pages = embedded.client("stepfunctions").get_paginator("get_execution_history")
    found = [
        event["id"]
        for page in pages.paginate(executionArn=execution.arn, reverseOrder=True, maxResults=2)
        for event in page["events"]
    ]
    assert found == [4, 3, 2, 1]


def test_executions_are_listed_by_status(
    embedded: EmbeddedAws, machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    arn = machine({"A": {"Type": "Fail", "Error": "E"}})
    run(arn).ended()
    listed = embedded.client("stepfunctions").list_executions(stateMachineArn=arn, statusFilter="FAILED")["executions"]
    assert [(item["status"], item["redriveCount"]) for item in listed] == [("FAILED", 0)]
    assert listed[0]["stopDate"] >= listed[0]["startDate"]


def test_concurrent_executions_do_not_mix(
    function: Callable[..., str], machine: Callable[..., str], run: Callable[..., Any]
) -> None:
    name = function("double", "def handler(event, context):\n    return event * 2\n", Timeout=60)
    states = {
        "Call": {
            "Type": "Task",
            "Resource": INVOKE,
            "Arguments": {"FunctionName": name, "Payload": "{% $states.input.n %}"},
            "Output": {"n": "{% $states.input.n %}", "twice": "{% $states.result.Payload %}"},
            "Next": "Choose",
        },
        "Choose": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input.twice = 2 * $states.input.n %}", "Next": "Good"}],
            "Default": "Bad",
        },
        "Good": {"Type": "Succeed"},
        "Bad": {"Type": "Fail", "Error": "Mixed"},
    }
    arn = machine(states)
    executions = [run(arn, {"n": n}) for n in range(64)]
    assert [execution.output()["twice"] for execution in executions] == [2 * n for n in range(64)]


def test_other_process_controls_executions(embedded: EmbeddedAws, machine: Callable[..., str]) -> None:
    program = f"""
import boto3
states = boto3.client("stepfunctions")
arn = states.start_execution(stateMachineArn="{machine(WAITING)}", input="{{}}")["executionArn"]
print(states.describe_execution(executionArn=arn)["status"])
states.stop_execution(executionArn=arn)
print(states.describe_execution(executionArn=arn)["status"])
print(states.redrive_execution(executionArn=arn)["redriveDate"].year > 2000)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=embedded.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["RUNNING", "ABORTED", "True"]


def test_proxy_and_user_profile_are_ignored(
    monkeypatch: pytest.MonkeyPatch, deploy_function: Callable[..., str]
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:9")
    monkeypatch.setenv("AWS_PROFILE", "missing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1:9")
    with EmbeddedAws() as aws:
        name = deploy_function(aws, "one", "def handler(event, context):\n    return 1\n")
        assert aws.client("lambda").invoke(FunctionName=name)["Payload"].read() == b"1"


def test_process_runs_one_embedded_aws(embedded: EmbeddedAws) -> None:
    with pytest.raises(EmbeddedAwsRunning) as error, EmbeddedAws():
        pass
    assert error.value.remedy
    assert embedded.client("stepfunctions").list_state_machines()["stateMachines"] == []


def test_restart_is_clean_and_leaks_no_thread() -> None:
    with EmbeddedAws() as aws:
        aws.client("s3").create_bucket(Bucket="left-over")
        first = aws.workspace
    assert not first.exists()
    with EmbeddedAws() as aws:
        assert aws.client("s3").list_buckets()["Buckets"] == []
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("embedded", "execution", "program", "lambda", "build"))]


def test_taken_port_is_an_error(embedded: EmbeddedAws) -> None:
    port = int(embedded.endpoint_url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        LoopbackServer(port)
