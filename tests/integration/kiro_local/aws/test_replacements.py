from __future__ import annotations

import types

import pytest
from moto.awslambda.models import LambdaFunction
from moto.cloudformation import parsing
from moto.codebuild.responses import CodeBuildResponse
from moto.core.config import default_user_config
from moto.core.routing import ServiceOperationRouter
from moto.stepfunctions.parser import models
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.responses import StepFunctionResponse

from kiro_local.aws import replacements
from kiro_local.aws.replacements import ReplacedSince, Replacements, UnsupportedMoto
from kiro_local.aws.server import EmbeddedAws

REPLACED: list[tuple[type | types.ModuleType, str]] = [
    (CodeBuildResponse, "start_build"),
    (ExecutionState, "_evaluate_with_timeout"),
    (LambdaFunction, "invoke"),
    (ServiceOperationRouter, "_get_router"),
    (StepFunctionResponse, "describe_execution"),
    (StepFunctionResponse, "redrive_execution"),
    (StringJSONata, "_eval_body"),
    (lambda_eval_utils, "boto_client_for"),
    (models, "Execution"),
    (parsing, "parse_and_create_resource"),
]


def test_stopping_restores_moto() -> None:
    before = [vars(owner).get(name) for owner, name in REPLACED]
    with EmbeddedAws():
        during = [vars(owner).get(name) for owner, name in REPLACED]
        assert default_user_config["stepfunctions"]["execute_state_machine"] is True
    assert all(replaced is not original for replaced, original in zip(during, before, strict=True))
    assert [vars(owner).get(name) for owner, name in REPLACED] == before
    assert default_user_config["stepfunctions"]["execute_state_machine"] is False


def test_stacked_replacements_are_undone_in_order() -> None:
    class Subject:
        there = 1

    changes = Replacements()
    changes.set(Subject, "there", 2)
    changes.set(Subject, "there", 3)
    changes.set(Subject, "new", 4)
    assert (Subject.there, vars(Subject)["new"]) == (3, 4)
    changes.restore()
    assert Subject.there == 1
    assert "new" not in vars(Subject)


def test_foreign_replacement_is_undone_and_reported() -> None:
    class Subject:
        there = 1

    first, second = Replacements(), Replacements()
    first.set(Subject, "there", 2)
    second.set(Subject, "there", 3)
    with pytest.raises(ReplacedSince, match=r"Subject\.there"):
        first.restore()
    assert Subject.there == 1


def test_unsupported_moto_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacements, "moto_version", "6.0.1")
    with pytest.raises(UnsupportedMoto, match=r"(?s)needs moto 5\.2, but 6\.0\.1 is installed.*pip install"):
        Replacements()
