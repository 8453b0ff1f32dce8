from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("context", "sentence"),
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
def test_a_refused_synthesis_is_one_sentence_and_exit_1(
    tmp_path: Path, synthesise: Any, context: dict[str, str], sentence: str
) -> None:
    done = synthesise(tmp_path, **context)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1
