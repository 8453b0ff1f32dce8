from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kiro_local.aws.server import EmbeddedAws

Deploy = Callable[..., str]


def invoke(aws: EmbeddedAws, name: str, event: Any = None, **fields: Any) -> tuple[Any, dict[str, Any]]:
    response = aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **fields)
    return json.loads(response["Payload"].read() or b"null"), response


def test_package_and_layers_run(embedded: EmbeddedAws, function: Deploy) -> None:
    text = """
import shared, os, json
def handler(event, context):
    return {"event": event, "layer": shared.VALUE, "own": os.environ["OWN"], "name": context.function_name,
            "left": context.get_remaining_time_in_millis(), "root": os.environ["LAMBDA_TASK_ROOT"] == os.getcwd()}
"""
    name = function(
        "adder",
        text,
        layers=[{"python/shared.py": "VALUE = 'from the layer'"}],
        Environment={"Variables": {"OWN": "mine"}},
        Timeout=30,
    )
    answer, response = invoke(embedded, name, {"a": "\u2603"})
    assert "FunctionError" not in response
    left = answer.pop("left")
    assert 0 < left <= 30_000
    assert answer == {"event": {"a": "\u2603"}, "layer": "from the layer", "own": "mine", "name": "adder", "root": True}


def test_host_packages_cannot_be_imported(embedded: EmbeddedAws, function: Deploy) -> None:
    text = """
import importlib
def handler(event, context):
    found = []
    for name in event:
        try:
            importlib.import_module(name)
            found.append(name)
        except ImportError:
            pass
    return found
"""
    answer, _ = invoke(embedded, function("importer", text), ["moto", "typer", "kiro_worker", "boto3", "awslambdaric"])
    assert answer == ["awslambdaric"]


