"""``python -m tools.compare_asl OLD NEW``: report where two definitions of a state machine behave differently.

Comments, the order of states, and whether several errors share a retrier or catcher make no difference. Retriers and
catchers are compared per error, in the order in which Step Functions tries them. ``--renamed OLD=NEW`` reads a name in
the old definition as the new name. The exit code is 1 if the definitions differ.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Document = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--renamed", action="append", default=[], metavar="OLD=NEW")
    options = parser.parse_args(arguments)
    old, new = options.old.read_text("utf-8"), options.new.read_text("utf-8")
    for renaming in options.renamed:
        old_name, _, new_name = renaming.partition("=")
        old = old.replace(old_name, new_name)
    found = list(differences(json.loads(old), json.loads(new)))
    for difference in found:
        print(difference)
    return 1 if found else 0


def differences(old: Document, new: Document) -> Iterator[str]:
    """Return one line per value that differs, with its path."""
    return _compare(normalized(old), normalized(new), "")


def normalized(document: Document) -> Document:
    """Return the definition without comments, with one retrier and one catcher per error."""
    states = {name: _state(state) for name, state in document.get("States", {}).items()}
    return {**_uncommented(document), "States": states}


def _state(state: Document) -> Document:
    result = _uncommented(state)
    for field in ("Retry", "Catch"):
        if field in state:
            result[field] = [
                {**_uncommented(rule), "ErrorEquals": [error]} for rule in state[field] for error in rule["ErrorEquals"]
            ]
    if "Choices" in state:
        result["Choices"] = [_uncommented(rule) for rule in state["Choices"]]
    return result


def _uncommented(part: Document) -> Document:
    return {key: value for key, value in part.items() if key != "Comment"}


def _compare(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if key not in new:
                yield f"{path}/{key}: only in the old definition"
            elif key not in old:
                yield f"{path}/{key}: only in the new definition"
            else:
                yield from _compare(old[key], new[key], f"{path}/{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for position, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _compare(one, other, f"{path}/{position}")
    elif old != new or type(old) is not type(new):
        yield f"{path}: {json.dumps(old)} became {json.dumps(new)}"


if __name__ == "__main__":
    raise SystemExit(main())
