"""How much of the code the tests ran: Cobertura, JaCoCo, Clover, LCOV, Go's profile and Istanbul's summary, as one."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from kiro_worker.runner.gate.report_files import Unreadable, xml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PATTERNS: Final = {
    "lcov": ("lcov.info", "*.lcov", "*.lcov.info"),
    "cobertura": ("coverage.xml", "cobertura.xml", "cobertura-coverage.xml", "*.cobertura.xml"),
    "jacoco": ("jacoco.xml", "jacoco*.xml"),
    "clover": ("clover.xml",),
    "go": ("coverage.out", "cover.out"),
    "istanbul": ("coverage-summary.json",),
}
"""The usual names. A tool that writes several formats (jest, nyc) says the same in each: the first found is read."""

_CONDITION: Final = re.compile(r"\((\d{1,9})/(\d{1,9})\)")
_GO_BLOCK: Final = re.compile(r"(.+):(\d{1,9})\.\d+,(\d{1,9})\.\d+ \d+ (\d+)")
_HUNK: Final = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_NOT_XML: Final = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LARGEST_SPAN: Final = 100_000


class Ratio(NamedTuple):
    """So many of so many."""

    covered: int = 0
    total: int = 0

    @property
    def percent(self) -> float:
        """Rounded down to a tenth, so that what is shown never looks better than what is compared."""
        return int(self.covered * 1000 / self.total) / 10 if self.total else 0.0

    def meets(self, threshold: float) -> bool:
        """Whether it is at least ``threshold`` per cent; nothing at all meets none."""
        return bool(self.total) and self.covered * 100 >= threshold * self.total

    def __str__(self) -> str:
        return f"{self.percent:g} % ({self.covered}/{self.total})"


@dataclass(frozen=True)
class Coverage:
    """``by_line`` says of each file's executable lines whether they ran; ``None`` when the format does not tell."""

    format: str
    lines: Ratio
    branches: Ratio = Ratio(0, 0)  # noqa: RUF009  # immutable
    by_line: Mapping[str, Mapping[int, bool]] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"lines {self.lines}" + (f", branches {self.branches}" if self.branches.total else "")


def read_coverage(content: bytes, name: str) -> Coverage:
    """The coverage in one report, whose format its content tells. Raises
    :class:`~kiro_worker.runner.gate.report_files.Unreadable`.
    """
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:4096]
    try:
        if start.startswith(b"<"):
            root = xml(content, name)
            is_clover = root.tag == "coverage" and root.find("project") is not None
            reader = _clover if is_clover else _XML.get(root.tag)
            if reader is None:
                raise Unreadable(f"{name} is no coverage report: its root is <{root.tag[:50]}>")
            return reader(root)
        if start.startswith(b"{"):
            return _istanbul(json.loads(content))
        return (_go if start.startswith(b"mode:") else _lcov)(content.decode(errors="replace"), name)
    except Unreadable:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"{name} is no coverage report: {type(error).__name__}: {error}") from None


def merged(reports: Iterable[Coverage]) -> Coverage | None:
    """Several reports of one format as one; a line that one of them saw run did run."""
    found = list(reports)
    if len(found) < 2:
        return found[0] if found else None
    branches = Ratio(sum(one.branches.covered for one in found), sum(one.branches.total for one in found))
    if any(one.by_line is None for one in found):
        lines = Ratio(sum(one.lines.covered for one in found), sum(one.lines.total for one in found))
        return Coverage(found[0].format, lines, branches)
    files: _Files = _files()
    for one in found:
        for path, hits in (one.by_line or {}).items():
            for line, ran in hits.items():
                _note(files, path, line, ran)
    return Coverage(found[0].format, _ratio(files), branches, files)


def of_changed_lines(coverage: Coverage, patch: bytes, root: str = "") -> Ratio | None:
    """Of the lines that ``patch`` adds, those that are executable and ran; ``None`` when the report knows none of its
    files and so proves nothing. ``root`` is the folder that absolute paths in the report begin with.
    """
    if coverage.by_line is None:
        return None
    known = {_relative(path, root): hits for path, hits in coverage.by_line.items()}
    covered = total = 0
    matched = False
    for path, added in changed_lines(patch).items():
        # The closest of several names that end alike: a file of that name lies in many folders.
        names = [path] if path in known else [name for name in known if _same(name, path)]
        if not names:
            continue
        hits = known[min(names, key=lambda name: abs(len(name) - len(path)))]
        matched = True
        executable = added & hits.keys()
        total += len(executable)
        covered += sum(hits[line] for line in executable)
    return Ratio(covered, total) if matched else None


def changed_lines(patch: bytes) -> dict[str, set[int]]:
    """The numbers of the lines that a git patch adds, by path. Hunks are read by their lengths, so that an added line
    that itself looks like a patch changes nothing.
    """
    files: dict[str, set[int]] = {}
    path, number, old, new = "", 0, 0, 0
    for line in patch.split(b"\n"):
        if old > 0 or new > 0:
            kind = line[:1]
            if kind == b"+":
                files.setdefault(path, set()).add(number)
            number += kind in (b"+", b" ", b"")
            new -= kind in (b"+", b" ", b"")
            old -= kind in (b"-", b" ", b"")
        elif hunk := _HUNK.match(line):
            old, number, new = int(hunk[1] or b"1"), int(hunk[2]), int(hunk[3] or b"1")
        elif line.startswith(b"+++ "):
            path = line[4:].rstrip(b"\t").decode(errors="replace").strip('"').removeprefix("b/")
    return {path: lines for path, lines in files.items() if path != "/dev/null"}