def test_environment_hides_the_host(embedded: EmbeddedAws, function: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    text = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    name = function("environment", text, Environment={"Variables": {"OWN": "1"}}, MemorySize=256)
    answer, _ = invoke(embedded, name)
    assert "SECRET_OF_THE_HOST" not in answer
    assert answer["OWN"] == "1"
    assert answer["AWS_ENDPOINT_URL"] == embedded.endpoint_url
    assert answer["AWS_LAMBDA_FUNCTION_NAME"] == "environment"
    assert answer["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert answer["AWS_LAMBDA_LOG_GROUP_NAME"] == "/aws/lambda/environment"
    assert answer["AWS_REGION"] == "us-east-1"
    assert answer["_HANDLER"] == "handler.handler"
    unknown = {name for name in answer if not name.startswith(("AWS_", "LAMBDA_"))}
    assert unknown <= {"OWN", "_HANDLER", "HOME", "LANG", "PATH", "TZ", "LC_CTYPE", "_X_AMZN_TRACE_ID"}


def test_warm_process_is_reused(embedded: EmbeddedAws, function: Deploy) -> None:
    text = """
import os
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return calls, os.getpid()
"""
    name = function("warm", text)
    (first, process), _ = invoke(embedded, name)
    (second, again), _ = invoke(embedded, name)
    assert (first, second) == (1, 2)
    assert process == again


def test_concurrent_invocations_use_own_processes(embedded: EmbeddedAws, function: Deploy) -> None:
    text = """
import os, time, pathlib
def handler(event, context):
    here = pathlib.Path(event)
    (here / str(os.getpid())).touch()
    deadline = time.monotonic() + 20
    while len(list(here.iterdir())) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.getpid()
"""
    name = function("many", text, Timeout=30)
    meeting = embedded.workspace / "meeting"
    meeting.mkdir()
    processes: list[int] = []
    threads = [
        threading.Thread(target=lambda: processes.append(invoke(embedded, name, str(meeting))[0])) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(processes)) == 3


def test_exception_is_an_unhandled_error(embedded: EmbeddedAws, function: Deploy) -> None:
    text = "class WorkItemMoved(Exception): pass\ndef handler(event, context):\n    raise WorkItemMoved('to Done')\n"
    name = function("raiser", text)
    answer, response = invoke(embedded, name)
    assert response["FunctionError"] == "Unhandled"
    assert answer["errorType"] == "WorkItemMoved"
    assert answer["errorMessage"] == "to Done"
    assert answer["requestId"]
    assert any("handler.py" in frame for frame in answer["stackTrace"])


def test_timeout_replaces_the_process(embedded: EmbeddedAws, function: Deploy) -> None:
    text = "import time, os\ndef handler(event, context):\n    time.sleep(event)\n    return os.getpid()\n"
    name = function("slow", text, Timeout=1)
    answer, response = invoke(embedded, name, 60)
    assert response["FunctionError"] == "Unhandled"
    assert answer["errorType"] == "Sandbox.Timedout"
    assert answer["errorMessage"].startswith("RequestId: ")
    assert answer["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert isinstance(invoke(embedded, name, 0)[0], int)


def test_exit_is_a_runtime_error(embedded: EmbeddedAws, function: Deploy) -> None:
    name = function("leaver", "import os\ndef handler(event, context):\n    os._exit(3)\n")
    answer, response = invoke(embedded, name)
    assert response["FunctionError"] == "Unhandled"
    assert answer["errorType"] == "Runtime.ExitError"
    assert answer["errorMessage"].endswith("Runtime exited with error: exit status 3")


def test_import_error_is_named(embedded: EmbeddedAws, function: Deploy) -> None:
    answer, response = invoke(embedded, function("broken", "import nothing_of_that_name\n"))
    assert response["FunctionError"] == "Unhandled"
    assert answer["errorType"] == "Runtime.ImportModuleError"
    assert "nothing_of_that_name" in answer["errorMessage"]


def test_output_is_streamed_and_logged(
    embedded: EmbeddedAws, function: Deploy, function_lines: list[tuple[str, str]]
) -> None:
    text = "import sys\ndef handler(event, context):\n    print('out 1')\n    print('err', file=sys.stderr)\n"
    name = function("talker", text)
    _, response = invoke(embedded, name, LogType="Tail")
    assert "out 1" in base64.b64decode(response["LogResult"]).decode()
    assert ("talker", "out 1") in function_lines
    assert ("talker", "err") in function_lines
    events = embedded.client("logs").filter_log_events(logGroupName="/aws/lambda/talker")["events"]
    assert "out 1" in [event["message"] for event in events]


def test_payload_size_and_format_are_checked(embedded: EmbeddedAws, function: Deploy) -> None:
    name = function("limited", "def handler(event, context):\n    return 'x' * event\n")
    with pytest.raises(ClientError) as too_large:
        invoke(embedded, name, "x" * (6 * 1024 * 1024))
    assert too_large.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    with pytest.raises(ClientError) as no_json:
        embedded.client("lambda").invoke(FunctionName=name, Payload=b"{")
    assert no_json.value.response["Error"]["Code"] == "InvalidRequestContentException"
    answer, response = invoke(embedded, name, 7 * 1024 * 1024)
    assert answer["errorType"] == "Function.ResponseSizeTooLarge"
    assert response["FunctionError"] == "Unhandled"


def test_new_code_is_used_at_once(
    embedded: EmbeddedAws, function: Deploy, zip_of: Callable[[dict[str, str]], bytes]
) -> None:
    name = function("changing", "def handler(event, context):\n    return 'old'\n")
    assert invoke(embedded, name)[0] == "old"
    embedded.client("lambda").update_function_code(
        FunctionName=name, ZipFile=zip_of({"handler.py": "def handler(event, context):\n    return 'new'\n"})
    )
    assert invoke(embedded, name)[0] == "new"


def test_other_process_can_invoke(embedded: EmbeddedAws, function: Deploy) -> None:
    name = function("remote", "def handler(event, context):\n    return event['n'] + 1\n")
    program = (
        "import boto3; r = boto3.client('lambda').invoke(FunctionName='%s', Payload=b'{\"n\": 41}');"
        "print(r['Payload'].read().decode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program % name], env=embedded.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "42"


def test_stopping_leaves_no_process(deploy_function: Deploy) -> None:
    text = "import os\ndef handler(event, context):\n    return os.getpid()\n"
    with EmbeddedAws() as aws:
        process, _ = invoke(aws, deploy_function(aws, "mortal", text))
        os.kill(process, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
