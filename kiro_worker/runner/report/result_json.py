"""``result.json``, schema version 3: what a build did and how it ended.

Every key is always present. A value that is not known is ``null``, ``""`` or empty::

    {"schemaVersion": 3,
     "outcome": "Succeeded",            one of kiro_worker.outcomes.Outcome
     "reason": "",                      why, in one sentence; empty for Succeeded
     "remedy": "",                      how to fix it
     "details": "",                     the last lines of the child process that failed
     "faultOwner": null,                who has to act: card, repository, installation or service; null for no one
     "error": "",                       the worker's own error behind the outcome, such as SecretPlaceholder
     "job": {"repository", "branch", "commit", "specPath", "pullRequest", "workItemId", "owner"},   or null
     "build": {"id", "attempt"},
     "fence": 1790000000000,            of the lock that the build held last; 0 before it held one
     "commit": "…40 hex…",              the pushed commit; empty if nothing was pushed
     "tasks": {"done": 3, "doneByThisRun": 2, "doneBefore": 1,   required tasks; the last two are null if not known
               "open": 1, "openNames": ["2.1 Charge once"],        required tasks; at most 20 names
               "optional": 1},                                   optional tasks, which are never required
     "baseline": {"mode": "known", "commit": "…40 hex…",       what the tests showed before the agent; null without one
                  "checks": [{"check", "summary", "exitCode",
                              "failing": ["tests.test_a.test_b"],     at most 50 names, here and below
                              "flaky": [], "problem": ""}]},          why it cannot name failures
     "tests": {"command": ["python3", …], "summary": "Ran 7 tests in 0.002s",   no command if there are several checks
               "exitCode": 0,           null if there was none: the tests did not run or were stopped
               "passed": true},         the verdict of the last gate; null if there was none
     "gate": {"passed": true,           what the last gate measured; null before the first one
              "checks": [{"check": "root", "command", "summary", "exitCode": 0, "passed": true,
                "sign": "report",                  what shows that a test ran: report, summary, exitCode or null
                "junit": {"tests": 7, "failures": 0, "errors": 0, "skipped": 0, "failedNames": []},   or null
                "failed": [{"name": "tests.test_a.test_c", "said": "E  assert 1 == 2"}],   those that count
                "excused": ["tests.test_a.test_b"],    failed before the agent started, too
                "flaky": [],                           passed when they were run again
                "vanished": [],                        ran before the agent started, and not now
                "coverage": {"format": "lcov", "lines": {"covered": 9, "total": 10}, "branches": {…},
                             "changedLines": {…} or null, "line": "lines 90 % (9/10)"},               or null
                "coverageNotMeasured": "",         why the default threshold was not applied
                "changedByTests": ["conftest.py"],
                "notes": {"tests": [], "coverage": ["report ignored: lcov.info is not a coverage report: …"]}}]},
     "summary": {"tasks": [{"name": "1.1 Charge", "commit": "…40 hex…", "identity": "2-1f0e9d8c"}],   done by this run
                 "turns": [{"about": "1.1 Charge", "said": "…"}],    the agent's last words of each turn; at most 600
                                                                     characters
                 "failed": [{"name", "said"}], "notes": [{"kind", "names"}]},   what the gate reports to reviewers
     "settings": {"effective": {…}, "origins": {"coverage.threshold": ".kiro-worker.yml", …}},   what applied to this
                 repository, and where each value came from; a key without an origin has its default; null before
                 they were read
     "filesChanged": ["inventory/discounts.py"],
     "agent": {"credits": 0.4, "seconds": 61},
     "checkpoint": {"ref": "refs/kiro-worker/checkpoints/feature/x", "commit": "…40 hex…",   empty without a checkpoint
                    "ignored": "…40 hex…",   a commit on its ref that the worker did not write; empty if there was none
                    "problem": ""},          why the last task is not on it
     "steering": {"source": "s3://acme-steering/kiro", "version": "2026-11-24"},   empty if none is configured
     "seconds": 74.2, "phases": [{"name": "check out", "start": 0.3, "seconds": 1.2}, …],
     "artifacts": "s3://…/runs/<run>/<attempt>/"}

Version 2 lists the phases with their starts, and adds "gate" and "checkpoint". Version 3 adds "faultOwner", "error",
"baseline", "summary", "settings" and keys of "tasks", "tests" and "checkpoint", where "ref" replaces "branch". "gate"
has an entry per check.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.config.settings import settings_document
from kiro_worker.runner.report.summary import run_summary
from kiro_worker.runner.report.variables import MOST_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.report.artifacts import ArtifactLocation
    from kiro_worker.runner.request import BuildRequest

SCHEMA_VERSION: Final = 3


def result_document(
    progress: BuildProgress, request: BuildRequest | None, location: ArtifactLocation
) -> dict[str, Any]:
    """Return the document of ``result.json``, before redaction."""
    return {
        "schemaVersion": SCHEMA_VERSION,
        "outcome": progress.outcome.value,
        "reason": progress.reason,
        "remedy": progress.remedy,
        "details": progress.details,
        "faultOwner": progress.fault_owner,
        "error": progress.error,
        "job": request
        and {
            "repository": request.repository,
            "branch": request.branch,
            "commit": request.commit,
            "specPath": request.spec_path,
            "pullRequest": request.pull_request,
            "workItemId": request.work_item_id,
            "owner": request.owner,
        },
        "build": {"id": location.build_id, "attempt": location.attempt},
        "fence": progress.fence,
        "commit": progress.commit,
        "tasks": _tasks(progress),
        "baseline": progress.baseline,
        "tests": _tests(progress),
        "gate": progress.gate,
        "summary": asdict(run_summary(progress, str)),
        "settings": progress.settings and settings_document(progress.settings),
        "filesChanged": list(progress.files_changed),
        "agent": {"credits": progress.agent_credits, "seconds": progress.agent_seconds},
        "checkpoint": {
            "ref": progress.checkpoint_ref,
            "commit": progress.checkpoint_commit,
            "ignored": progress.checkpoint_ignored,
            "problem": progress.checkpoint_problem,
        },
        "steering": {"source": progress.steering_source, "version": progress.steering_version},
        "seconds": round(progress.seconds, 3),
        "phases": [phase._asdict() for phase in progress.phases],
        "artifacts": progress.artifacts,
    }


def _tasks(progress: BuildProgress) -> dict[str, Any]:
    done, before = progress.tasks_done, progress.tasks_done_before
    return {
        "done": done,
        "doneByThisRun": None if done is None or before is None else done - before,
        "doneBefore": before,
        "open": progress.tasks_open,
        "openNames": list(progress.open_tasks[:MOST_NAMES]),
        "optional": progress.tasks_optional,
    }


def _tests(progress: BuildProgress) -> dict[str, Any]:
    """Return the verdict on the tests. The command and its exit code are those of the only check, if there is one."""
    checks: list[Mapping[str, Any]] = (progress.gate or {}).get("checks", [])
    only = checks[0] if len(checks) == 1 else {}
    return {
        "command": list(only.get("command", progress.test_command)),
        "summary": progress.tests,
        "exitCode": only.get("exitCode"),
        "passed": (progress.gate or {}).get("passed"),
    }
