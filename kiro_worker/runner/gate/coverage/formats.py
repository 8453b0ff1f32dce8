"""The report formats: Cobertura, JaCoCo, Clover, LCOV, Go's cover profile and Istanbul's summary."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

from kiro_worker.runner.gate.coverage.model import Coverage, LineHits, Ratio, checked_ratio, total_of
from kiro_worker.runner.gate.report_files import Unreadable, parse_xml, unreadable_on_error

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

PATTERNS: Final = {
    "lcov": ("lcov.info", "*.lcov", "*.lcov.info"),
    "cobertura": ("coverage.xml", "cobertura.xml", "cobertura-coverage.xml", "*.cobertura.xml"),
    "jacoco": ("jacoco.xml", "jacoco*.xml"),
    "clover": ("clover.xml",),
    "go": ("coverage.out", "cover.out"),
    "istanbul": ("coverage-summary.json",),
}
"""The usual file names, by format. A tool that writes several formats (jest, nyc) puts the same data in each, so only
the first format found is read."""

_CONDITION: Final = re.compile(r"\((\d{1,9})/(\d{1,9})\)")
_GO_BLOCK: Final = re.compile(r"(.+):(\d{1,9})\.\d+,(\d{1,9})\.\d+ \d+ (\d+)")
_NOT_XML: Final = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_BLOCK_LINES: Final = 100_000
_MAX_LINES: Final = 10_000_000
"""How many lines the blocks of a Go profile may have together, however often they repeat."""
_LARGEST_COUNT: Final = 2**64
"""Tools count with 64 bits."""


def read_coverage(content: bytes, name: str, left_out: Container[str] = ()) -> Coverage:
    """Return the coverage in one report, whose format is recognized by its content, without the files in ``left_out``.

    Raises :class:`~kiro_worker.runner.gate.report_files.Unreadable`.
    """
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:4096]
    with unreadable_on_error(name, "a coverage report"):
        if start.startswith(b"<"):
            return _read_xml(content, name, left_out)
        if start.startswith(b"{"):
            return _read_istanbul(json.loads(content), left_out)
        read = _read_go if start.startswith(b"mode:") else _read_lcov
        return read(content.decode(errors="replace"), name, left_out)


def as_cobertura(coverage: Coverage) -> bytes:
    """Return the coverage as Cobertura XML, which CodeBuild's coverage reports accept; empty if no lines are known."""
    if not coverage.by_line:
        return b""
    root = Element("coverage", {"line-rate": _rate(coverage.lines), "branch-rate": _rate(coverage.branches)})
    for name, ratio in (("lines", coverage.lines), ("branches", coverage.branches)):
        root.set(f"{name}-covered", str(ratio.covered))
        root.set(f"{name}-valid", str(ratio.total))
    classes = SubElement(SubElement(SubElement(root, "packages"), "package", {"name": "all"}), "classes")
    for path, hits in sorted(coverage.by_line.items()):
        xml_path = _NOT_XML.sub("?", path)
        lines = SubElement(SubElement(classes, "class", {"name": xml_path, "filename": xml_path}), "lines")
        for number, ran in sorted(hits.items()):
            SubElement(lines, "line", {"number": str(number), "hits": str(int(ran))})
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _rate(ratio: Ratio) -> str:
    return f"{ratio.covered / ratio.total:.4f}" if ratio.total else "0"


def _read_xml(content: bytes, name: str, left_out: Container[str]) -> Coverage:
    root = parse_xml(content, name)
    # Clover and Cobertura both have a root <coverage>.
    is_clover = root.tag == "coverage" and root.find("project") is not None
    read = _read_clover if is_clover else _XML_READERS.get(root.tag)
    if read is None:
        raise Unreadable(f"{name} is not a coverage report: its root element is <{root.tag[:50]}>")
    return read(root, left_out)


def _read_cobertura(root: Element, left_out: Container[str]) -> Coverage:
    hits = LineHits()
    branches: dict[tuple[str, int], Ratio] = {}
    sources = [(source.text or "").strip().rstrip("/") for source in root.iterfind("sources/source")]
    prefix = sources[0] if len(sources) == 1 else ""
    for element in root.iter("class"):
        path = element.get("filename", "")
        path = path if path.startswith("/") or not prefix else f"{prefix}/{path}"
        if path in left_out:
            continue
        # The class repeats the lines of its methods.
        for line in element.iterfind("lines/line"):
            number = _count(line.get("number"))
            hits.add(path, number, _count(line.get("hits", "0")) > 0)
            if condition := _CONDITION.search(line.get("condition-coverage", "")):
                branches[path, number] = checked_ratio(_count(condition[1]), _count(condition[2]))
    return Coverage("cobertura", hits.ratio, total_of(branches.values()), hits.by_line)


