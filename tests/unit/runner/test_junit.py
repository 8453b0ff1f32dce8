"""Reports as pytest, Surefire and jest-junit write them, and hostile ones."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.runner.gate.baseline import names_of
from kiro_worker.runner.gate.cases import Identity
from kiro_worker.runner.gate.junit import JUnitTotals, read_suites, results_of, total_of
from kiro_worker.runner.gate.report_files import Unreadable
from tests.support.mutated_bytes import mutations

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1"
failures="1" skipped="1" tests="4" time="0.046" timestamp="2026-01-01T00:00:00" hostname="x"><testcase
classname="test_a"
name="test_one" time="0.001" /><testcase classname="test_a" name="test_two" time="0.001"><failure message="assert 1
== 2">
def</failure></testcase><testcase classname="test_a" name="test_three" time="0"><skipped type="pytest.skip"
message="no"/>
</testcase><testcase classname="test_a" name="test_four" time="0"><error message="failed on setup">E</error></testcase>
</testsuite></testsuites>"""
SUREFIRE = b"""<?xml version="1.0" encoding="UTF-8"?><testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
name="com.example.ShopTest" time="0.03" tests="2" errors="0" skipped="0" failures="0"><properties><property name="a"
value="b"/></properties><testcase name="adds" classname="com.example.ShopTest" time="0.01"/><testcase name="subtracts"
classname="com.example.ShopTest" time="0.01"><system-out><![CDATA[hello]]></system-out></testcase></testsuite>"""
JEST = b"""<?xml version="1.0" encoding="UTF-8"?><testsuites name="jest tests" tests="1" failures="1" errors="0"
time="1">
<testsuite name="shop" errors="0" failures="1" skipped="0" tests="1"><testcase classname=" shop adds" name=" shop adds">
<failure>Error: expect(received).toBe(expected)</failure></testcase></testsuite></testsuites>"""
NESTED = b"""<testsuites><testsuite name="a"><testcase name="1"/><testsuite name="b"><testcase name="2"/><testsuite
name="c"><testcase name="3"><failure/></testcase></testsuite></testsuite></testsuite></testsuites>"""
LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;">
<!ENTITY lol3 "&lol2;&lol2;&lol2;&lol2;">]><testsuite name="&lol3;"><testcase name="n"/></testsuite>"""
OUTSIDE = b"""<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&x;"/></testsuite>"""


def totals(*documents: bytes) -> JUnitTotals:
    return total_of([read_suites(document) for document in documents])


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (PYTEST, JUnitTotals(4, 1, 1, 1, ("test_a.test_two", "test_a.test_four"))),
        (SUREFIRE, JUnitTotals(2)),
        (JEST, JUnitTotals(1, 1, 0, 0, (" shop adds. shop adds",))),
        (NESTED, JUnitTotals(3, 1, 0, 0, ("3",))),
        (b"<testsuites/>", JUnitTotals()),
    ],
)
def test_totals_of_real_reports(document: bytes, expected: JUnitTotals) -> None:
    assert totals(document) == expected


SPLIT = (
    b'<testsuite name="x"><testcase classname="test_a" name="test_one"/></testsuite>',
    b'<testsuite name="y"><testcase classname="test_a" name="test_two"><failure/></testcase></testsuite>',
)
TOGETHER = (
    b'<testsuites><testsuite name="x" time="9"><testcase classname="test_a" name="test_two"><failure/></testcase>'
    b'<testcase classname="test_a" name="test_one" time="3"/></testsuite></testsuites>'
)


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ((SUREFIRE, SUREFIRE.replace(b'time="0.01"', b'time="0.02"')), 2),
        ((PYTEST, SUREFIRE), 6),
        ((b"<testsuites>" + SPLIT[0] + SPLIT[1] + b"</testsuites>", *SPLIT), 2),
        ((b"<testsuites>" + SPLIT[0] + SPLIT[1] + b"</testsuites>", TOGETHER), 2),
        ((b"<testsuites>" + SPLIT[0] * 2 + b"</testsuites>",), 2),
        ((SPLIT[1], SPLIT[1].replace(b"<failure/>", b"")), 2),
        ((*SPLIT, TOGETHER), 2),
        ((TOGETHER, *SPLIT), 2),
        ((*SPLIT, b"<testsuites><testsuite name='all'>" + SPLIT[0] + SPLIT[1] + b"</testsuite></testsuites>"), 2),
        ((b"<testsuites>" + SPLIT[0] * 3 + b"</testsuites>", SPLIT[0]), 3),
        ((b'<testsuite tests="3"/>', b'<testsuite tests="3"/>'), 6),
    ],
)
def test_suite_in_two_documents_counts_once(documents: tuple[bytes, ...], expected: int) -> None:
    assert totals(*documents).tests == expected