def as_cobertura(coverage: Coverage) -> bytes:
    """Cobertura XML of whatever format it was, which CodeBuild's coverage reports read; empty without lines."""
    if not coverage.by_line:
        return b""
    root = Element("coverage", {"line-rate": _rate(coverage.lines), "branch-rate": _rate(coverage.branches)})
    for name, ratio in (("lines", coverage.lines), ("branches", coverage.branches)):
        root.set(f"{name}-covered", str(ratio.covered))
        root.set(f"{name}-valid", str(ratio.total))
    classes = SubElement(SubElement(SubElement(root, "packages"), "package", {"name": "all"}), "classes")
    for path, hits in sorted(coverage.by_line.items()):
        plain = _NOT_XML.sub("?", path)
        lines = SubElement(SubElement(classes, "class", {"name": plain, "filename": plain}), "lines")
        for number, ran in sorted(hits.items()):
            SubElement(lines, "line", {"number": str(number), "hits": str(int(ran))})
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _rate(ratio: Ratio) -> str:
    return f"{ratio.covered / ratio.total:.4f}" if ratio.total else "0"


_Files = dict[str, dict[int, bool]]


def _files() -> _Files:
    return defaultdict(dict)


def _note(files: _Files, path: str, line: int, ran: bool) -> None:
    files[path][line] = files[path].get(line, False) or ran


def _ratio(files: _Files) -> Ratio:
    return Ratio(sum(sum(hits.values()) for hits in files.values()), sum(map(len, files.values())))


def _cobertura(root: Element) -> Coverage:
    files = _files()
    branches: dict[tuple[str, int], Ratio] = {}
    sources = [(source.text or "").strip().rstrip("/") for source in root.iterfind("sources/source")]
    prefix = sources[0] if len(sources) == 1 else ""
    for part in root.iter("class"):
        path = part.get("filename", "")
        path = path if path.startswith("/") or not prefix else f"{prefix}/{path}"
        # Those of the methods are repeated here.
        for line in part.iterfind("lines/line"):
            number = int(line.get("number", ""))
            _note(files, path, number, int(line.get("hits", "0")) > 0)
            if told := _CONDITION.search(line.get("condition-coverage", "")):
                branches[path, number] = Ratio(int(told[1]), int(told[2]))
    return Coverage("cobertura", _ratio(files), _sum(branches.values()), files)


def _jacoco(root: Element) -> Coverage:
    files = _files()
    branches: list[Ratio] = []
    for package in root.iter("package"):
        for source in package.iterfind("sourcefile"):
            path = "/".join(filter(None, (package.get("name"), source.get("name"))))
            for line in source.iterfind("line"):
                covered, missed = int(line.get("cb", "0")), int(line.get("mb", "0"))
                _note(files, path, int(line.get("nr", "")), int(line.get("ci", "0")) > 0)
                branches.append(Ratio(covered, covered + missed))
    return Coverage("jacoco", _ratio(files), _sum(branches), files)


def _clover(root: Element) -> Coverage:
    files = _files()
    branches: list[Ratio] = []
    for file in root.iter("file"):
        path = file.get("path") or file.get("name") or ""
        for line in file.iterfind("line"):
            kind = line.get("type")
            if kind == "cond":
                taken = (int(line.get("truecount", "0")) > 0) + (int(line.get("falsecount", "0")) > 0)
                branches.append(Ratio(taken, 2))
            if kind in ("stmt", "cond"):
                ran = int(line.get("count", "0")) > 0 or int(line.get("truecount", "0")) > 0
                _note(files, path, int(line.get("num", "")), ran)
    return Coverage("clover", _ratio(files), _sum(branches), files)


_XML: Final[Mapping[str, Callable[[Element], Coverage]]] = {"coverage": _cobertura, "report": _jacoco}


def _lcov(text: str, name: str) -> Coverage:
    files, path = _files(), ""
    branches: dict[tuple[str, ...], bool] = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition(":")
        words = value.split(",")
        if key == "SF":
            path = value
        elif key == "DA" and path:
            _note(files, path, int(words[0]), int(words[1]) > 0)
        elif key == "BRDA" and path:
            place = (path, *words[:3])
            branches[place] = branches.get(place, False) or words[3] not in ("-", "0")
    if not path:
        raise Unreadable(f"{name} is no coverage report: no SF line")
    return Coverage("lcov", _ratio(files), Ratio(sum(branches.values()), len(branches)), files)


def _go(text: str, name: str) -> Coverage:
    files = _files()
    for line in text.splitlines()[1:]:
        block = _GO_BLOCK.fullmatch(line.strip())
        if block is None or int(block[3]) - int(block[2]) > _LARGEST_SPAN:
            raise Unreadable(f"{name} is no coverage report: {line[:80]!r}")
        for number in range(int(block[2]), int(block[3]) + 1):
            _note(files, block[1], number, int(block[4]) > 0)
    return Coverage("go", _ratio(files), by_line=files)


def _istanbul(document: Any) -> Coverage:
    total = document["total"]
    lines, branches = ({"covered": 0, "total": 0} | total.get(kind, {}) for kind in ("lines", "branches"))
    measured = [Ratio(_count(part["covered"]), _count(part["total"])) for part in (lines, branches)]
    return Coverage("istanbul", measured[0], measured[1])


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _sum(ratios: Iterable[Ratio]) -> Ratio:
    found = list(ratios)
    return Ratio(sum(one.covered for one in found), sum(one.total for one in found))


def _relative(path: str, root: str) -> str:
    plain = path.replace("\\", "/")
    inside = plain.removeprefix(f"{root.rstrip('/')}/") if root else plain
    return inside.removeprefix("./")


def _same(reported: str, path: str) -> bool:
    """Whether the report's name of a file, which may begin with a module or lack its source folder, is that path's."""
    return "/" in reported and (path.endswith(f"/{reported}") or reported.endswith(f"/{path}"))
