"""JSONata as Step Functions evaluates it: with AWS's functions, its rule for `undefined`, and values that are bound as
variables, never inserted as text.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from jsonata.jexception import JException
from jsonata.jsonata import Jsonata
from jsonata.utils import Utils
from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.component.state.choice.comparison.comparison import ConditionStringJSONata
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from kiro_local.aws.replacements import Replacements

_HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_LARGEST_RANGE = 1000
_ORIGINAL_CONSTRUCTOR = StringJSONata.__init__


class JSONataFailure(Exception):
    """The expression cannot be evaluated, or returns nothing; in Step Functions a ``States.QueryEvaluationError``."""


def evaluate(expression: str, bindings: Mapping[str, Any]) -> Any:
    """The JSON value of an expression, with or without its ``{% %}``.

    ``bindings`` are the variables by name: ``{"states": {"input": …}}``.

    Raises JSONataFailure where AWS raises States.QueryEvaluationError.
    """
    text = without_delimiters(expression)
    try:
        program = Jsonata(text)
        program.set_output_convert_nulls(False)  # distinguishes `null` (a value) from `undefined` (a failure)
        # The last binding of a name wins, because a variable of the workflow may have the name of a function.
        value = program.evaluate(None, {**_functions(), **bindings})
    except (JException, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as failure:
        raise JSONataFailure(
            f"The JSONata expression '{text}' threw an error during evaluation. {failure}"
        ) from failure
    if value is None:
        raise JSONataFailure(f"The JSONata expression '{text}' returned nothing (undefined).")
    return _to_json(value, text)


def check_syntax(expression: str) -> None:
    """Raise JSONataFailure if the expression does not parse."""
    text = without_delimiters(expression)
    try:
        Jsonata(text)
    except JException as failure:
        raise JSONataFailure(f"The JSONata expression '{text}' does not parse. {failure}") from failure


def without_delimiters(expression: str) -> str:
    """The expression without its ``{% %}``, if it has them."""
    stripped = expression.strip()
    if stripped.startswith("{%") and stripped.endswith("%}"):
        return stripped[2:-2].strip()
    return expression


def install(replacements: Replacements) -> None:
    """Replaces

    - ``StringJSONata.__init__``: AWS rejects a definition whose expressions do not parse,
    - ``StringJSONata._eval_body``: moto writes the whole states document as text in front of the expression, where a
      quote in a value breaks it, and needs a JVM,
    - ``ConditionStringJSONata._eval_body``: a condition that is not a boolean is a States.QueryEvaluationError on AWS.
    """
    replacements.set(StringJSONata, "__init__", _check_and_construct)
    replacements.set(StringJSONata, "_eval_body", _evaluate_string)
    replacements.set(ConditionStringJSONata, "_eval_body", _evaluate_condition)


def _check_and_construct(self: StringJSONata, expression: str) -> None:
    check_syntax(expression)
    _ORIGINAL_CONSTRUCTOR(self, expression)


def _evaluate_string(self: StringJSONata, env: Environment) -> None:
    variables = env.variable_store
    bindings = {**variables._outer_scope, **variables._inner_scope, "states": _present(env.states._states_data)}
    try:
        env.stack.append(evaluate(self.expression, bindings))
    except JSONataFailure as failure:
        raise _query_evaluation_error(env, str(failure)) from failure


def _evaluate_condition(self: ConditionStringJSONata, env: Environment) -> None:
    self.string_jsonata.eval(env=env)
    if not isinstance(env.stack[-1], bool):
        raise _query_evaluation_error(
            env,
            f"The JSONata expression '{self.string_jsonata.expression}' specified for the field 'Condition' "
            "returned a value that is not a boolean.",
        )


def _present(states: Mapping[str, Any]) -> dict[str, Any]:
    # A missing `result` or `errorOutput` is absent, not null, although moto stores None for it.
    return {k: v for k, v in states.items() if v is not None or k in ("input", "context")}


def _query_evaluation_error(env: Environment, cause: str) -> FailureEventException:
    error_name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = EvaluationFailedEventDetails(error=error_name.error_name, cause=cause, state=env.next_state_name or "")
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=error_name,
            event_type=HistoryEventType.EvaluationFailed,
            event_details=EventDetails(evaluationFailedEventDetails=details),
        )
    )


def _to_json(value: Any, expression: str) -> Any:
    """A copy as plain JSON values. Numbers without a fraction become integers, as in JavaScript."""
    if value is None or value is Utils.NULL_VALUE:
        return None
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise JSONataFailure(f"The JSONata expression '{expression}' returned a number out of range.")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, Mapping):
        return {str(key): _to_json(item, expression) for key, item in value.items()}
    if isinstance(value, Sequence):
        # By index, because iterating over a range of this library yields one item fewer than it holds.
        return [_to_json(value[index], expression) for index in range(len(value))]
    raise JSONataFailure(f"The JSONata expression '{expression}' returned an unsupported result type.")


def _functions() -> dict[str, Any]:
    """The functions that AWS adds. AWS has no ``$eval``; ``$parse`` replaces it."""
    return {
        "parse": Jsonata.JLambda(_parse),
        "partition": Jsonata.JLambda(_partition),
        "range": Jsonata.JLambda(_range),
        "hash": Jsonata.JLambda(_hash),
        "random": Jsonata.JLambda(_random),
        "uuid": Jsonata.JLambda(lambda: str(uuid.uuid4())),
        "eval": None,
    }


def _parse(text: Any = None) -> Any:
    if text is None:
        return None
    if not isinstance(text, str):
        raise JSONataFailure("$parse: the argument must be a string.")
    parsed = json.loads(text)
    return Utils.NULL_VALUE if parsed is None else parsed


def _partition(items: Any = None, size: Any = None) -> Any:
    if items is None:
        return None
    if not isinstance(size, int | float) or isinstance(size, bool) or size < 1:
        raise JSONataFailure("$partition: the second argument must be a positive number.")
    items, step = (items if isinstance(items, list) else [items]), int(size)
    return [[items[i] for i in range(at, min(at + step, len(items)))] for at in range(0, len(items), step)]


def _range(first: Any = None, last: Any = None, step: Any = None) -> list[Any]:
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in (first, last, step)) or not step:
        raise JSONataFailure("$range: the arguments must be three numbers, and the step must not be 0.")
    count = max(0, math.floor((last - first) / step) + 1)
    if count > _LARGEST_RANGE:
        raise JSONataFailure(f"$range: at most {_LARGEST_RANGE} numbers.")
    return [first + index * step for index in range(count)]


def _hash(text: Any = None, algorithm: Any = None) -> Any:
    if text is None:
        return None
    if not isinstance(text, str):
        raise JSONataFailure("$hash: the first argument must be a string.")
    if algorithm not in _HASHES:
        raise JSONataFailure(f"$hash: the second argument must be one of {', '.join(_HASHES)}.")
    return hashlib.new(_HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def _random(seed: Any = None) -> float:
    return random.Random(seed).random() if seed is not None else random.random()  # noqa: S311
