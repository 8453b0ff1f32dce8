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
from ruamel.yaml.events import AliasEvent, NodeEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from kiro_worker.config.problems import describe_problem, first_problems, known_keys, on_one_line
from kiro_worker.config.repository_settings import RepositoryFile, RepositorySettings
from kiro_worker.config.settings import MISNAMED_FILE, REPOSITORY_FILE
from kiro_worker.errors import WorkItemInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

LARGEST_REPOSITORY_FILE: Final = 64_000
"""In bytes. A longer file is not read."""
_DEEPEST: Final = 10
_MOST_VALUES: Final = 3000
"""A function with little memory, and so with little processing power, reads the file."""
_TAG: Final = "tag:yaml.org,2002:"
_NUMBERS: Final = (f"{_TAG}int", f"{_TAG}float")
_LONGEST_NUMBER: Final = 100
_REPLACEMENT_CHARACTER: Final = "\ufffd"


def parse_repository_file(text: str, source: str = REPOSITORY_FILE) -> RepositoryFile:
    """Return the settings in ``text``; all of them are unset if it is empty.

    ``source`` is what error messages call the file. Raises :class:`WorkItemInvalid`, which names the line and the key
    of every problem.
    """
    if len(text.encode(errors="replace")) > LARGEST_REPOSITORY_FILE:
        raise _invalid([f"{source} is larger than {LARGEST_REPOSITORY_FILE // 1000} KB"])
    if _REPLACEMENT_CHARACTER in text:
        # It stands for bytes that are not UTF-8, and GitHub and git may not agree on what these say.
        line = text[: text.index(_REPLACEMENT_CHARACTER)].count("\n") + 1
        raise _invalid([f"{source}, line {line}: is not UTF-8: save the file in this encoding"])
    try:
        _require_simple(text)
        yaml = _yaml()
        tree = yaml.compose(StringIO(text))
        if tree is None:
            return RepositoryFile()
        _keep_texts(tree)
        document = yaml.constructor.construct_document(tree)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line_of_mark = f", line {mark.line + 1}" if mark else ""
        raise _invalid(
            [f"{source}{line_of_mark}: {on_one_line((error.problem or 'is not YAML').splitlines()[0])}"]
        ) from None
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise _invalid([f"{source}, line {line}: contains a control character, which YAML does not allow"]) from None
    except (YAMLError, ValueError, LookupError, TypeError, RecursionError) as error:
        problem = on_one_line(str(error).splitlines()[0]) if str(error) else "nested too deeply"
        raise _invalid([f"{source} is not YAML: {problem}"]) from None
    if document is None:
        return RepositoryFile()
    if not isinstance(document, dict):
        raise _invalid([f"{source}, line 1: must be a mapping of keys to values, such as test: make test"])
    try:
        return RepositoryFile.model_validate(document)
    except ValidationError as error:
        details, more = first_problems(error.errors(include_url=False))
        raise _invalid([*(_describe(detail, tree, source) for detail in details), *more]) from None


def misnamed(source: str) -> WorkItemInvalid:
    """The error for a repository that has a file ``source`` of the wrong name only."""
    return WorkItemInvalid(
        f"{source} has the wrong name: git mv {MISNAMED_FILE} {REPOSITORY_FILE}",
        "rename it on the default branch, then move the card back",
    )


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _require_simple(text: str) -> None:
    """Raise :class:`MarkedYAMLError` for what could make a short file huge or slow, or construct another type."""
    depth = values = 0
    for event in _yaml().parse(StringIO(text)):
        problem = ""
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            problem = "anchors and aliases are not supported"
        elif isinstance(event, ScalarEvent) and event.value == "<<" and event.implicit[0]:
            problem = "merge keys are not supported"
        elif getattr(event, "tag", None) is not None:
            problem = "tags, which begin with !, are not supported: write a text that begins so in quotes"
        depth += {"MappingStartEvent": 1, "SequenceStartEvent": 1, "MappingEndEvent": -1, "SequenceEndEvent": -1}.get(
            type(event).__name__, 0
        )
        values += isinstance(event, NodeEvent)
        if depth > _DEEPEST:
            problem = "is nested too deeply"
        elif values > _MOST_VALUES:
            problem = f"the file has more than {_MOST_VALUES} keys and values: shorten it"
        if problem:
            raise MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _keep_texts(tree: Node) -> None:
    """Let what only looks like a number or a date stay the text that it is.

    ``PYTHON: 3.10`` as a variable is not 3.1, no setting is a date, and no number needs so many digits.
    """
    for key, _, value in _children(tree):
        for node in _scalars(value):
            is_text = node.tag in _NUMBERS and (key == "environment" or len(node.value) > _LONGEST_NUMBER)
            if is_text or node.tag == f"{_TAG}timestamp":
                node.tag = f"{_TAG}str"


def _scalars(node: Node) -> Iterator[ScalarNode]:
    if isinstance(node, ScalarNode):
        yield node
    for _, _, value in _children(node):
        yield from _scalars(value)


def _describe(detail: ErrorDetails, tree: Node, source: str) -> str:
    line, location = _place(tree, detail["loc"])
    problem = describe_problem({**detail, "loc": location}, RepositoryFile)
    if detail["type"] == "extra_forbidden" and location[-1] in known_keys(RepositorySettings, location[:-1]):
        problem = f'"{".".join(map(str, location))}" can be set only in the configuration parameter'
    return f"{source}, line {line}: {problem}"


def _place(tree: Node, location: tuple[str | int, ...]) -> tuple[int, tuple[str | int, ...]]:
    """Return the line of ``location``, or of the last part of it that exists, and its part that the file shows.

    The first line is 1. A text that becomes a list of words has no parts of its own.
    """
    line, node = tree.start_mark.line, tree
    for depth, part in enumerate(location):
        if isinstance(node, ScalarNode):
            return int(line) + 1, location[:depth]
        for key, start, value in _children(node):
            if key == (part if isinstance(node, SequenceNode) else str(part)):
                line, node = start, value
                break
        else:
            break
    return int(line) + 1, location


def _children(node: Node) -> Iterator[tuple[Any, int, Node]]:
    if isinstance(node, MappingNode):
        yield from ((key.value, key.start_mark.line, value) for key, value in node.value)
    elif isinstance(node, SequenceNode):
        yield from ((number, value.start_mark.line, value) for number, value in enumerate(node.value))


def _invalid(problems: list[str]) -> WorkItemInvalid:
    return WorkItemInvalid(
        "\n".join(problems), f"correct {REPOSITORY_FILE} on the default branch, then move the card back"
    )
