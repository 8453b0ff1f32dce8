"""The JSON form of the values that the states and the parts of the worker pass to each other."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, Self


class Document:
    """A frozen dataclass with a JSON form in camelCase. Reading ignores unknown keys."""

    def to_dict(self) -> dict[str, Any]:
        values: dict[str, Any] = asdict(self)  # type: ignore[call-overload]  # every subclass is a dataclass
        for key in values:
            if isinstance(part := getattr(self, key), Document):
                values[key] = part.to_dict()
        return {camel_case(key): value for key, value in values.items()}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        names = {camel_case(f.name): f.name for f in fields(cls)}  # type: ignore[arg-type]  # every subclass is a dataclass
        return cls(**{names[key]: value for key, value in document.items() if key in names})


def camel_case(name: str) -> str:
    """``name`` in camel case: ``taskCount`` for ``task_count``."""
    # pydantic's to_camel does the same, but not every function that imports this module loads pydantic.
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