def _read_jacoco(root: Element, left_out: Container[str]) -> Coverage:
    hits = LineHits()
    branches: list[Ratio] = []
    for package in root.iter("package"):
        for source in package.iterfind("sourcefile"):
            path = "/".join(filter(None, (package.get("name"), source.get("name"))))
            if path in left_out:
                continue
            for line in source.iterfind("line"):
                # ci: covered instructions; cb and mb: covered and missed branches.
                covered, missed = _count(line.get("cb", "0")), _count(line.get("mb", "0"))
                hits.add(path, _count(line.get("nr")), _count(line.get("ci", "0")) > 0)
                branches.append(Ratio(covered, covered + missed))
    return Coverage("jacoco", hits.ratio, total_of(branches), hits.by_line)


def _read_clover(root: Element, left_out: Container[str]) -> Coverage:
    hits = LineHits()
    branches: list[Ratio] = []
    for file in root.iter("file"):
        path = file.get("path") or file.get("name") or ""
        if path in left_out:
            continue
        for line in file.iterfind("line"):
            kind = line.get("type")
            if kind == "cond":
                taken = (_count(line.get("truecount", "0")) > 0) + (_count(line.get("falsecount", "0")) > 0)
                branches.append(Ratio(taken, 2))
            if kind in ("stmt", "cond"):
                ran = _count(line.get("count", "0")) > 0 or _count(line.get("truecount", "0")) > 0
                hits.add(path, _count(line.get("num")), ran)
    return Coverage("clover", hits.ratio, total_of(branches), hits.by_line)


_XML_READERS: Final[Mapping[str, Callable[[Element, Container[str]], Coverage]]] = {
    "coverage": _read_cobertura,
    "report": _read_jacoco,
}


def _read_lcov(text: str, name: str, left_out: Container[str]) -> Coverage:
    hits, path, counts = LineHits(), "", False
    branches: dict[tuple[str, ...], bool] = {}
    # Not splitlines: a file name can have a character that is a line end only for Python.
    for line in text.split("\n"):
        key, _, value = line.removesuffix("\r").partition(":")
        key, fields = key.strip(), value.split(",")
        if key == "SF":
            path = value
            counts = bool(path) and path not in left_out
        elif key == "DA" and counts:
            hits.add(path, _count(fields[0]), _count(fields[1]) > 0)
        elif key == "BRDA" and counts:
            branch = (path, *fields[:3])
            branches[branch] = branches.get(branch, False) or (fields[3] != "-" and _count(fields[3]) > 0)
    if not path:
        raise Unreadable(f"{name} is not a coverage report: it has no SF line")
    return Coverage("lcov", hits.ratio, Ratio(sum(branches.values()), len(branches)), hits.by_line)


def _read_go(text: str, name: str, left_out: Container[str]) -> Coverage:
    blocks: list[tuple[str, range, bool]] = []
    for line in text.split("\n")[1:]:
        if not line.strip():
            continue
        block = _GO_BLOCK.fullmatch(line.rstrip())
        if block is None or int(block[3]) - int(block[2]) > _MAX_BLOCK_LINES:
            raise Unreadable(f"{name} is not a coverage report: {line[:80]!r}")
        if block[1] not in left_out:
            blocks.append((block[1], range(int(block[2]), int(block[3]) + 1), _count(block[4]) > 0))
    if sum(len(numbers) for _, numbers, _ in blocks) > _MAX_LINES:
        raise Unreadable(f"{name} has more than {_MAX_LINES} lines")
    hits = LineHits()
    for path, numbers, ran in blocks:
        for number in numbers:
            hits.add(path, number, ran)
    return Coverage("go", hits.ratio, by_line=hits.by_line)


# Untyped JSON: every value is checked as it is used.
def _read_istanbul(document: Any, left_out: Container[str]) -> Coverage:
    ratios = _istanbul_ratios(document["total"])
    if any(path in left_out for path in document):
        # The totals include these files, so add up the other files.
        files = [_istanbul_ratios(part) for path, part in document.items() if path != "total" and path not in left_out]
        ratios = total_of(lines for lines, _ in files), total_of(branches for _, branches in files)
    return Coverage("istanbul", *ratios)


def _istanbul_ratios(part: Any) -> tuple[Ratio, Ratio]:
    lines, branches = (
        _istanbul_ratio({"covered": 0, "total": 0} | part.get(kind, {})) for kind in ("lines", "branches")
    )
    return lines, branches


def _istanbul_ratio(part: Any) -> Ratio:
    numbers = part["covered"], part["total"]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        raise ValueError("a number of lines or branches is not an integer")
    covered, total = map(_count, numbers)
    return checked_ratio(covered, total)


def _count(value: Any) -> int:
    """Return a line number or how often something ran. Raises :class:`ValueError` for anything else."""
    count = int(value)
    if not 0 <= count <= _LARGEST_COUNT:
        raise ValueError(f"{count} is not a count")
    return count
