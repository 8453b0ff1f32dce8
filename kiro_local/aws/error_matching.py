"""Which errors a Retry or a Catch matches, and which names an error may have, where moto differs from AWS."""

from __future__ import annotations

from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.eval.environment import Environment

from kiro_local.aws.replacements import Replacements

#: AWS documents that ``States.ALL`` matches neither of these.
TERMINAL = ("States.DataLimitExceeded", "States.Runtime")


def install(replacements: Replacements) -> None:
    """Replaces ``ErrorEqualsDecl._eval_body``: moto's ``States.ALL`` matches errors that AWS excludes, and its
    ``States.TaskFailed`` matches only custom errors, while AWS matches every error except ``States.Timeout``. Replaces
    ``CustomErrorName.__init__``: a function or a build may fail with ``States.TaskFailed``, a name that moto rejects.
    """
    replacements.set(ErrorEqualsDecl, "_eval_body", _matches_on_stack)
    replacements.set(CustomErrorName, "__init__", ErrorName.__init__)


def matches(error: str | None, error_equals: list[str]) -> bool:
    """Whether a Retry or a Catch with this ``ErrorEquals`` matches ``error``."""
    if error in error_equals:
        return error != "States.Runtime"  # reaches no Catch, not even one that names it
    if error in TERMINAL:
        return False
    if "States.ALL" in error_equals:
        return True
    return "States.TaskFailed" in error_equals and error != "States.Timeout"


def _matches_on_stack(self: ErrorEqualsDecl, env: Environment) -> None:
    error = env.stack.pop()
    name = error.error_name if error is not None else None
    env.stack.append(matches(name, [each.error_name for each in self.error_names]))
