"""``python -m tools.check_asl FILE…``: report what Step Functions would reject in state machine definitions.

cfn-lint's schema of the Amazon States Language (E3601) checks the shape of the states. It knows no expression as a
Task's timeout, which JSONata allows (https://states-language.net/spec.html#jsonata-task-state), so an expression is
replaced by a number here, and `make check` skips the rule for templates. :mod:`tools.asl_rules` checks the rest.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from cfnlint.api import lint

from infra.definition import Definition, load_definition
from infra.errors import SynthError
from tools import asl_rules

_EXPRESSION = re.compile(r"\{%.+%\}", re.DOTALL)


def main(arguments: list[str] | None = None) -> int:
    problems = []
    for name in sys.argv[1:] if arguments is None else arguments:
        try:
            problems += [f"{name}: {problem}" for problem in check(load_definition(Path(name)))]
        except SynthError as error:
            problems.append(str(error))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def check(definition: Definition) -> list[str]:
    """Return one sentence per problem."""
    return [*_shape(definition), *asl_rules.problems(definition.document)]


def _shape(definition: Definition) -> Iterator[str]:
    document = copy.deepcopy(definition.document)
    for state in document.get("States", {}).values():
        if isinstance(state, dict) and _EXPRESSION.fullmatch(str(state.get("TimeoutSeconds"))):
            state["TimeoutSeconds"] = 1
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/any", "Definition": document}
    if definition.placeholders:
        properties["DefinitionSubstitutions"] = dict.fromkeys(definition.placeholders, "any")
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    template = {"Resources": {"StateMachine": machine}}
    for match in lint(json.dumps(template), None, ["us-east-1"]):
        location = "/".join(str(part) for part in list(match.path or [])[4:])
        yield f"{location or 'top level'}: {match.message}"


if __name__ == "__main__":
    raise SystemExit(main())
