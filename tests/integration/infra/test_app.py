from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.stacks import Synthesize


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (
            {"environment": "prod"},
            "Context environment is 'prod', but it must be one of test, staging, production.",
        ),
        (
            {"packagingPlatform": "host", "lockLeaseSeconds": "60"},
            "The lock's lease is 60 s, but work_item.asl.json may run for",
        ),
    ],
)
def test_synth_error_is_one_line(tmp_path: Path, synthesize: Synthesize, context: dict[str, str], message: str) -> None:
    done = synthesize(tmp_path, **context)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
