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


def test_unfinished_synthesis_of_another_process_is_kept(tmp_path: Path) -> None:
    app = tmp_path / "infra" / "app.py"
    app.parent.mkdir()
    (app.parent / "__init__.py").touch()
    (tmp_path / "statemachine").mkdir()
    app.write_text(
        "import os, pathlib\n"
        "out = pathlib.Path(os.environ['CDK_OUTDIR'])\n"
        "out.mkdir()\n"
        "(out / 'manifest.json').write_text('{}')\n"
    )
    unfinished = tmp_path / "build" / "assembly" / "tmp-other" / "assembly"
    unfinished.mkdir(parents=True)

    for number in range(6):
        (tmp_path / "statemachine" / "work_item.asl.json").write_text(str(number))
        assert (synthesize(tmp_path) / "manifest.json").is_file()

    assert unfinished.is_dir()
    assert len(list(unfinished.parent.parent.glob("*/manifest.json"))) == 3
