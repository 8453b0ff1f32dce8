"""Problems that are known from similar systems, and that this product cannot have or cannot say anything about."""

from __future__ import annotations

from typing import Final

_CDK_SAYS: Final = "CloudFormation and the CDK say it themselves, before anything of the worker exists"

UNTABLED: Final = {
    "BuildStopped": "people see its outcome",
    "Succeeded": "it is no problem",
    "NoChanges": "tests/e2e/test_outcomes.py ends a whole build with it",
    "GuardTripped": "tests/integration/runner/test_guard.py ends real checkouts with it",
}
"""The names that people can see and that the tables lack, each with the reason."""

LEFT_OUT: Final = (
    ("The account is not bootstrapped for CDK", f"{_CDK_SAYS}; `make bootstrap ARGS=aws://ACCOUNT/REGION` does it"),
    ("npm may not install global packages", "nothing is installed globally: `make` puts everything into the checkout"),
    ("TypeScript does not compile", "there is no TypeScript: the CDK app is Python, from locked packages"),
    ("The versions of the CDK and its library differ", "`make deploy` runs pinned versions of both"),
    ("A stack's deployment fails, rolls back or takes too long", f"{_CDK_SAYS}: see the stack's events"),
    ("The deploying user lacks a permission, such as `iam:PassRole`", _CDK_SAYS),
    (
        "A bucket or a table exists already",
        f"{_CDK_SAYS}. Only production keeps its table and bucket, and bucket names contain account and region",
    ),
    ("A function's package is too large", "the tests hold the packages far below Lambda's limit"),
    (
        "`buildspec.yml` is not found",
        "it is deployed with the worker's own source; a source that cannot be read is in the table",
    ),
    (
        "Several pull requests come from the branch",
        "not a failure: the first one whose author may push is used, and the run's `work` names it",
    ),
    (
        "The lock is not released after a build",
        "the next run takes it over from an execution that has ended",
    ),
    (
        "The schedule is disabled, or may not start executions",
        (
            "no run starts, so no text appears: `aws scheduler get-schedule --name kiro-worker-test` shows its state,"
            " and the dead-letter queue `kiro-worker-test-schedule-dlq` the starts that failed"
        ),
    ),
    (
        "The event of a stopped execution is not delivered",
        "nothing says it, and nothing depends on it: the next run reports the card and frees the lock",
    ),
    ("An alarm or its email does not arrive", "the stacks have no alarms"),
    (
        "CloudWatch shows no logs",
        "the function itself cannot say it; a role that lacks the permission gets it back by `make deploy`",
    ),
)
"""Each with the reason."""
