from __future__ import annotations

import pytest
from pydantic import BaseModel

from kiro_worker.config.model import Configuration
from tools.configuration_schema import MODELS
from tools.field_descriptions import DescriptionMissing, described, descriptions


class Described(BaseModel):
    """Not the text of a field."""

    one: int = 1
    """of two
    lines"""
    two: tuple[
        str,
        ...,
    ] = ()
    """of two"""
    three: str = ""

    @property
    def four(self) -> str:
        """Not the text of a field."""
        return ""


def test_description_is_docstring_below_field() -> None:
    assert descriptions(Described) == {"one": "of two lines", "two": "of two"}


def test_field_without_docstring_is_named() -> None:
    with pytest.raises(DescriptionMissing, match=r"Described\.three .* write a docstring below the field"):
        described(Described)


@pytest.mark.parametrize("model", [Configuration, *MODELS])
def test_every_configuration_key_is_described(model: type[BaseModel]) -> None:
    assert described(model).keys() == model.model_fields.keys()
