from __future__ import annotations

import pytest
from pydantic import BaseModel

from kiro_worker.config.model import Configuration
from tools.configuration_reference import BEGIN, END, PAGE, descriptions, table, with_table


class Described(BaseModel):
    """Not a field's text."""

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
        """Not a field's text."""
        return ""


def test_the_page_is_current() -> None:
    page = PAGE.read_text("utf-8")

    assert with_table(page, table()) == page, "make reference"


def test_every_key_is_in_the_table_once() -> None:
    rows = table().splitlines()

    for field in Configuration.model_fields.values():
        assert sum(row.startswith(f"| `{field.alias}` |") for row in rows) == 1
    assert {row.count(" | ") for row in rows[2:]} == {3}


def test_a_description_is_the_text_below_the_field() -> None:
    assert descriptions(Described) == {"one": "of two lines", "two": "of two"}


def test_types_and_defaults_are_the_models() -> None:
    rows = table()

    assert "| `projectNumber` | integer from 1 | required |" in rows
    assert '| `lockScope` | `"environment"`, `"repository"`, `"branch"` | `"environment"` |' in rows
    assert "| `coverageThreshold` | number 0 to 100 or `null` | `80.0` |" in rows
    assert "| `agent.timeoutMinutes` | number above 0, at most 480 | `45` |" in rows


def test_a_page_without_a_place_is_an_error() -> None:
    with pytest.raises(SystemExit, match="no place"):
        with_table("# Configuration\n", "")
    assert with_table(f"a {BEGIN} {END} b", "x\n") == f"a {BEGIN}\nx\n{END} b"
