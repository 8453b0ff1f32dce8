"""``result.json``, schema version 2: what a build did and how it ended.

Every key is always present. A value that is not known is ``null``, ``""`` or empty::

    {"schemaVersion": 2,
     "outcome": "Succeeded",            one of kiro_worker.outcomes.Outcome
     "reason": "",                      why, in one sentence; empty for Succeeded
     "remedy": "",                      how to fix it
     "details": "",                     the last lines of the child process that failed
     "job": {"repository", "branch", "commit", "specPath", "pullRequest", "workItemId", "owner"},   or null
     "build": {"id", "attempt"},
     "fence": 1790000000000,            of the lock that the build held last; 0 before it held one
     "commit": "…40 hex…",              the pushed commit; empty if nothing was pushed
     "tasks": {"done": 3, "open": 0},
     "tests": {"command": ["python3", …], "summary": "Ran 7 tests in 0.002s"},
     "gate": {"command", "summary",     what the last gate measured; null before the first one
              "sign": "report",                  what shows that a test ran: report, summary, exitCode or null
              "junit": {"tests": 7, "failures": 0, "errors": 0, "skipped": 0, "failedNames": []},   or null
              "coverage": {"format": "lcov", "lines": {"covered": 9, "total": 10}, "branches": {…},
                           "changedLines": {…} or null, "line": "lines 90 % (9/10)"},               or null
              "changedByTests": ["conftest.py"],
              "notes": {"tests": [], "coverage": ["report ignored: lcov.info is not a coverage report: …"]}},
     "filesChanged": ["inventory/discounts.py"],
     "agent": {"credits": 0.4, "seconds": 61},
     "checkpoint": {"branch": "kiro-worker/checkpoint/feature/x", "commit": "…40 hex…"},   empty without a checkpoint
     "steering": {"source": "s3://acme-steering/kiro", "version": "2026-11-24"},   empty if none is configured
     "seconds": 74.2, "phases": [{"name": "check out", "start": 0.3, "seconds": 1.2}, …],
     "artifacts": "s3://…/runs/<run>/<attempt>/"}

Version 2 lists the phases with their starts, and adds "gate" and "checkpoint".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.runner.gate.gate import GATE_FILE
from kiro_worker.runner.report.artifacts import REPORTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.report.artifacts import ArtifactLocation
    from kiro_worker.runner.request import BuildRequest

SCHEMA_VERSION: Final = 2


def result_document(
    progress: BuildProgress,
    request: BuildRequest | None,
    location: ArtifactLocation,
    gate: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the document of ``result.json``, before redaction."""
    return {
        "schemaVersion": SCHEMA_VERSION,
        "outcome": progress.outcome.value,
        "reason": progress.reason,
        "remedy": progress.remedy,
        "details": progress.details,
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
        "tasks": {"done": progress.tasks_done, "open": progress.tasks_open},
        "tests": {"command": list(progress.test_command), "summary": progress.tests},
        "gate": gate,
        "filesChanged": list(progress.files_changed),
        "agent": {"credits": progress.agent_credits, "seconds": progress.agent_seconds},
        "checkpoint": {"branch": progress.checkpoint_branch, "commit": progress.checkpoint_commit},
        "steering": {"source": progress.steering_source, "version": progress.steering_version},
        "seconds": round(progress.seconds, 3),
        "phases": [phase._asdict() for phase in progress.phases],
        "artifacts": progress.artifacts,
    }


def read_gate_result(logs: Path) -> dict[str, Any] | None:
    """Return what the last gate measured, from the file beside its reports; ``None`` if no gate ran."""
    try:
        document = json.loads((logs / REPORTS / GATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
