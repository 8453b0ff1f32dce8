from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from kiro_local.aws.jsonata import JSONataFailure, check_syntax, evaluate

TRICKY = "quotes \" and ' newlines \n\t backslash \\ dollars $x $states {% $y %} emoji 😀 null \u0000 line \u2028"


def value(expression: str, document: Any = None) -> Any:
    return evaluate(expression, {"states": {"input": document, "context": {"Execution": {"RedriveCount": 0}}}})


def test_input_value_is_read() -> None:
    assert value("{% $states.input.a.b %}", {"a": {"b": 1}}) == 1


def test_delimiters_are_optional() -> None:
    assert value("$states.context.Execution.RedriveCount") == 0


def test_input_text_is_never_evaluated() -> None:
    assert value("{% $states.input.text %}", {"text": TRICKY}) == TRICKY
    assert value("{% {'copy': $states.input, 'again': $states.input.text & '!'} %}", {"text": TRICKY}) == {
        "copy": {"text": TRICKY},
        "again": TRICKY + "!",
    }


def test_undefined_is_an_error_but_null_is_not() -> None:
    with pytest.raises(JSONataFailure, match="returned nothing"):
        value("{% $states.input.missing %}", {})
    assert value("{% $states.input.there %}", {"there": None}) is None
    assert value("{% $states.input.there = null %}", {"there": None}) is True
    assert value("{% {'kept': $states.input.there, 'dropped': $states.input.missing} %}", {"there": None}) == {
        "kept": None
    }


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$states.input.one", [1]),
        ("$states.input.none", []),
        ("$append($states.input.one, 2)", [1, 2]),
        ("[$states.input.objects[name='a']]", [{"name": "a"}]),
        ("$states.input.objects[name='a']", {"name": "a"}),
        ("$states.input.objects[name='a'][]", [{"name": "a"}]),
        ("$states.input.objects.name", ["a", "b"]),
        ("$map([1..3], function($v) { $v * 2 })", [2, 4, 6]),
        ("[1..3]", [1, 2, 3]),
        ("{'r': [1..2]}", {"r": [1, 2]}),
        ("4 / 2", 2),
        ("10 / 4", 2.5),
        ("$states.input.fraction", 2),
    ],
)
def test_arrays_and_numbers(expression: str, expected: Any) -> None:
    document = {"one": [1], "none": [], "objects": [{"name": "a"}, {"name": "b"}], "fraction": 2.0}
    result = value(expression, document)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$parse('{\"a\": [1, null]}')", {"a": [1, None]}),
        ("$partition([1..5], 2)", [[1, 2], [3, 4], [5]]),
        ("$partition([1, 2], 4)", [[1, 2]]),
        ("$range(1, 9, 2)", [1, 3, 5, 7, 9]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$range(3, 1, 1)", []),
        ("$hash('a', 'MD5')", "0cc175b9c0f1b6a831c399e269772661"),
        ("$hash('a', 'SHA-1')", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
        ("$hash('a', 'SHA-256')", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("$random(7) = $random(7)", True),
        ("$random() < 1", True),
        ("$uuid() = $uuid()", False),
    ],
)
def test_functions_added_by_aws(expression: str, expected: Any) -> None:
    assert value(expression) == expected


def test_uuid_is_version_4() -> None:
    assert uuid.UUID(value("$uuid()")).version == 4


@pytest.mark.parametrize(
    "expression",
    [
        "$parse('{')",
        "$hash('a', 'CRC')",
        "$range(1, 5000, 1)",
        "$partition([1], 0)",
        "'a' + 1",
        "$sum",
        "$eval('1 + 1')",
        "$error('x')",
        "$nosuch(1)",
        "1 / 0",
        "function($x) { $x }",
        "{'f': function($x) { $x }}",
        "(",
    ],
)
def test_evaluation_failure_is_one_error(expression: str) -> None:
    with pytest.raises(JSONataFailure):
        value(expression)


def test_syntax_check_does_not_evaluate() -> None:
    check_syntax("{% $states.input.missing.entirely %}")
    with pytest.raises(JSONataFailure):
        check_syntax("{% $states.input. %}")


def test_result_is_a_copy() -> None:
    document = {"list": [{"a": 1}]}
    value("{% $states.input.list %}", document)[0]["a"] = 2
    assert document == {"list": [{"a": 1}]}


def test_large_document_is_fast() -> None:
    document = {"items": [{"id": index, "name": "x" * 170} for index in range(1000)]}
    started = time.perf_counter()
    assert value("{% $count($states.input.items) %}", document) == 1000
    assert value("{% $states.input.items[id = 500].id %}", document) == 500
    assert len(value("{% $merge([$states.input, {'k': 1}]) %}", document)["items"]) == 1000
    assert time.perf_counter() - started < 1
