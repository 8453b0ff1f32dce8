"""Reports as coverage.py, JaCoCo, Clover, lcov, Go and Istanbul write them."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiro_worker.runner.gate.coverage.diff import changed_lines, changed_lines_coverage
from kiro_worker.runner.gate.coverage.formats import as_cobertura, read_coverage
from kiro_worker.runner.gate.coverage.model import Ratio, merged
from kiro_worker.runner.gate.coverage.product import Glob, NotProduct
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
        coverage = merged([read_coverage(report, "report", NotProduct(Path("/srv")))] * 2)
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
def test_test_files_are_recognized(path: str) -> None:
    assert path in NotProduct(Path("/src/shop"))


@pytest.mark.parametrize(
    "path",
    [
        *("shop/contest.py", "shop/latest.py", "shop/testing.py", "attest/a.py", "src/test_drive.ts", "src/testing.js"),
        *("com/example/test/Cart.java", "com/example/Testimonial.java", "com/example/AUDIT.java", "src/latest/A.java"),
        *("cart/testing.go", "tests/cart.go", "lib/spec.md", "/tests/elsewhere/shop.py", "/src/tests.py/shop.py", ""),
    ],
)
def test_product_code_is_recognized(path: str) -> None:
    assert path not in NotProduct(Path("/src/shop"))


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

    coverage = read_coverage(as_test(report), "report", NotProduct(Path("/srv")))

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


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("src/generated/**", ["src/generated/a.py", "src/generated/b/c.py"], ["src/generated", "generated/a.py"]),
        ("src/generated", ["src/generated/a.py", "src/generated"], ["src/generated2/a.py", "lib/src/generated/a.py"]),
        ("**/*.pb.go", ["a.pb.go", "x/y/a.pb.go"], ["a.go", "a.pb.go.txt"]),
        ("*.py", ["a.py"], ["b/a.py"]),
        ("**/migrations/*.py", ["migrations/1.py", "shop/migrations/1.py"], ["migrations/old/1.py"]),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c", "a/b/b/c/d"], ["a/c", "b/c"]),
        ("**", ["a", "a/b"], []),
        ("a[12]?.py", ["a1x.py"], ["a3x.py", "a1.py"]),
    ],
)
def test_glob(glob: str, matching: list[str], others: list[str]) -> None:
    assert [path for path in matching + others if Glob(glob).matches(path)] == matching


def test_glob_of_many_stars_is_fast(counted_steps: list[int]) -> None:
    """Each part of a path is compared with each part of the glob once, and not with each way of dividing the path."""
    Glob("/".join(["**", "a"] * 20)).matches("a/" * 400 + "b")

    assert counted_steps[0] <= 400 * 40


@pytest.fixture
def counted_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the parts of paths that globs look at."""
    steps = [0]
    with_skipped = Glob._with_skipped

    def count(self: Glob, states: set[int]) -> set[int]:
        found = with_skipped(self, states)
        steps[0] += len(found)
        return found

    monkeypatch.setattr(Glob, "_with_skipped", count)
    return steps


FILES = ("src/shop/a.py", "src/shop/gen/b.py", "lib/gen/b.py", "tests/cases/c.py", "src/main/java/com/x/gen/D.java")


@pytest.mark.parametrize(
    ("path", "is_left_out"),
    [
        ("/srv/src/shop/gen/b.py", True),
        ("src/shop/gen/b.py", True),
        ("shop/gen/b.py", True),  # below a source folder
        ("com/x/gen/D.java", True),  # below a Java package
        ("example.com/x/src/shop/gen/b.py", True),  # in a Go module
        ("src\\shop\\gen\\b.py", True),
        ("cases/c.py", True),  # a test, below a source folder
        ("gen/b.py", False),  # two files have this end, and only one of them is excluded
        ("shop/a.py", False),
        ("elsewhere/gen/b.py", False),
    ],
)
def test_excluded_files_are_recognized(path: str, *, is_left_out: bool) -> None:
    globs = ("src/shop/gen/**", "src/main/java/com/x/gen")

    assert (path in NotProduct(Path("/srv"), globs, FILES)) == is_left_out


@pytest.mark.parametrize("report", [COBERTURA, JACOCO, CLOVER, LCOV, GO, ISTANBUL])
def test_excluded_files_count_in_no_format(report: bytes) -> None:
    product = read_coverage(report, "report")
    other = as_test(report).replace(b"a.test.js", b"b.gen.js").replace(b"a_test.go", b"b.gen.go")
    other = other.replace(b"test_a.py", b"b.gen.py").replace(b"ShopTest.java", b"Shop.gen.java")

    coverage = read_coverage(other, "report", NotProduct(Path("/srv"), ["**/*.gen.*"]))

    assert (coverage.lines, coverage.branches) == (product.lines, product.branches)


