"""Reports as coverage.py, JaCoCo, Clover, lcov, Go and Istanbul write them."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiro_worker.runner.gate.coverage.diff import changed_lines, changed_lines_coverage
from kiro_worker.runner.gate.coverage.formats import as_cobertura, read_coverage
from kiro_worker.runner.gate.coverage.model import Ratio, merged
from kiro_worker.runner.gate.coverage.product import RecognisedTests
from kiro_worker.runner.gate.report_files import Unreadable
from tests.support.mutated_bytes import mutations

COBERTURA = b"""<?xml version="1.0" ?><!DOCTYPE coverage SYSTEM 'http://cobertura.sourceforge.net/xml/coverage-04.dtd'>
<coverage version="7.6" line-rate="0.6667" branch-rate="0.5"><sources><source>/srv/src</source></sources><packages>
<package name="."><classes><class name="a.py" filename="shop/a.py"><methods/><lines><line number="1" hits="1"/>
<line number="2" hits="1" branch="true" condition-coverage="50% (1/2)" missing-branches="3"/><line number="3" hits="0"/>
</lines></class></classes></package></packages></coverage>"""
JACOCO = b"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?><!DOCTYPE report PUBLIC "-//JACOCO//DTD Report
1.1//EN"
"report.dtd"><report name="shop"><sessioninfo id="x" start="1" dump="2"/><package name="com/example"><class
name="com/example/Shop" sourcefilename="Shop.java"><method name="m" desc="()V" line="3"><counter type="LINE" missed="9"
covered="9"/></method></class><sourcefile name="Shop.java"><line nr="3" mi="0" ci="2" mb="1" cb="1"/><line nr="4" mi="2"
ci="0" mb="0" cb="0"/><counter type="LINE" missed="1" covered="1"/></sourcefile></package></report>"""
CLOVER = b"""<?xml version="1.0" encoding="UTF-8"?><coverage generated="1" clover="3.2.0"><project timestamp="1"
name="All">
<metrics statements="3" coveredstatements="2"/><package name="shop"><file name="a.js" path="/srv/shop/a.js"><metrics/>
<line num="1" count="1" type="stmt"/><line num="2" count="4" type="cond" truecount="1" falsecount="0"/><line num="3"
count="0" type="stmt"/><line num="4" count="0" type="method"/></file></package></project></coverage>"""
LCOV = b"""TN:
SF:/srv/shop/a.js
FN:1,add
FNDA:1,add
DA:1,1
DA:2,4
DA:3,0
BRDA:2,0,0,4
BRDA:2,0,1,-
LF:3
LH:2
end_of_record
"""
GO = b"mode: set\nexample.com/shop/a.go:1.20,2.10 1 1\nexample.com/shop/a.go:3.1,3.9 1 0\n"
ISTANBUL = b"""{"total": {"lines": {"total": 3, "covered": 2, "skipped": 0, "pct": 66.67}, "statements": {"total": 3,
"covered": 2, "pct": 66.67}, "branches": {"total": 2, "covered": 1, "pct": 50}}}"""


@pytest.mark.parametrize(
    ("report", "kind", "lines", "branches"),
    [
        (COBERTURA, "cobertura", (2, 3), (1, 2)),
        (JACOCO, "jacoco", (1, 2), (1, 2)),
        (CLOVER, "clover", (2, 3), (1, 2)),
        (LCOV, "lcov", (2, 3), (1, 2)),
        (GO, "go", (2, 3), (0, 0)),
        (ISTANBUL, "istanbul", (2, 3), (1, 2)),
    ],
)
def test_each_format_is_read(report: bytes, kind: str, lines: tuple[int, int], branches: tuple[int, int]) -> None:
    coverage = read_coverage(report, "report")

    assert (coverage.format, coverage.lines, coverage.branches) == (kind, lines, branches)


@pytest.mark.parametrize(
    "report",
    [
        *(b"SF:a\nDA:1\n", b"SF:a\nDA:1,-1\n", b"SF:a\nDA:-1,1\n", b"SF:a\nBRDA:1,0,0\n", b"SF:a\nBRDA:1,0,0,-3\n"),
        *(ISTANBUL.replace(b'"covered": 2', b'"covered": ' + number) for number in (b"27", b"-1", b"NaN", b"1e99")),
        ISTANBUL.replace(b'"covered": 1', b'"covered": 3'),
        COBERTURA.replace(b"(1/2)", b"(3/2)"),
        COBERTURA.replace(b'hits="0"', b'hits="-1"'),
        JACOCO.replace(b'mb="1"', b'mb="-1"'),
        CLOVER.replace(b'num="3"', b'num="NaN"'),
        b"mode: set\n" + b"a.go:1.1,99999.1 1 1\n" * 200,
        *(b"", b"hello", b"<html/>", b"{}", b'{"total": 3}', b"mode: set\nnonsense", b"SF:a\nDA:x,y\n", b"[" * 9999),
        b'{"total": {"lines": {"total": "3", "covered": true}}}',
        b"mode: set\na.go:1.1,999999999.1 1 1\n",
        b'<!DOCTYPE c [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><coverage><sources>&c;</sources></coverage>',
    ],
)
def test_invalid_reports_are_rejected(report: bytes) -> None:
    with pytest.raises(Unreadable):
        read_coverage(report, "report")


