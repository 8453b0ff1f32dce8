from __future__ import annotations

from pathlib import Path

import pytest

from kiro_local.aws import lambda_runtime_dir
from kiro_local.aws.lambda_runtime_dir import RuntimeClientMissing, make_runtime_directory


def test_directory_holds_the_client_only(tmp_path: Path) -> None:
    names = {path.name for path in make_runtime_directory(tmp_path).iterdir()}
    assert "awslambdaric" in names
    assert not names & {"boto3", "moto", "pytest"}


def test_missing_client_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambda_runtime_dir, "CLIENT", "no-such-client")
    with pytest.raises(RuntimeClientMissing) as error:
        make_runtime_directory(tmp_path)
    assert error.value.reason == "The Python package no-such-client is not installed."
    assert error.value.remedy == "pip install no-such-client"
