"""What all answers have in common: strict types, and one error for an answer of another shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from kiro_worker.errors import GitHubAnswerInvalid

_Node = TypeVar("_Node")
_MAX_NAMED: Final = 5


class Answer(BaseModel):
    """A part of an answer. Fields that the worker does not know are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, strict=True)

    @classmethod
    def parse(cls, answer: object) -> Self:
        """The typed form of ``answer``. Raises :class:`GitHubAnswerInvalid`, which names the wrong fields."""
        try:
            return cls.model_validate(answer)
        except ValidationError as error:
            wrong = [
                f"{'.'.join(map(str, detail['loc'])) or cls.__name__}: {detail['msg']}" for detail in error.errors()
            ]
            raise GitHubAnswerInvalid(
                f"GitHub's answer does not follow its schema: {'; '.join(wrong[:_MAX_NAMED])}",
                "check that githubApiUrl in the configuration parameter leads to GitHub's GraphQL API, and try again"
                " when https://www.githubstatus.com reports no incident",
            ) from None


def _visible_nodes(connection: object) -> object:
    """The nodes of a connection. A null connection or node is one that the token may not see."""
    if connection is None:
        return ()
    if not isinstance(connection, Mapping):
        raise ValueError("is not a connection")  # pydantic reports a ValueError and not a TypeError
    nodes = connection.get("nodes")
    if nodes is not None and not isinstance(nodes, list):
        raise ValueError("has nodes that are not a list")
    return tuple(node for node in nodes or () if node is not None)


Nodes = Annotated[tuple[_Node, ...], BeforeValidator(_visible_nodes)]
"""The nodes of a connection that the token may see."""
