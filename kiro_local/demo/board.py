"""The demo's board: one card that is ready, three that the worker rejects, and one in another column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kiro_local.github.git_repository import read_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_local.github.board import Board
    from kiro_local.github.model import Repository

ORGANIZATION: Final = "acme"
REPOSITORY: Final = "acme/shop"
READY_BRANCH: Final = "feature/discounts"
_FILES: Final = Path(__file__).parent / "repository"


def seed_board(board: Board) -> None:
    """Add the organization, its repository and five cards.

    In order, the cards are ready, without a branch, with an incomplete spec, from a fork, and in another column.
    """
    repository = board.add_repository(REPOSITORY)
    files = read_directory(_FILES)
    repository.git.commit(
        "main", {path: content for path, content in files.items() if not path.startswith(".kiro/")}, "Create the shop"
    )
    repository.git.commit(READY_BRANCH, files, "Write the spec for discounts", base="main")
    _commit_spec(repository, "feature/returns", files, without="design.md")
    _commit_spec(repository, "feature/translations", files)

    project = board.add_project(ORGANIZATION, title="Shop", number=1)
    ready = board.add_issue(repository, "Discounts on whole orders")
    board.add_pull_request(repository, READY_BRANCH, title="Discounts on whole orders")
    board.add_card(project, ready, status="For Implementation", branch=READY_BRANCH)

    gift_cards = board.add_issue(repository, "Gift cards")
    board.add_card(project, gift_cards, status="For Implementation", branch="feature/gift-cards")

    returns = board.add_pull_request(repository, "feature/returns", title="Returns within 30 days")
    board.add_card(project, returns, status="For Implementation")

    translations = board.add_issue(repository, "Translations by a volunteer")
    board.add_repository("volunteer/shop", parent=repository)
    board.add_pull_request(
        repository, "volunteer:feature/translations", title="Translations", author="volunteer", association="NONE"
    )
    board.add_card(project, translations, status="For Implementation", branch="feature/translations")

    board.add_card(project, board.add_issue(repository, "Loyalty points"), status="Todo")


def _commit_spec(repository: Repository, branch: str, files: Mapping[str, Any], without: str = "") -> None:
    """Commit a copy of the ready branch's spec to another branch."""
    source, target = (f".kiro/specs/{name.replace('/', '-')}/" for name in (READY_BRANCH, branch))
    spec = {
        path.replace(source, target): content
        for path, content in files.items()
        if path.startswith(source) and not (without and path.endswith(without))
    }
    repository.git.commit(branch, spec, f"Write the spec for {branch}", base="main")