def test_changed_files_that_are_excluded_do_not_count() -> None:
    coverage = read_coverage(LCOV, "report")

    assert changed_lines_coverage(coverage, added("shop/a.js"), "/srv") == (0, 1)
    assert changed_lines_coverage(coverage, added("shop/a.js"), "/srv", ["shop/**"]) == (0, 0)
    assert changed_lines_coverage(coverage, added("shop/a.js", "lib/b.js"), "/srv", ["shop/**"]) is None


def test_long_test_counts_in_no_ecosystem() -> None:
    """83 lines of a test that executes nothing, beside 20 lines of product code that never ran."""
    for product, test in (
        ("shop/a.py", "shop/test_a.py"),
        ("src/a.ts", "src/a.test.ts"),
        ("src/a.js", "src/__tests__/a.js"),
        ("a.go", "a_test.go"),
        ("src/main/kotlin/A.kt", "src/test/kotlin/A.kt"),
        ("src/lib.rs", "tests/shop.rs"),
        ("lib/a.rb", "spec/a_spec.rb"),
        ("src/A.php", "tests/ATest.php"),
        ("Shop/A.cs", "Shop.Tests/A.cs"),
        ("Sources/A.swift", "Tests/ShopTests/ATests.swift"),
    ):
        report = f"SF:{product}\n" + "".join(f"DA:{number},0\n" for number in range(1, 21))
        report += f"SF:{test}\n" + "".join(f"DA:{number},1\n" for number in range(1, 84))

        assert read_coverage(report.encode(), "lcov.info", NotProduct(Path("/srv"))).lines == (0, 20), test


NAMES = (
    "naïve.py",
    "a b.py",
    'q"q.py',
    "tab\t.py",
    "back\\slash.py",
    "\a\b\v\f\r.py",
    "\x7f.py",
    "\u200b.py",
    " .py ",
    "ü/é ü.py",
)


@pytest.mark.parametrize("quote_path", ["true", "false"])
def test_names_that_git_quotes(tmp_path: Path, quote_path: str) -> None:
    names = [name.encode() for name in NAMES] + [b"latin-\xe9.py", b'\\"\xff.py', b"b/b.py"]
    for name in names:
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text("x = 1\n")
    git = ("git", "-c", f"core.quotePath={quote_path}", "-C", str(tmp_path))
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    patch = subprocess.run([*git, "diff", "--cached"], capture_output=True, check=True).stdout

    assert changed_lines(patch) == {name.decode(errors="replace"): {1} for name in names}


@pytest.mark.parametrize("name", NAMES)
def test_changed_lines_are_found_by_unusual_names(name: str) -> None:
    coverage = read_coverage(f"SF:/srv/{name}\nDA:1,1\n".encode(), "lcov.info", NotProduct(Path("/srv")))
    octal = "".join(f"\\{byte:03o}" for byte in name.encode())

    assert changed_lines_coverage(coverage, f'+++ "b/{octal}"\n@@ -0,0 +1 @@\n+x\n'.encode(), "/srv") == (1, 1)


def test_windows_separators_are_understood() -> None:
    coverage = read_coverage(b"SF:shop\\a.js\nDA:1,1\n", "lcov.info")

    assert changed_lines_coverage(coverage, b"+++ b/shop/a.js\n@@ -0,0 +1 @@\n+x\n") == (1, 1)


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


def test_check_measures_only_lines_of_its_own_directory() -> None:
    """Two checks have a file of the same name, and each report writes it from its own directory."""
    report = read_coverage(b"SF:shop/a.py\nDA:1,0\nend_of_record\n", "lcov.info")
    change = b"--- a/%s/shop/a.py\n+++ b/%s/shop/a.py\n@@ -0,0 +1 @@\n+x = 1\n"
    api, web = change.replace(b"%s", b"api"), change.replace(b"%s", b"web")

    assert changed_lines_coverage(report, api + web, directory="api") == (0, 1)
    assert changed_lines_coverage(report, web, directory="api") == (0, 0), "another check measures it"
    assert changed_lines_coverage(report, web, elsewhere=["web"]) == (0, 0)
    assert changed_lines_coverage(report, api, directory="api", elsewhere=["", "api", "web"]) == (0, 1)
    assert changed_lines_coverage(report, change.replace(b"%s/", b""), elsewhere=["api"]) == (0, 1)
