"""Problems that Step Functions and Lambda report."""

from __future__ import annotations

from typing import Final

from kiro_worker.models import Failure
from tests.support.operator_guide.problem import REDRIVE, Problem, shown
from tests.support.operator_guide.step import failed_run

UPDATE: Final = "the function kiro-worker-test-update-status"
TAIL: Final = "aws logs tail /aws/lambda/kiro-worker-test-update-status --since 1h"

PLATFORM: Final = (
    Problem(
        "A function times out",
        "Sandbox.Timedout",
        "exceeded its own timeout in the state MarkInProgress",
        UPDATE,
        TAIL,
        failed_run("MarkInProgress", "Sandbox.Timedout", "Task timed out after 60.00 seconds"),
    ),
    Problem(
        "A state times out",
        "Timeout",
        "the state MarkInProgress exceeded its timeout",
        UPDATE,
        TAIL,
        failed_run("MarkInProgress", "States.Timeout", ""),
    ),
    Problem(
        "A function crashes, or is killed because its memory is used up",
        "Runtime.ExitError",
        "it crashed, was killed or ran out of memory",
        UPDATE,
        TAIL,
        failed_run("MarkInProgress", "Runtime.ExitError", "Runtime exited with error: signal: killed"),
    ),
    Problem(
        "A function does not exist",
        "Lambda.ResourceNotFoundException",
        "does not exist",
        UPDATE,
        "make deploy",
        failed_run("MarkInProgress", "Lambda.ResourceNotFoundException", "Function not found"),
    ),
    Problem(
        "The state machine may not invoke a function",
        "Lambda.AWSLambdaException",
        "the role of the state machine",
        UPDATE,
        "make deploy",
        failed_run(
            "MarkInProgress",
            "Lambda.AWSLambdaException",
            "User: arn:aws:sts::123456789012:assumed-role/r/e is not authorized to perform: lambda:InvokeFunction on"
            " resource: arn:aws:lambda:us-east-1:123456789012:function:kiro-worker-test-update-status",
        ),
    ),
    Problem(
        "Too many functions of the account run at once",
        "Lambda.TooManyRequestsException",
        "too many functions of this account and region run already",
        UPDATE,
        "request a higher quota of concurrent executions in Service Quotas (AWS Lambda)",
        failed_run("MarkInProgress", "Lambda.TooManyRequestsException", "Rate Exceeded."),
    ),
    Problem(
        "The code of a function cannot be loaded",
        "Runtime.ImportModuleError",
        "No module named 'pydantic'",
        f"the package of {UPDATE}",
        "make deploy",
        failed_run("MarkInProgress", "Runtime.ImportModuleError", "No module named 'pydantic'"),
    ),
    Problem(
        "The state machine's own timeout is reached",
        "TIMED_OUT",
        "the execution exceeded the timeout of the state machine",
        "the state machine kiro-worker-test",
        REDRIVE,
        lambda: shown(Failure(error="TIMED_OUT")),
    ),
    Problem(
        "A person stops the execution",
        "ABORTED",
        "a person or a program stopped the execution",
        "the execution",
        REDRIVE,
        lambda: shown(Failure(error="ABORTED")),
    ),
)
