"""Which errors a Retry or a Catch takes, where moto is more generous than AWS."""

from __future__ import annotations

from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.eval.environment import Environment

from kiro_local.aws.replacements import Replacements

#: Documented: ``States.ALL`` catches neither of them.
TERMINAL = ("States.DataLimitExceeded", "States.Runtime")


def install(replacements: Replacements) -> None:
    """Replaces ``ErrorEqualsDecl._eval_body``: in moto ``States.ALL`` takes what AWS says it does not, and
    ``States.TaskFailed`` only errors of one's own, where AWS takes every error but ``States.Timeout``.
    """
    replacements.set(ErrorEqualsDecl, "_eval_body", _matches_on_stack)


def matches(error: str | None, error_equals: list[str]) -> bool:
    if error in error_equals:
        return error != "States.Runtime"  # no catcher ever sees it, named or not
    if error in TERMINAL:
        return False
    if "States.ALL" in error_equals:
        return True
    return "States.TaskFailed" in error_equals and error != "States.Timeout"


def _matches_on_stack(self: ErrorEqualsDecl, env: Environment) -> None:
    error = env.stack.pop()
    name = error.error_name if error is not None else None
    env.stack.append(matches(name, [each.error_name for each in self.error_names]))
