"""The statuses of a Step Functions execution that has ended."""

from __future__ import annotations

from typing import Final

ENDED_STATUSES: Final = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})
"""https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html

``PENDING_REDRIVE`` is not among them, because such an execution continues.
"""
