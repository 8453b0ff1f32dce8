from __future__ import annotations

import pytest

from kiro_local.aws.error_matching import matches


@pytest.mark.parametrize(
    ("error", "error_equals", "matched"),
    [
        ("LockHeld", ["LockHeld"], True),
        ("LockHeld", ["LockLost"], False),
        ("LockHeld", ["States.ALL"], True),
        ("LockHeld", ["States.TaskFailed"], True),
        (None, ["States.ALL"], True),
        ("States.Timeout", ["States.ALL"], True),
        ("States.Timeout", ["States.TaskFailed"], False),
        ("States.Timeout", ["States.Timeout"], True),
        ("States.QueryEvaluationError", ["States.TaskFailed"], True),
        ("States.DataLimitExceeded", ["States.ALL"], False),
        ("States.DataLimitExceeded", ["States.DataLimitExceeded"], True),
        ("States.Runtime", ["States.ALL"], False),
        ("States.Runtime", ["States.TaskFailed"], False),
        ("States.Runtime", ["States.Runtime"], False),
    ],
)
def test_catch_matches_error(error: str | None, error_equals: list[str], matched: bool) -> None:
    assert matches(error, error_equals) is matched
