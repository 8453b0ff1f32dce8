"""The repository's own file, ``.kiro-worker.yml``, as the default branch has it: parsed and validated.

It is written by anyone who may push to the default branch, so its size and form are limited, and it can choose nothing
that concerns the installation's security, board, locks or budgets.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from kiro_worker.config.problems import describe_problem
from kiro_worker.config.repository_settings import RepositoryFile
from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.errors import WorkItemInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

LARGEST_REPOSITORY_FILE: Final = 64_000
"""In bytes. A longer file is not read."""
_DEEPEST: Final = 10


def parse_repository_file(text: str, source: str = REPOSITORY_FILE) -> RepositoryFile:
    """Return the settings in ``text``; all of them are unset if it is empty.

    ``source`` is what error messages call the file. Raises :class:`WorkItemInvalid`, which names the line and the key
    of every problem.
    """
    if len(text.encode(errors="replace")) > LARGEST_REPOSITORY_FILE:
        raise _invalid([f"{source} is larger than {LARGEST_REPOSITORY_FILE // 1000} KB"])
    try:
        _require_simple(text)
        tree = _yaml().compose(StringIO(text))
        document = _yaml().load(StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise _invalid([f"{source}{line}: {(error.problem or 'is not YAML').splitlines()[0]}"]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise _invalid(
            [f"{source} is not YAML: {str(error).splitlines()[0] if str(error) else 'nested too deeply'}"]
        ) from None
    if document is None:
        return RepositoryFile()
    if not isinstance(document, dict):
        raise _invalid([f"{source}, line 1: must be a mapping of keys to values, such as test: make test"])
    try:
        return RepositoryFile.model_validate(document)
    except ValidationError as error:
        raise _invalid([_describe(detail, tree, source) for detail in error.errors()]) from None


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _require_simple(text: str) -> None:
    """Raise :class:`MarkedYAMLError` for an alias, which could make a short file huge, and for deep nesting."""
    depth = 0
    for event in _yaml().parse(StringIO(text)):
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            raise MarkedYAMLError(problem="anchors and aliases are not supported", problem_mark=event.start_mark)
        depth += {"MappingStartEvent": 1, "SequenceStartEvent": 1, "MappingEndEvent": -1, "SequenceEndEvent": -1}.get(
            type(event).__name__, 0
        )
        if depth > _DEEPEST:
            raise MarkedYAMLError(problem="is nested too deeply", problem_mark=event.start_mark)


def _describe(detail: ErrorDetails, tree: Node, source: str) -> str:
    return f"{source}, line {_line(tree, detail['loc'])}: {describe_problem(detail, RepositoryFile)}"


def _line(tree: Node, location: tuple[str | int, ...]) -> int:
    """Return the line of the key or item at ``location``, or of the last part of it that exists; the first is 1."""
    line, node = tree.start_mark.line, tree
    for part in location:
        for key, start, value in _children(node):
            if key == part:
                line, node = start, value
                break
        else:
            break
    return int(line) + 1


def _children(node: Node) -> Iterator[tuple[Any, int, Node]]:
    if isinstance(node, MappingNode):
        yield from ((key.value, key.start_mark.line, value) for key, value in node.value)
    elif isinstance(node, SequenceNode):
        yield from ((number, value.start_mark.line, value) for number, value in enumerate(node.value))


def _invalid(problems: list[str]) -> WorkItemInvalid:
    return WorkItemInvalid(
        "\n".join(problems), f"correct {REPOSITORY_FILE} on the default branch, then move the card back"
    )
