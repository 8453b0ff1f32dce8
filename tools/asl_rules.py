"""Rules for state machine definitions that no schema can express.

Every transition leads to a state, every state is reachable and can reach an end, States.ALL stands alone and last,
and every JSONata expression compiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonata import Jsonata
from jsonata.jexception import JException

State = dict[str, Any]


def problems(document: State) -> list[str]:
    """Return one sentence per problem."""
    return [*_transitions(document), *_error_names(document), *_expressions(document)]


def _transitions(document: State) -> Iterator[str]:
    """Yield the problems of the graph, which is flat: these definitions use neither Parallel nor Map."""
    states: dict[str, State] = document.get("States", {})
    start = str(document.get("StartAt"))
    successors = {name: set(_targets(state)) for name, state in states.items()}
    for name, targets in successors.items():
        for target in sorted(targets - states.keys()):
            yield f"{name} leads to {target}, which does not exist"
    for name in sorted(states.keys() - _reached({start} & states.keys(), successors)):
        yield f"{name} is never reached from {start}"
    predecessors: dict[str, set[str]] = {name: set() for name in states}
    for name, targets in successors.items():
        for target in targets & states.keys():
            predecessors[target].add(name)
    ends = {name for name, state in states.items() if state.get("End") or state["Type"] in ("Succeed", "Fail")}
    for name in sorted(states.keys() - _reached(ends, predecessors)):
        yield f"{name} can never reach an end of the state machine"


def _error_names(document: State) -> Iterator[str]:
    for name, state in document.get("States", {}).items():
        for field in ("Retry", "Catch"):
            rules = state.get(field, [])
            for position, rule in enumerate(rules, start=1):
                errors = rule.get("ErrorEquals", [])
                if "States.ALL" in errors and (len(errors) > 1 or position < len(rules)):
                    yield f"{name}: States.ALL must stand alone, in the last rule of {field}"


def _expressions(document: State) -> Iterator[str]:
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
