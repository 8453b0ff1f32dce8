"""The mutants of a state machine's definition."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from tools.mutants.python_mutants import Mutant

if TYPE_CHECKING:
    from collections.abc import Iterator


def mutants_of(file: str, source: bytes) -> Iterator[Mutant]:
    """Yield every mutant of the definition: a dropped retrier, catcher or rule, another number, another next state."""
    document: dict[str, Any] = json.loads(source)
    for description, changed in _variants(document):
        yield Mutant(file, 0, 0, len(source), json.dumps(changed, indent=2), description)


def _variants(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    names = list(document["States"])
    for name in names:
        for field in ("Retry", "Catch", "Choices"):
            for index, rule in enumerate(document["States"][name].get(field, [])):
                yield f"{name}: {field}[{index}] dropped", _without(document, name, field, index)
                for error in rule.get("ErrorEquals", []):
                    if len(rule["ErrorEquals"]) > 1:
                        changed = copy.deepcopy(document)
                        changed["States"][name][field][index]["ErrorEquals"].remove(error)
                        yield f"{name}: {field}[{index}] without {error}", changed
                for key in ("MaxAttempts", "IntervalSeconds"):
                    if key in rule:
                        changed = copy.deepcopy(document)
                        changed["States"][name][field][index][key] += 1
                        yield f"{name}: {field}[{index}].{key} + 1", changed
                if "Next" in rule:
                    changed = copy.deepcopy(document)
                    changed["States"][name][field][index]["Next"] = names[(names.index(rule["Next"]) + 1) % len(names)]
                    yield f"{name}: {field}[{index}] leads elsewhere", changed
        if "Next" in document["States"][name]:
            changed = copy.deepcopy(document)
            following = names[(names.index(document["States"][name]["Next"]) + 1) % len(names)]
            changed["States"][name]["Next"] = following
            yield f"{name} leads to {following}", changed


def _without(document: dict[str, Any], name: str, field: str, index: int) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    del changed["States"][name][field][index]
    if not changed["States"][name][field]:
        del changed["States"][name][field]
    return changed
