"""The batch API and the transfers of Git LFS, with the requests that git-lfs sends."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from kiro_local.github.faults import Fault, FaultKind
from kiro_local.github.lfs_http import MEDIA_TYPE, add_object

if TYPE_CHECKING:
    from tests.integration.kiro_local.github.conftest import Shop

CONTENT = b"\0picture\n"
OID = hashlib.sha256(CONTENT).hexdigest()
BATCH = "/acme/shop.git/info/lfs/objects/batch"


def send(shop: Shop, method: str, path: str, body: bytes = b"", token: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(shop.github.git_url).netloc, timeout=30)
    basic = base64.b64encode(f"worker:{token or shop.token}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": MEDIA_TYPE}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    status, content = answer.status, answer.read()
    connection.close()
    return status, content


def batch(shop: Shop, operation: str, oid: str = OID) -> dict[str, Any]:
    document = {"operation": operation, "transfers": ["basic"], "objects": [{"oid": oid, "size": len(CONTENT)}]}
    status, body = send(shop, "POST", BATCH, json.dumps(document).encode())
    assert status == 200, body
    answer: dict[str, Any] = json.loads(body)["objects"][0]
    return answer


def test_object_is_uploaded_and_downloaded(shop: Shop) -> None:
    action = batch(shop, "upload")["actions"]["upload"]
    assert action["href"] == f"{shop.github.git_url}/acme/shop.git/info/lfs/objects/{OID}"
    assert action["header"]["Authorization"].startswith("Basic ")
    assert batch(shop, "download")["error"]["code"] == 404

    assert send(shop, "PUT", urlsplit(action["href"]).path, CONTENT)[0] == 200

    assert "actions" not in batch(shop, "upload"), "the object exists"
    path = urlsplit(batch(shop, "download")["actions"]["download"]["href"]).path
    assert send(shop, "GET", path) == (200, CONTENT)
    assert [each.variables["oid"] for each in shop.github.requests.git("lfs-upload")] == [OID]


def test_object_with_wrong_hash_is_rejected(shop: Shop) -> None:
    assert send(shop, "PUT", f"/acme/shop.git/info/lfs/objects/{OID}", b"another")[0] == 422
    assert send(shop, "GET", f"/acme/shop.git/info/lfs/objects/{OID}")[0] == 404


def test_lfs_has_the_permissions_of_git(shop: Shop) -> None:
    add_object(shop.repository, CONTENT)
    path = f"/acme/shop.git/info/lfs/objects/{OID}"
    assert send(shop, "GET", path, token="nobody's")[0] == 401
    assert send(shop, "POST", BATCH, b"{}", token="nobody's")[0] == 401
    assert send(shop, "GET", path.replace("shop", "another"))[0] == 404
    shop.repository.is_archived = True
    assert send(shop, "PUT", path, CONTENT)[0] == 403
    assert send(shop, "GET", path)[0] == 200


@pytest.mark.parametrize("body", [b"", b"[]", b'{"operation": "upload"}', b'{"operation": "x", "objects": []}'])
def test_malformed_batch_is_rejected(shop: Shop, body: bytes) -> None:
    assert send(shop, "POST", BATCH, body)[0] == 422


def test_fault_matches_lfs_operation(shop: Shop) -> None:
    shop.github.faults.add_fault(Fault(FaultKind.FORBIDDEN, "lfs-upload"))
    assert batch(shop, "upload")["actions"]
    assert send(shop, "PUT", f"/acme/shop.git/info/lfs/objects/{OID}", CONTENT)[0] == 403
    assert send(shop, "PUT", f"/acme/shop.git/info/lfs/objects/{OID}", CONTENT)[0] == 200
