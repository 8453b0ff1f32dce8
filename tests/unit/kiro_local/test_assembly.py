from __future__ import annotations

from pathlib import Path

import pytest

from kiro_local.assembly import ROOT, CheckoutRequired, require_checkout, synthesize


def test_synthesis_needs_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(CheckoutRequired) as error:
        synthesize(tmp_path)
    assert error.value.reason == (
        f"kiro-worker demo and kiro-worker local deploy the sources of a checkout, and {tmp_path} is not one"
    )
    assert error.value.remedy == "git clone the repository, then make demo"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["infra/app.py", "statemachine"])
def test_incomplete_checkout_is_rejected(tmp_path: Path, missing: str) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "app.py").touch()
    (tmp_path / "statemachine").mkdir()
    require_checkout(tmp_path)
    path = tmp_path / missing
    path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(CheckoutRequired):
        require_checkout(tmp_path)


def test_this_checkout_is_accepted() -> None:
    require_checkout(ROOT)
