"""A state machine's definition, and the checks that tie it to the rest of the template.

CDK reads neither the placeholders nor the timeout of a definition that it receives as text. A forgotten substitution
would fail only in the first execution, and a lease that is too short would free the lock while a build runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import SynthError

LEASE_MARGIN_SECONDS = 300

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Definition:
    name: str
    text: str
    document: dict[str, Any]

    @property
    def placeholders(self) -> frozenset[str]:
        return frozenset(_PLACEHOLDER.findall(self.text))

    @property
    def timeout_seconds(self) -> int:
        timeout = self.document.get("TimeoutSeconds")
        if not isinstance(timeout, int):
            raise SynthError(
                f"{self.name} has no TimeoutSeconds, so no lock lease can be long enough: add one to the definition."
            )
        return timeout


def with_timeout(definition: Definition, seconds: int) -> Definition:
    """Return the definition with another timeout of the whole execution. The rest of its text stays as it is."""
    line = f'\n  "TimeoutSeconds": {definition.timeout_seconds},\n'
    if definition.text.count(line) != 1:
        raise SynthError(
            f"{definition.name} must have its TimeoutSeconds on a line of its own, indented by two spaces."
        )
    text = definition.text.replace(line, f'\n  "TimeoutSeconds": {seconds},\n')
    return Definition(definition.name, text, json.loads(text))


def load_definition(path: Path) -> Definition:
    try:
        text = path.read_text(encoding="utf-8")
        return Definition(path.name, text, json.loads(text))
    except FileNotFoundError:
        raise SynthError(f"{path} is missing, but the stack deploys it: restore it from git.") from None
    except json.JSONDecodeError as error:
        raise SynthError(f"{path.name} is not valid JSON: {error}.") from None


def check_substitutions(definition: Definition, substitutions: Iterable[str]) -> None:
    given = frozenset(substitutions)
    missing, unused = definition.placeholders - given, given - definition.placeholders
    if missing:
        raise SynthError(f"{definition.name} uses {_dollar(missing)}, which the stack does not substitute.")
    if unused:
        raise SynthError(f"The stack substitutes {_dollar(unused)}, which {definition.name} does not use.")


def check_lease(definition: Definition, lease_seconds: int) -> None:
    """Raise :class:`SynthError` if a lock could expire before the state machine's timeout ends the execution."""
    needed = definition.timeout_seconds + LEASE_MARGIN_SECONDS
    if lease_seconds < needed:
        raise SynthError(
            f"The lock's lease is {lease_seconds} s, but {definition.name} may run for {definition.timeout_seconds} s:"
            f" set lockLeaseSeconds to {needed} or more (the timeout and {LEASE_MARGIN_SECONDS} s of margin)."
        )


def _dollar(names: Iterable[str]) -> str:
    return ", ".join(f"${{{name}}}" for name in sorted(names))
