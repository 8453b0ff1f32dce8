"""The descriptions of the configuration's keys: the docstrings below the fields of its models."""

from __future__ import annotations

import ast
import inspect

from pydantic import BaseModel


class DescriptionMissing(Exception):
    """A field has no docstring."""


def described(model: type[BaseModel]) -> dict[str, str]:
    """Return the description of every field of ``model``. Raises :class:`DescriptionMissing`."""
    found = descriptions(model)
    for name in model.model_fields:
        if name not in found:
            raise DescriptionMissing(
                f"{model.__name__}.{name} in {model.__module__} has no description."
                " How to fix: write a docstring below the field"
            )
    return found


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring below each field, in one line. Reads the source, because Python does not keep them."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if issubclass(one, BaseModel) and one is not BaseModel:
            found |= _own_descriptions(one)
    return found


def _own_descriptions(model: type[BaseModel]) -> dict[str, str]:
    [definition] = ast.parse(inspect.getsource(model)).body
    found: dict[str, str] = {}
    name = ""
    for statement in definition.body if isinstance(definition, ast.ClassDef) else ():
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)):
                continue
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = " ".join(text.split())
        name = ""
    return found