@given(st.binary() | st.text().map(str.encode), st.sampled_from([b"", b"SF:a\n", b"mode: set\n", b"{", b"<coverage>"]))
def test_any_bytes_are_handled(content: bytes, start: bytes) -> None:
    with suppress(Unreadable):
        read_coverage(start + content, "report")


@given(mutations(COBERTURA, JACOCO, CLOVER, LCOV, GO, ISTANBUL))
def test_mutated_reports_are_handled(report: bytes) -> None:
    with suppress(Unreadable):
        coverage = merged([read_coverage(report, "report", RecognisedTests(Path("/srv")))] * 2)
        assert coverage
        assert all(0 <= ratio.percent <= 100 for ratio in (coverage.lines, coverage.branches))
        changed_lines_coverage(coverage, b"+++ b/shop/a.js\n@@ -0,0 +1 @@\n+x\n")
        as_cobertura(coverage)


def test_threshold_is_not_met_by_rounding() -> None:
    assert Ratio(8, 10).meets(80)
    assert not Ratio(7999, 10_000).meets(80)
    assert str(Ratio(7999, 10_000)) == "79.9% (7999/10000)"
    assert not Ratio(0, 0).meets(0)


def test_line_that_ran_in_any_report_ran() -> None:
    other = LCOV.replace(b"DA:3,0", b"DA:3,7").replace(b"DA:1,1", b"DA:1,0")
    both = merged([read_coverage(LCOV, "a"), read_coverage(other, "b")])

    assert both
    assert both.lines == (3, 3)


def test_any_format_becomes_cobertura() -> None:
    for report in (COBERTURA, JACOCO, CLOVER, LCOV, GO):
        coverage = read_coverage(report, "report")
        again = read_coverage(as_cobertura(coverage), "again")
        assert (again.format, again.lines, again.by_line) == ("cobertura", coverage.lines, coverage.by_line)
    assert as_cobertura(read_coverage(ISTANBUL, "summary")) == b""


@pytest.mark.parametrize(
    ("report", "path"),
    [(COBERTURA, "src/shop/a.py"), (LCOV, "shop/a.js"), (GO, "a.go"), (JACOCO, "src/main/java/com/example/Shop.java")],
)
def test_changed_lines_match_each_formats_paths(report: bytes, path: str) -> None:
    patch = f"--- a/{path}\n+++ b/{path}\n@@ -0,0 +3,2 @@\n+x\n+y\n".encode()

    found = changed_lines_coverage(read_coverage(report, "report"), patch, "/work")

    assert found in ((0, 1), (1, 2))


def test_report_needs_changed_files() -> None:
    patch = b"--- a/x.js\n+++ b/x.js\n@@ -0,0 +1 @@\n+x\n"
    assert changed_lines_coverage(read_coverage(LCOV, "report"), patch) is None


@pytest.mark.parametrize(
    "path",
    [
        *("tests/unit/helpers.py", "test_shop.py", "shop/shop_test.py", "conftest.py", "shop/tests.py", "a/test/b.py"),
        *("src/cart.test.ts", "src/cart.spec.jsx", "src/__tests__/cart.js", "spec/cart.mjs", "__mocks__/fs.js"),
        *("cart/cart_test.go", "cart/testdata/main.go", "tests/cart.rs", "src/tests.rs", "spec/models/cart_spec.rb"),
        *("src/test/java/com/example/Fixtures.java", "app/src/androidTest/kotlin/Cart.kt", "com/example/CartTest.java"),
        *("com/example/CartIT.java", "Shop.UnitTests/Cart.cs", "tests/Unit/CartTest.php", "Tests/Cart.swift"),
        *("/src/shop/tests/a.py", "./tests/a.py", "tests\\a.py", "/elsewhere/test_a.py"),
    ],
)
def test_test_files_are_recognised(path: str) -> None:
    assert path in RecognisedTests(Path("/src/shop"))


