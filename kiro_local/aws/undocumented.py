"""Switches for behavior that AWS does not document.

Each switch is a question that only a real account can answer. Tests of code that depends on one run with both values.
``tests/aws`` determines the answers on a real account; ``docs/reference/unproven.md`` lists the consequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Undocumented:
    """One answer to each question. The defaults are our best guess; nothing relies on them."""

    #: The Arguments of a rescheduled Task are evaluated again. Otherwise it gets those from before the redrive.
    redrive_evaluates_arguments: bool = True
    #: The resumed state sees the new ``Execution.RedriveCount`` and ``RedriveTime``. Otherwise it sees the context
    #: object from before the redrive. The states after it see the new values in any case.
    redrive_refreshes_context: bool = True
    #: Variables (``Assign``) keep the values they had when the resumed state was entered. Otherwise there are none.
    redrive_keeps_variables: bool = True
    #: Step Functions stops the build of ``startBuild.sync`` when the execution is stopped. AWS documents that it tries.
    abort_stops_build: bool = True
    #: … when the Task's own TimeoutSeconds have passed.
    state_timeout_stops_build: bool = True
    #: … when the state machine's TimeoutSeconds have passed.
    machine_timeout_stops_build: bool = True
    #: The Cause of a failed build contains ``ExportedEnvironmentVariables``, including those of ``post_build``.
    failed_build_exports_variables: bool = True
    #: The error name of an unsuccessful build: one that begins with ``States.``, or a custom one.
    failed_build_error: str = "States.TaskFailed"
    #: The length of that Cause in characters; Step Functions cuts off the rest, and what remains is not JSON.
    failed_build_cause_characters: int = 32_768
    #: A report that the buildspec declares, and for which no file exists, fails the build in UPLOAD_ARTIFACTS, even
    #: after all commands have succeeded. AWS documents only that such a report is incomplete.
    missing_report_fails_build: bool = True


ASSUMED: Final = Undocumented()
