from __future__ import annotations

from pathlib import Path

import pytest

from kiro_worker import errors
from kiro_worker.errors import KiroWorkerError, raise_by_name

DOCS = Path(__file__).parents[2] / "docs"
LEAVES = [
    error
    for error in vars(errors).values()
    if isinstance(error, type)
    and issubclass(error, KiroWorkerError)
    and error is not errors.BuildStopped
    and not error.__subclasses__()
]


@pytest.mark.parametrize("error", LEAVES)
def test_every_error_is_explained_to_operators(error: type[KiroWorkerError]) -> None:
    assert f"| `{error.__name__}` |" in (DOCS / "reference" / "errors.md").read_text("utf-8")


def test_error_says_what_and_how_to_fix_it() -> None:
    assert str(KiroWorkerError("it broke", "glue it")) == "it broke\nHow to fix: glue it"
    assert str(KiroWorkerError("it broke")) == "it broke"


@pytest.mark.parametrize("name", ["WorkItemMoved", "States.TaskFailed", "Lambda.Unknown"])
def test_an_error_can_be_raised_under_any_name(name: str) -> None:
    with pytest.raises(KiroWorkerError, match="why") as caught:
        raise_by_name(name, "why")
    assert type(caught.value).__name__ == name