def test_larger_failure_count_is_believed() -> None:
    assert totals(b'<testsuite tests="9" failures="2"><testcase name="n"/></testsuite>').failed == 2
    assert totals(b'<testsuite tests="0" failures="0"><testcase name="n"><failure/></testcase></testsuite>').failed


def test_larger_failure_count_of_the_document_is_believed() -> None:
    """As in a report whose last suite was cut off."""
    suite = b'<testsuite tests="1"><testcase name="n"/></testsuite>'

    assert totals(b'<testsuites failures="1" errors="1">' + suite + b"</testsuites>").failed == 2
    shown = suite.replace(b"/></", b"><error/></testcase></")
    assert totals(b'<testsuites failures="1">' + shown + b"</testsuites>").failed == 1
    assert totals(b'<testsuites failures="x">' + suite + b"</testsuites>") == JUnitTotals(1)


@pytest.mark.parametrize(
    "suite",
    [
        # ctest --output-junit, GoogleTest, and a suite without cases
        b'<testsuite tests="1" disabled="1"><testcase name="c" status="disabled"><system-out/></testcase></testsuite>',
        b'<testsuite tests="1" disabled="1"><testcase name="c" status="notrun" result="suppressed"/></testsuite>',
        b'<testsuite tests="2" skipped="1" disabled="1"/>',
    ],
)
def test_disabled_tests_did_not_run(suite: bytes) -> None:
    assert (totals(suite).tests > 0, totals(suite).executed) == (True, 0)


def test_claimed_skips_hide_no_test() -> None:
    assert totals(b'<testsuite tests="1" skipped="1"><testcase name="n"/></testsuite>').executed == 1


@pytest.mark.parametrize(
    "document",
    [LAUGHS, OUTSIDE, b"", b"not xml", b"<html/>", b"<testsuite>", b"<?xml version='1.0' encoding='klingon'?><a/>"],
)
def test_invalid_documents_are_rejected(document: bytes) -> None:
    with pytest.raises(Unreadable):
        totals(document)


def test_deep_documents_are_rejected_quickly() -> None:
    start = time.process_time()
    with pytest.raises(Unreadable):
        totals(b"<testsuite>" * 100_000 + b"</testsuite>" * 100_000)
    assert totals(b'<testsuite tests="' + b"9" * 5000 + b'" failures="-1"/>') == JUnitTotals()
    assert time.process_time() - start < 5


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_handled(content: bytes) -> None:
    for document in (content, b"<testsuite>" + content + b"</testsuite>"):
        with suppress(Unreadable):
            totals(document)


@given(mutations(PYTEST, SUREFIRE, JEST, NESTED))
def test_mutated_reports_are_handled(document: bytes) -> None:
    with suppress(Unreadable):
        total = totals(document)
        assert 0 <= total.executed <= total.tests
        str(total)


CASES = b"""<testsuites>
<testsuite name="pytest" tests="4" failures="2" errors="1">
<testcase classname="" name="tests.test_b"><error message="collection failure">ImportError: no</error></testcase>
<testcase classname="tests.test_a.TestX" name="test_p[a::b]"><failure message="m">E   assert 1</failure></testcase>
<testcase classname="tests.test_a" name="test_twice"/>
<testcase classname="tests.test_a" name="test_twice"><failure message="only a message"/></testcase>
</testsuite>
<testsuite name="mocha" file="/src/cart.test.js"><testcase classname="cart" name="adds"/></testsuite>
<testsuite name="phpunit"><testsuite name="Shop"><testcase file="tests/ShopTest.php" classname="ShopTest" name="t"/>
</testsuite></testsuite></testsuites>"""


def test_each_case_has_its_identity_and_result() -> None:
    results = results_of([read_suites(CASES)])

    assert {str(each) for each in results.failing} == {
        "tests.test_b",
        "tests.test_a.TestX.test_p[a::b]",
        "tests.test_a.test_twice",
    }
    twice = Identity("", "tests.test_a", "test_twice")
    assert (results.failures(twice), results.always_failed(twice), results.passed(twice)) == (1, False, False)
    assert results.texts[twice] == "only a message"
    assert results.texts[Identity("", "tests.test_a.TestX", "test_p[a::b]")] == "E   assert 1"
    assert Identity("/src/cart.test.js", "cart", "adds") in results.results
    assert results.passed(Identity("tests/ShopTest.php", "ShopTest", "t"))
    assert results.unnamed_failures == 0


def test_case_in_two_reports_counts_once() -> None:
    assert results_of([read_suites(CASES)] * 2).number_of_failures == 3


def test_failures_without_a_case_are_counted() -> None:
    claimed = CASES.replace(b'failures="2"', b'failures="5"')

    assert results_of([read_suites(claimed)]).unnamed_failures == 3


@given(mutations(CASES))
def test_mutated_cases_are_handled(report: bytes) -> None:
    with suppress(Unreadable):
        results = results_of([read_suites(report)])
        assert all(results.failures(each) for each in results.failing)
        assert all(names_of(results.results))