@pytest.mark.parametrize(
    "path",
    [
        *("shop/contest.py", "shop/latest.py", "shop/testing.py", "attest/a.py", "src/test_drive.ts", "src/testing.js"),
        *("com/example/test/Cart.java", "com/example/Testimonial.java", "com/example/AUDIT.java", "src/latest/A.java"),
        *("cart/testing.go", "tests/cart.go", "lib/spec.md", "/tests/elsewhere/shop.py", "/src/tests.py/shop.py", ""),
    ],
)
def test_product_code_is_recognised(path: str) -> None:
    assert path not in RecognisedTests(Path("/src/shop"))


def as_test(report: bytes) -> bytes:
    """Return the report with a second file, a test: the same lines, all of which ran."""
    if report is ISTANBUL:
        files = b', "/srv/shop/a.js": {"lines": {"total": 3, "covered": 2}, "branches": {"total": 2, "covered": 1}}'
        tests = files.replace(b"a.js", b"a.test.js").replace(b'"total": 3, "covered": 2', b'"total": 9, "covered": 9')
        total = report.replace(b'"lines": {"total": 3, "covered": 2', b'"lines": {"total": 12, "covered": 11')
        return total.removesuffix(b"}") + files + tests + b"}"
    if report in (LCOV, GO):
        body = report.removeprefix(b"mode: set\n")
        return report + body.replace(b"a.js", b"a.test.js").replace(b"a.go", b"a_test.go").replace(b"0\n", b"1\n")
    element = {COBERTURA: b"class", JACOCO: b"sourcefile", CLOVER: b"file"}[report]
    start, end = report.index(b"<" + element + b" "), report.rindex(b"</" + element + b">") + len(element) + 3
    if report is JACOCO:
        start = report.index(b"<sourcefile")
    body = report[start:end].replace(b"a.py", b"test_a.py").replace(b"a.js", b"a.test.js")
    body = body.replace(b"Shop.java", b"ShopTest.java").replace(b'hits="0"', b'hits="1"').replace(b'ci="0"', b'ci="1"')
    return report[:end] + body + report[end:]


@pytest.mark.parametrize("report", [COBERTURA, JACOCO, CLOVER, LCOV, GO, ISTANBUL])
def test_tests_count_in_no_format(report: bytes) -> None:
    product, both = read_coverage(report, "report"), read_coverage(as_test(report), "report")
    assert both.lines.total > product.lines.total

    coverage = read_coverage(as_test(report), "report", RecognisedTests(Path("/srv")))

    assert (coverage.lines, coverage.branches) == (product.lines, product.branches)


def added(*paths: str) -> bytes:
    return "".join(f"--- a/{path}\n+++ b/{path}\n@@ -0,0 +3 @@\n+x\n" for path in paths).encode()


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        (added("shop/a.test.js"), (0, 0)),
        (added("shop/a.test.js", "tasks.md", "tests/data.json", "package.json"), (0, 0)),
        (added("shop/a.test.js", "shop/a.js"), (0, 1)),
        (added("shop/a.test.js", "shop/b.js"), None),
        (added("tasks.md"), None),
    ],
)
def test_changed_tests_do_not_count(patch: bytes, expected: tuple[int, int] | None) -> None:
    assert changed_lines_coverage(read_coverage(LCOV, "report"), patch, "/srv") == expected


line = st.text(alphabet="ab+-@ \t", max_size=8)


@settings(deadline=None)  # every example starts two processes
@given(st.lists(line, max_size=12), st.lists(line, max_size=12))
def test_changed_lines_agree_with_git(tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str]) -> None:
    folder = tmp_path_factory.mktemp("diff")
    for name, lines in (("old", old), ("new", new)):
        Path(folder, name).write_text("".join(f"{text}\n" for text in lines))
    patches = [
        subprocess.run(
            ["git", "diff", "--no-index", f"-U{context}", "old", "new"], cwd=folder, capture_output=True, check=False
        ).stdout
        for context in (0, 3)
    ]

    plain, with_context = map(changed_lines, patches)

    assert plain == with_context
    added = plain.get("new", set())
    assert [text for number, text in enumerate(new, 1) if number not in added] == _kept_lines(old, patches[0])


def _kept_lines(old: list[str], patch: bytes) -> list[str]:
    """The lines of ``old`` that a patch without context does not remove."""
    removed = set()
    number = left = skip = 0
    for text in patch.decode().split("\n"):
        if left or skip:
            if text.startswith("-"):
                removed.add(number)
                number, left = number + 1, left - 1
            elif text.startswith("+"):
                skip -= 1
        elif text.startswith("@@ "):
            before, after = text.split(" ")[1:3]
            start, _, count = before[1:].partition(",")
            number, left = int(start), int(count or 1)
            skip = int(after[1:].partition(",")[2] or 1)
    return [text for position, text in enumerate(old, 1) if position not in removed]
