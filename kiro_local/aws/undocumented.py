"""What AWS's documentation leaves open, as switches: each says one of the ways in which a real account could turn out
to behave, and what depends on it is run under both. ``tests/aws`` asks a real account, ``docs/reference/unproven.md`` says what
follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Undocumented:
    """The defaults are what we take to be likely, not what we rely on."""

    #: A rescheduled Task's Arguments are evaluated again; otherwise it gets those of the attempt before the redrive.
    redrive_evaluates_arguments: bool = True
    #: The state that is resumed sees the new ``Execution.RedriveCount`` and ``RedriveTime``; otherwise the context
    #: object it had before. The states after it see them in any case.
    redrive_refreshes_context: bool = True
    #: Variables (``Assign``) have the values that they had when the resumed state was entered; otherwise there are
    #: none.
    redrive_keeps_variables: bool = True
    #: Step Functions stops the build of ``startBuild.sync`` when the execution is stopped. AWS documents that it tries.
    abort_stops_build: bool = True
    #: … when the Task's own TimeoutSeconds have passed.
    state_timeout_stops_build: bool = True
    #: … when the state machine's TimeoutSeconds have passed.
    machine_timeout_stops_build: bool = True
    #: The Cause of a failed build carries ``ExportedEnvironmentVariables``, also those that ``post_build`` exported.
    failed_build_exports_variables: bool = True
    #: The error name of a build that ended badly; one that begins with ``States.`` or any of one's own.
    failed_build_error: str = "States.TaskFailed"


ASSUMED: Final = Undocumented()
