from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.kiro_local.github.conftest import Shop


def page(shop: Shop, path: str) -> str:
    answer = shop.request("GET", path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.text


def test_start_page_links_everything(shop: Shop) -> None:
    text = page(shop, "/")
    assert 'href="/orgs/acme/projects/1"' in text
    assert 'href="/acme/shop"' in text


def test_board_has_one_column_per_status(shop: Shop) -> None:
    shop.github.board.add_card(shop.project, None)
    text = page(shop, "/orgs/acme/projects/1")
    assert "<h2>For Implementation <small>1</small></h2>" in text
    assert "A checkout" in text
    assert "A card that you cannot see" in text


def test_pull_request_shows_comments_and_diff(shop: Shop) -> None:
    shop.github.board.add_comment(shop.pull_request, "alice", "Looks **good**")
    text = page(shop, "/acme/shop/pull/2")
    assert "Looks **good**" in text
    assert "feature/checkout into main" in text
    assert "+- [ ] 1. Add the checkout" in text


def test_comment_url_has_an_anchor(shop: Shop) -> None:
    comment = shop.github.board.add_comment(shop.pull_request, "alice", "Here")
    path, _, anchor = comment.path.partition("#")
    assert f'id="{anchor}"' in page(shop, path)


def test_everything_is_escaped(shop: Shop) -> None:
    markup = "<script>alert('x')</script>\"&"
    board = shop.github.board
    board.add_card(shop.project, markup, status="Todo", branch=markup)
    board.add_comment(shop.pull_request, "alice", markup)
    shop.pull_request.title = shop.project.title = markup
    shop.repository.git.commit("feature/checkout", {"<script>.js": markup}, markup)
    for path in ("/", "/orgs/acme/projects/1", "/acme/shop/pull/2", "/acme/shop", "/acme"):
        assert "<script" not in page(shop, path)
    assert "&lt;script&gt;" in page(shop, "/acme/shop/pull/2")


def test_commit_has_a_page(shop: Shop) -> None:
    tip = shop.repository.git.head_of("feature/checkout")
    assert f"/acme/shop/commit/{tip}" in page(shop, "/acme/shop")
    assert "Add the spec" in page(shop, f"/acme/shop/commit/{tip}")


def test_issue_and_owner_have_pages(shop: Shop) -> None:
    assert "A checkout" in page(shop, "/acme/shop/issues/1")
    assert "Deliveries" in page(shop, "/acme")


@pytest.mark.parametrize(
    "path",
    [
        "/nobody",
        "/acme/nothing",
        "/orgs/acme/projects/9",
        "/acme/shop/pull/9",
        "/acme/shop/commit/--help",
        "/..%2f..",
        "/a/b/c",
    ],
)
def test_unknown_page_is_not_found(untouched_shop: Shop, path: str) -> None:
    assert untouched_shop.request("GET", path).status == 404
