from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from kiro_local.github.faults import Fault, FaultKind, Faults

if TYPE_CHECKING:
    from tests.integration.kiro_local.github.conftest import Shop

VIEWER = "query Viewer { viewer { login } }"
COMMENT = 'mutation Say($s: ID!) { addComment(input: {subjectId: $s, body: "Hello"}) { subject { id } } }'
NO_ANSWER = (ConnectionError, http.client.BadStatusLine)


def inject(shop: Shop, kind: str, operation: str | None = None, **more: Any) -> None:
    shop.github.faults.add(kind, operation, **more)


def test_fault_affects_given_number_of_requests(shop: Shop) -> None:
    inject(shop, "bad_gateway", times=2)
    assert [shop.post(VIEWER).status for _ in range(4)] == [502, 502, 200, 200]


def test_fault_lasts_until_cleared(shop: Shop) -> None:
    inject(shop, "bad_gateway", times=None)
    assert [shop.post(VIEWER).status for _ in range(3)] == [502, 502, 502]
    shop.github.faults.clear()
    assert shop.post(VIEWER).status == 200


def test_fault_matches_only_its_operation(shop: Shop) -> None:
    inject(shop, "bad_gateway", "Other")
    assert shop.post(VIEWER).status == 200
    assert shop.post("query Other { viewer { login } }").status == 502
    assert [logged.fault for logged in shop.github.requests] == ["", "bad_gateway"]


def test_unauthorized_is_a_401(shop: Shop) -> None:
    inject(shop, "unauthorized")
    answer = shop.post(VIEWER)
    assert (answer.status, answer.json["message"]) == (401, "Bad credentials")


def test_insufficient_scopes_is_an_error(shop: Shop) -> None:
    inject(shop, "insufficient_scopes")
    answer = shop.post('{ organization(login: "acme") { projectV2(number: 1) { id } } }')
    assert (answer.status, answer.json["errors"][0]["type"]) == (200, "INSUFFICIENT_SCOPES")
    assert answer.headers["x-oauth-scopes"] == "repo"


def test_forbidden_is_an_error(shop: Shop) -> None:
    inject(shop, "forbidden")
    answer = shop.post(VIEWER)
    assert (answer.status, answer.json["errors"][0]["type"]) == (200, "FORBIDDEN")


def test_primary_limit_is_an_error_with_reset(shop: Shop) -> None:
    inject(shop, "rate_limited", seconds=120)
    answer = shop.post(VIEWER)
    assert answer.status == 200
    assert answer.json == {
        "errors": [
            {
                "type": "RATE_LIMIT",
                "code": "graphql_rate_limit",
                "message": "API rate limit already exceeded for user ID worker.",
            }
        ]
    }
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert 100 < int(answer.headers["x-ratelimit-reset"]) - time.time() <= 121


@pytest.mark.parametrize("status", [403, 200])
def test_secondary_limit_sends_retry_after(shop: Shop, status: int) -> None:
    inject(shop, "secondary_limit", seconds=7, status=status)
    answer = shop.post(VIEWER)
    assert (answer.status, answer.headers["retry-after"]) == (status, "7")
    assert "You have exceeded a secondary rate limit" in answer.text
    assert answer.headers["x-ratelimit-remaining"] == "5000"


def test_secondary_limit_without_retry_after(shop: Shop) -> None:
    inject(shop, "secondary_limit")
    assert "retry-after" not in shop.post(VIEWER).headers


def test_bad_gateway_is_an_html_page(shop: Shop) -> None:
    inject(shop, "bad_gateway")
    answer = shop.post(VIEWER)
    assert answer.status == 502
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


def test_slow_answer_is_complete(shop: Shop) -> None:
    inject(shop, "slow", seconds=0.3)
    start = time.monotonic()
    assert shop.post(VIEWER).json["data"] == {"viewer": {"login": "worker"}}
    assert time.monotonic() - start >= 0.3


def test_slow_answer_does_not_delay_stop(shop: Shop) -> None:
    inject(shop, "slow", seconds=600)
    connection = http.client.HTTPConnection(shop.github.base_url.removeprefix("http://"), timeout=20)
    connection.request("POST", "/graphql", json.dumps({"query": VIEWER}), {"authorization": f"bearer {shop.token}"})
    while shop.github.faults.pending():
        time.sleep(0.01)
    start = time.monotonic()
    shop.github.stop()
    assert time.monotonic() - start < 5
    connection.close()


def test_reset_changes_nothing(shop: Shop) -> None:
    inject(shop, "reset")
    with pytest.raises(NO_ANSWER):
        shop.post(COMMENT, s=shop.pull_request.id)
    assert shop.pull_request.comments == []
    assert [logged.status for logged in shop.github.requests] == [0]


def test_lost_answer_keeps_the_change(shop: Shop) -> None:
    inject(shop, "lost_answer", "Say")
    with pytest.raises(NO_ANSWER):
        shop.post(COMMENT, s=shop.pull_request.id)
    assert [comment.body for comment in shop.pull_request.comments] == ["Hello"]
    assert [(logged.status, logged.cost) for logged in shop.github.requests] == [(0, 1)]
    assert shop.post(COMMENT, s=shop.pull_request.id).status == 200


JSON = {"content-type": "application/json"}


def test_fault_is_added_over_http(shop: Shop) -> None:
    body = {"kind": "secondary_limit", "operation": "Viewer", "times": 1, "seconds": 3, "status": 200}
    answer = shop.request("POST", "/_stand_in/faults", json.dumps(body), JSON)
    assert (answer.status, answer.json) == (201, body)
    assert shop.request("GET", "/_stand_in/faults").json == [body]
    assert shop.post(VIEWER).headers["retry-after"] == "3"
    assert shop.request("GET", "/_stand_in/faults").json == []


def test_faults_are_cleared_over_http(shop: Shop) -> None:
    inject(shop, "bad_gateway", times=None)
    assert shop.request("DELETE", "/_stand_in/faults").status == 200
    assert shop.post(VIEWER).status == 200


def test_request_log_is_read_over_http(shop: Shop) -> None:
    shop.post(VIEWER)
    (logged,) = shop.request("GET", "/_stand_in/requests").json
    assert (logged["operation"], logged["cost"], logged["status"]) == ("Viewer", 1, 200)
    assert shop.token not in json.dumps(logged)


def test_plain_text_fault_is_rejected(shop: Shop) -> None:
    assert shop.request("POST", "/_stand_in/faults", '{"kind": "reset"}', {"content-type": "text/plain"}).status == 415
    assert shop.github.faults.pending() == ()


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{", '{"kind": "nonsense"}', '{"kind": "slow", "seconds": "1"}', '{"kind": "slow", "more": 1}',
     '{"kind": "slow", "times": true}', '{"kind": "slow", "operation": 5}', '{"seconds": 1}'],
)  # fmt: skip
def test_invalid_fault_is_rejected(untouched_shop: Shop, body: str) -> None:
    answer = untouched_shop.request("POST", "/_stand_in/faults", body, JSON)
    assert (answer.status, answer.json["kinds"]) == (400, [str(kind) for kind in FaultKind])
    assert untouched_shop.github.faults.pending() == ()


def test_git_matches_every_git_request() -> None:
    faults = Faults()
    faults.add_fault(Fault(FaultKind.RESET, "git", times=None))
    assert faults.take("FetchWorkItem") is None
    assert faults.take("git-upload-pack-refs") is not None
    assert faults.take("git-receive-pack") is not None
