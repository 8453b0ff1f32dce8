"""Trees as git lists them, on a real repository."""

from __future__ import annotations

from pathlib import Path

from kiro_worker.runner.repository.entries import (
    EXECUTABLE_FILE,
    GITLINK,
    REGULAR_FILE,
    SYMLINK,
    TreeEntry,
    encode_path,
    find_entry,
    list_tree,
)
from tests.support.bare_repository import bare_repository, write_blob, write_commit

PATHS = {
    b"deep/er/link": SYMLINK,
    b"lib": GITLINK,
    b"not utf-8 \xff\t\n": REGULAR_FILE,
    b"tool": EXECUTABLE_FILE,
}


def test_every_kind_of_entry_is_listed(tmp_path: Path) -> None:
    git = bare_repository(tmp_path)
    blob, linked = write_blob(git, b"x"), "1" * 40
    objects = {path: (mode, linked if mode == GITLINK else blob) for path, mode in PATHS.items()}
    commit = write_commit(git, objects)

    entries = list_tree(git, commit)

    assert [(encode_path(entry.path), entry.mode) for entry in entries] == sorted(PATHS.items())
    assert [entry.is_regular_file for entry in entries] == [False, False, True, True]
    assert list_tree(git, commit, SYMLINK) == [TreeEntry(SYMLINK, "blob", blob, "deep/er/link")]
    assert list_tree(git, commit, GITLINK, SYMLINK) == entries[:2]
    assert list_tree(git, commit, "040000") == []


def test_entry_is_found_by_path(tmp_path: Path) -> None:
    git = bare_repository(tmp_path)
    blob = write_blob(git, b"x")
    commit = write_commit(git, dict.fromkeys((b"a file", b"folder/file", b"a*"), (REGULAR_FILE, blob)))

    assert find_entry(git, commit, "a file") == TreeEntry(REGULAR_FILE, "blob", blob, "a file")
    assert find_entry(git, commit, "folder/file") == TreeEntry(REGULAR_FILE, "blob", blob, "folder/file")
    assert find_entry(git, commit, "a*") == TreeEntry(REGULAR_FILE, "blob", blob, "a*")
    assert find_entry(git, commit, "f*") is None
    folder = find_entry(git, commit, "folder")
    assert folder
    assert (folder.kind, folder.is_regular_file) == ("tree", False)


def test_index_lines_restore_tree(tmp_path: Path) -> None:
    git = bare_repository(tmp_path)
    blob = write_blob(git, b"x")
    commit = write_commit(git, {path: (mode, "1" * 40 if mode == GITLINK else blob) for path, mode in PATHS.items()})
    lines = [entry.index_line + b"\0" for entry in list_tree(git, commit)]
    git.run("read-tree", "--empty")

    git.run("update-index", "-z", "--index-info", stdin=b"".join(lines))

    assert git.text("write-tree") == git.text("rev-parse", f"{commit}^{{tree}}")
