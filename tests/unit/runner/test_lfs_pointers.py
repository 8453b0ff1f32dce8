"""Which committed files are LFS pointers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kiro_worker.runner.repository.entries import REGULAR_FILE, SYMLINK
from kiro_worker.runner.repository.lfs import Pointer, new_pointers, touched_pointers
from tests.support.bare_repository import bare_repository, write_blob, write_commit

OID = hashlib.sha256(b"x").hexdigest()
POINTERS = [
    "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 1\n",
    "\n version https://hawser.github.com/spec/v1\r\noid sha256:{oid}\r\nsize 1\r\n",
    "version http://git-media.io/v/2\next-0-x sha256:{other}\noid sha256:{oid}\nsize 1",
]


@pytest.mark.parametrize("text", POINTERS)
def test_every_form_of_pointer_is_recognized(tmp_path: Path, text: str) -> None:
    git = bare_repository(tmp_path)
    pointer = write_blob(git, text.format(oid=OID, other="1" * 64).encode())
    files = {
        b"a/ b\n.bin": (REGULAR_FILE, pointer),
        b"link": (SYMLINK, pointer),
        b"other.txt": (REGULAR_FILE, write_blob(git, f"see oid sha256:{OID}\n".encode())),
    }
    before = write_commit(git, {b"README.md": (REGULAR_FILE, write_blob(git, b"# shop\n"))})
    after = write_commit(git, files, before)

    assert new_pointers(git, f"{before}..{after}") == (Pointer("a/ b\n.bin", OID),)
    assert touched_pointers(git, f"{before}..{after}", after) == (Pointer("a/ b\n.bin", OID),)
    assert not new_pointers(git, f"{after}..{after}")
