"""The REST API's comparison of two commits, as GitHub documents it."""

from __future__ import annotations

from typing import Any

from kiro_local.github.git_repository import Submodule, Symlink
from tests.integration.kiro_local.github.conftest import TOKEN, Shop

FILES = {"a.md": "A\n", "b.md": "B\n" * 20, "c.md": "C\n", "d.md": "D\n"}


def compare(shop: Shop, basehead: str, *, token: str = TOKEN, prefix: str = "") -> tuple[int, Any]:
    path = f"{prefix}/repos/acme/shop/compare/{basehead}"
    answer = shop.request("GET", path, headers={"authorization": f"bearer {token}"})
    return answer.status, answer.json


def test_files_are_those_changed_since_the_merge_base(shop: Shop) -> None:
    git = shop.repository.git
    base = git.commit("main", FILES, "Files")
    changes = {"a.md": "AA\n", "b.md": None, "moved/b.md": "B\n" * 20, "c.md": None, "d.md": Symlink("a.md")}
    head = git.commit("feature/x", {**changes, "lib": Submodule("1" * 40)}, base="main")
    git.commit("main", {"a.md": "Else\n"}, "Move on")

    status, answer = compare(shop, f"main...{head}?per_page=1")

    assert status == 200
    found = {file["filename"]: (file["status"], file.get("previous_filename")) for file in answer["files"]}
    assert found == {
        "a.md": ("modified", None),
        "c.md": ("removed", None),
        "d.md": ("changed", None),
        "lib": ("added", None),
        "moved/b.md": ("renamed", "b.md"),
    }
    shas = {file["filename"]: file["sha"] for file in answer["files"]}
    assert (shas["lib"], shas["c.md"]) == ("1" * 40, git.run("rev-parse", f"{base}:c.md").decode().strip())
    assert answer["merge_base_commit"]["sha"] == base
    assert (answer["status"], answer["ahead_by"], answer["behind_by"]) == ("diverged", 1, 1)
    assert compare(shop, f"main...{head}", prefix="/api/v3")[1]["files"] == answer["files"]


def test_files_are_on_the_first_page_and_at_most_300(shop: Shop) -> None:
    git = shop.repository.git
    for number in range(3):
        git.commit("many", {f"{number}/{each:03}": "x" for each in range(120)}, f"Add {number}", base="main")

    _, first = compare(shop, "main...many?per_page=1")
    _, second = compare(shop, "main...many?per_page=1&page=2")

    assert len(first["files"]) == 300
    assert "files" not in second
    assert (len(first["commits"]), first["total_commits"]) == (1, 3)
    assert first["commits"] != second["commits"]


def test_unrelated_histories_have_no_comparison(shop: Shop) -> None:
    shop.repository.git.commit("other", {"x": "1"}, "Begin again")

    assert compare(shop, "main...other")[1]["message"] == "No common ancestor between main and other."
    assert compare(shop, "main...gone")[0] == 404


def test_access_is_checked(shop: Shop) -> None:
    assert shop.repository.is_private
    shop.github.add_token("ghp_board", scopes=("project",))

    assert compare(shop, "main...main", token="ghp_unknown")[0] == 401
    assert compare(shop, "main...main", token="ghp_board")[0] == 404
    assert compare(shop, "main...main")[1]["status"] == "identical"
    assert [(each.kind, each.operation, each.status) for each in shop.github.requests] == [
        ("rest", "compare", status) for status in (401, 404, 200)
    ]
