"""The mutants of a Python module."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPARISONS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
_OPPOSITES: Final = {"all": "any", "any": "all", "min": "max", "max": "min"}
# Only people read the output of these calls, so their arguments are not mutated.
_LOGGING: Final = frozenset({"say", "info", "warning", "debug", "print"})


@dataclass(frozen=True)
class Mutant:
    """``file`` is relative to the root; ``start`` and ``end`` are byte offsets in it."""

    file: str
    line: int
    start: int
    end: int
    replacement: str
    description: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.replacement.encode() + source[self.end :]


def mutants_of(file: str, source: bytes) -> Iterator[Mutant]:
    """Yield every mutant of the module, in order."""
    yield from _Finder(file, source).find(ast.parse(source))


class _Finder:
    def __init__(self, file: str, source: bytes) -> None:
        self._file = file
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def find(self, node: ast.AST) -> Iterator[Mutant]:
        if _is_skipped(node):
            return
        yield from self._mutants_at(node)
        for child in _children(node):
            yield from self.find(child)

    def _mutants_at(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                yield self._between(left, right, f" {_COMPARISONS[type(operator)]} ", "other comparison")
            case ast.BoolOp(op=operator, values=[first, second, *_]):
                word = "or" if isinstance(operator, ast.And) else "and"
                yield self._between(first, second, f" {word} ", f"{word} instead")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._replace(node, self._text(operand), "not dropped")
            case ast.Call():
                yield from self._call_mutants(node)
            case ast.Constant(value=bool(value)):
                yield self._replace(node, str(not value), "other truth value")
            case ast.Constant(value=int(value)) if not isinstance(value, bool):
                yield self._replace(node, str(value + 1), "other number")
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                yield self._replace(test, f"(not ({self._text(test)}))", "condition negated")
            case ast.Return(value=ast.expr() as value) if not _is_nothing(value):
                yield self._replace(value, "None", "returns None")
            case ast.Raise():
                yield self._replace(node, "pass", "raise dropped")
            case ast.Expr(value=ast.Call()) | ast.Expr(value=ast.Await()):
                if not _is_logging(node):
                    yield self._replace(node, "pass", "call dropped")

    def _call_mutants(self, node: ast.Call) -> Iterator[Mutant]:
        if isinstance(node.func, ast.Name) and node.func.id in _OPPOSITES:
            yield self._replace(node.func, _OPPOSITES[node.func.id], f"{_OPPOSITES[node.func.id]} instead")
        for keyword in node.keywords:
            if keyword.arg is not None and not _is_nothing(keyword.value):
                start, end = self._span(keyword)
                after = self._source[end:].lstrip()
                if after.startswith(b","):
                    end = self._source.index(b",", end) + 1
                yield self._mutant(start, end, "", f"argument {keyword.arg} dropped", node.lineno)

    def _between(self, left: ast.expr, right: ast.expr, operator: str, description: str) -> Mutant:
        _, start = self._span(left)
        end, _ = self._span(right)
        # Parentheses around either side belong to it.
        text = self._source[start:end].decode()
        before, after = text[: len(text) - len(text.lstrip(" )\n"))], text[len(text.rstrip(" (\n")) :]
        return self._mutant(start, end, f"{before}{operator}{after}", description, left.lineno)

    def _replace(self, node: ast.expr | ast.stmt, replacement: str, description: str) -> Mutant:
        start, end = self._span(node)
        return self._mutant(start, end, replacement, description, node.lineno)

    def _mutant(self, start: int, end: int, replacement: str, description: str, line: int) -> Mutant:
        return Mutant(self._file, line, start, end, replacement, description)

    def _span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None  # noqa: S101, PT018  # parsed from text
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        # Annotations are not executed, and decorators are not mutated.
        if name in ("annotation", "returns", "decorator_list", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child


def _is_skipped(node: ast.AST) -> bool:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Import() | ast.ImportFrom() | ast.Assert():
            return True
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
        # Positions inside an f-string are not reliable before Python 3.12.
        case ast.JoinedStr():
            return True
    return False


def _is_nothing(value: ast.AST) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_logging(node: ast.AST) -> bool:
    return any(
        (isinstance(inner, ast.Attribute) and inner.attr in _LOGGING)
        or (isinstance(inner, ast.Name) and inner.id in _LOGGING)
        for inner in ast.walk(node)
    )
