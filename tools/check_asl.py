"""`python -m tools.check_asl FILE…`: is this a workflow that Step Functions would accept, and can it end?

The shape of the states is checked by cfn-lint's own schema of the Amazon States Language (E3601), which it does not
apply to a definition with substitutions in a template. What a schema cannot say is added here: transitions lead
somewhere, every state is reached and can come to an end, States.ALL stands alone and last, every JSONata expression
compiles.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cfnlint.api import lint
from jsonata import Jsonata
from jsonata.jexception import JException

from infra.definition import Definition, load_definition
from infra.errors import SynthError

State = dict[str, Any]


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
    """Every problem, one sentence each; none for a sound definition."""
    return [
        *check_shape(definition),
        *check_transitions(definition.document),
        *check_error_names(definition.document),
        *check_expressions(definition.document),
    ]


def check_shape(definition: Definition) -> Iterator[str]:
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/any", "Definition": definition.document}
    if definition.placeholders:
        properties["DefinitionSubstitutions"] = dict.fromkeys(definition.placeholders, "any")
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    template = {"Resources": {"StateMachine": machine}}
    for match in lint(json.dumps(template), None, ["us-east-1"]):
        where = "/".join(str(part) for part in list(match.path or [])[4:])
        yield f"{where or 'top level'}: {match.message}"


def check_transitions(document: State) -> Iterator[str]:
    """The definition is one flat machine: Parallel and Map hold machines of their own, and ours use neither."""
    states: dict[str, State] = document.get("States", {})
    following = {name: set(_targets(state)) for name, state in states.items()}
    start = str(document.get("StartAt"))
    for name, targets in following.items():
        for target in sorted(targets - states.keys()):
            yield f"{name} leads to {target}, which does not exist"
    for name in sorted(states.keys() - _reached({start} & states.keys(), following)):
        yield f"{name} is never reached from {start}"
    leading: dict[str, set[str]] = {name: set() for name in states}
    for name, targets in following.items():
        for target in targets & states.keys():
            leading[target].add(name)
    ends = {name for name, state in states.items() if state.get("End") or state["Type"] in ("Succeed", "Fail")}
    for name in sorted(states.keys() - _reached(ends, leading)):
        yield f"from {name} the machine can never come to an end"


def check_error_names(document: State) -> Iterator[str]:
    for name, state in document.get("States", {}).items():
        for field in ("Retry", "Catch"):
            rules = state.get(field, [])
            for position, rule in enumerate(rules, start=1):
                errors = rule.get("ErrorEquals", [])
                if "States.ALL" in errors and (len(errors) > 1 or position < len(rules)):
                    yield f"{name}: States.ALL must stand alone, in the last rule of {field}"


def check_expressions(document: State) -> Iterator[str]:
    for path, text in _strings(document, ""):
        if text.startswith("{%") and text.endswith("%}"):
            try:
                Jsonata(text[2:-2].strip())
            except JException as error:
                yield f"{path}: {error}"


def _targets(state: State) -> Iterator[str]:
    for field in ("Next", "Default"):
        if field in state:
            yield state[field]
    for field in ("Choices", "Catch"):
        for rule in state.get(field, []):
            if "Next" in rule:
                yield rule["Next"]


def _reached(from_states: set[str], edges: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(from_states)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(edges[name] & edges.keys())
    return reached


def _strings(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, f"{path}/{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _strings(inner, f"{path}/{index}")


if __name__ == "__main__":
    raise SystemExit(main())
