"""Git LFS over HTTP: the batch API and its basic transfers. The objects are files inside the board's repositories.

https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kiro_local.github.board import Board
    from kiro_local.github.model import Repository

MEDIA_TYPE: Final = "application/vnd.git-lfs+json"
LARGEST_BATCH: Final = 1_000_000
"""The largest body of a batch request that is read, in bytes."""
_PATH: Final = re.compile(
    r"/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/info/lfs/objects/(?:batch|(?P<oid>[0-9a-f]{64}))", re.ASCII
)
_OID: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class LfsRequest:
    """One LFS request.

    ``operation`` is its name for faults and the request log: ``lfs-batch``, ``lfs-download`` or ``lfs-upload``.
    ``repository`` is ``None`` if no repository of that name exists; ``oid`` is empty for a batch.
    """

    repository: Repository | None
    name_with_owner: str
    operation: str
    oid: str = ""

    @property
    def writes(self) -> bool:
        return self.operation == "lfs-upload"


def parse_lfs_request(board: Board, method: str, path: str) -> LfsRequest | None:
    """The LFS request that a method and a path stand for, or ``None`` if they are something else."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    oid = match["oid"] or ""
    operation = {"GET": "lfs-download", "PUT": "lfs-upload"}.get(method) if oid else {"POST": "lfs-batch"}.get(method)
    if operation is None:
        return None
    name = f"{match['owner']}/{match['name']}"
    return LfsRequest(board.repository(name), name, operation, oid)


def object_file(repository: Repository, oid: str) -> Path:
    """The path of an object, whether or not it exists yet."""
    return repository.git.path / "lfs" / "objects" / oid


def add_object(repository: Repository, content: bytes) -> str:
    """Store an object on the server and return the pointer file to commit."""
    oid = hashlib.sha256(content).hexdigest()
    store_object(repository, oid, [content])
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"


def store_object(repository: Repository, oid: str, pieces: Iterable[bytes]) -> bool:
    """Read all pieces, store them if they hash to ``oid``, and return whether they do."""
    target = object_file(repository, oid)
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    descriptor, name = tempfile.mkstemp(dir=target.parent.parent)
    with os.fdopen(descriptor, "wb") as file:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != oid:
        Path(name).unlink()
        return False
    Path(name).replace(target)
    return True


def batch_answer(repository: Repository, raw: bytes, url: str, authorization: str) -> tuple[int, dict[str, Any]]:
    """Status and document of the answer to a batch request.

    ``url`` is the repository's ``…/info/lfs``. As on GitHub, each action carries the header that authorizes it.
    """
    try:
        batch = json.loads(raw)
        operation, objects = batch["operation"], [(str(each["oid"]), int(each["size"])) for each in batch["objects"]]
    except (ValueError, TypeError, KeyError):
        return 422, {"message": "Problems parsing JSON"}
    if operation not in ("download", "upload") or not all(_OID.fullmatch(oid) for oid, _ in objects):
        return 422, {"message": "Validation failed"}
    answers = []
    for oid, size in objects:
        answer: dict[str, Any] = {"oid": oid, "size": size}
        exists = object_file(repository, oid).is_file()
        if operation == "download" and not exists:
            answer["error"] = {"code": 404, "message": "Object does not exist on the server"}
        elif operation == "download" or not exists:
            action = {"href": f"{url}/objects/{oid}", "header": {"Authorization": authorization}}
            answer |= {"authenticated": True, "actions": {operation: action}}
        answers.append(answer)
    return 200, {"transfer": "basic", "objects": answers, "hash_algo": "sha256"}
