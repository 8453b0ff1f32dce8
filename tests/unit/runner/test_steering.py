"""A source of central steering files is read only when its manifest is valid and every file matches it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.trust.steering import LARGEST_FILE, MANIFEST, load_steering

SOURCE = "s3://acme-steering/kiro/team"
SUM = hashlib.sha256(b"x").hexdigest()


def reader(document: Any) -> Callable[[str], bytes]:
    """Return a reader of a source with this manifest, whose files all contain ``x``."""
    return lambda name: json.dumps(document).encode() if name == MANIFEST else b"x"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../AGENTS.md",
            "steering/../../x.md",
            "/etc/passwd",
            "steering//x.md",
            "steering/.git/config",
            "hooks/x.hook",
        ),
        *("steering", "steering/", "steering/a b.md", "steering/x\n.md", "steering/ü.md", "steering/-x.md", ""),
    ],
)
def test_path_outside_steering_folder_is_refused(name: str) -> None:
    with pytest.raises(BuildStopped) as stopped:
        load_steering(SOURCE, reader({"version": "1", "files": {name: SUM}}))

    assert stopped.value.outcome is Outcome.GUARD_TRIPPED


@pytest.mark.parametrize(
    "document",
    [
        *([], "x", {}, {"version": "1"}, {"version": "1", "files": {}}, {"version": "", "files": {"steering/a": SUM}}),
        {"version": "1", "files": {"steering/a": SUM.upper()}},
        {"version": "1", "files": {"steering/a": SUM}, "more": 1},
        {"version": "1\n2", "files": {"steering/a": SUM}},
        {"version": "1", "files": {f"steering/{n}": SUM for n in range(201)}},
    ],
)
def test_invalid_manifest_is_refused(document: Any) -> None:
    with pytest.raises(BuildStopped, match=r"manifest\.json is not valid") as stopped:
        load_steering(SOURCE, reader(document))

    assert stopped.value.outcome is Outcome.GUARD_TRIPPED


def test_large_file_is_refused() -> None:
    document = json.dumps({"version": "1", "files": {"steering/a": SUM}}).encode()
    with pytest.raises(BuildStopped, match="larger than 1024 KB"):
        load_steering(SOURCE, lambda name: document if name == MANIFEST else b"x" * (LARGEST_FILE + 1))
