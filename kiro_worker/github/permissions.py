"""Who may push to a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.github.answers.labels import parse_permissions
from kiro_worker.github.queries import READ_PERMISSION

if TYPE_CHECKING:
    from kiro_worker.github.client import GitHubSession

_MAY_PUSH: Final = frozenset({"WRITE", "MAINTAIN", "ADMIN"})


async def may_push(session: GitHubSession, repository: str, login: str) -> bool:
    """Whether the user may push to ``repository``, as a collaborator, through a team or as an owner.

    Raises :class:`~kiro_worker.errors.GitHubForbidden` if the token itself may not push to it.
    """
    owner, _, name = repository.partition("/")
    answer = await session.query(READ_PERMISSION, {"owner": owner, "name": name, "login": login})
    return parse_permissions(answer).get(login.lower()) in _MAY_PUSH
