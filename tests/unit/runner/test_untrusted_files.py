"""Files are written and removed only inside the folder, even if it contains hostile links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kiro_worker.runner.sandbox.untrusted_files import empty_folder, place_file, remove_file


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file beside the folder, which must stay as it is."""
    file = tmp_path / "outside"
    file.write_text("kept\n")
    return file


@pytest.fixture
def folder(tmp_path: Path, outside: Path) -> Path:
    """A folder with links out of it, a hard link to a file outside, and a pipe."""
    folder = tmp_path / "tree"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "tasks.md").write_text("- [ ] 1. Work\n")
    (folder / "link").symlink_to(outside)
    (folder / "parent").symlink_to(tmp_path)
    os.link(outside, folder / "hard-link")
    os.mkfifo(folder / "pipe")
    return folder


def test_file_can_be_replaced(folder: Path) -> None:
    remove_file(folder, "a/tasks.md")
    place_file(folder, "a/tasks.md", b"- [x] 1.\n")

    assert (folder / "a" / "tasks.md").read_bytes() == b"- [x] 1.\n"


def test_missing_parents_are_created(folder: Path) -> None:
    place_file(folder, "b/c/new.md", b"new\n")

    assert (folder / "b" / "c" / "new.md").read_bytes() == b"new\n"


@pytest.mark.parametrize(
    "name", ["link", "hard-link", "pipe", "a", "parent/outside", "parent/new", "../outside", "../new", "/etc/passwd"]
)
def test_nothing_is_written_through_links(folder: Path, outside: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"."):
        place_file(folder, name, b"lost\n")

    assert outside.read_text() == "kept\n"
    assert not (outside.parent / "new").exists()


@pytest.mark.parametrize("name", ["link", "hard-link", "pipe"])
def test_placed_file_replaces_removed_link(folder: Path, outside: Path, name: str) -> None:
    remove_file(folder, name)
    place_file(folder, name, b"new\n")

    assert (folder / name).read_bytes() == b"new\n"
    assert not (folder / name).is_symlink()
    assert outside.read_text() == "kept\n"


@pytest.mark.parametrize("name", ["a", "parent/outside", "../outside", "/etc/passwd"])
def test_nothing_is_removed_outside_folder(folder: Path, outside: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"."):
        remove_file(folder, name)

    assert outside.exists()
    assert (folder / "a" / "tasks.md").exists()


@pytest.mark.parametrize("name", ["link/inner", "parent/inner", "pipe/inner", "hard-link/inner"])
def test_empty_folder_replaces_links_above_it(folder: Path, outside: Path, name: str) -> None:
    empty_folder(folder, name)

    assert list((folder / name).iterdir()) == []
    assert outside.read_text() == "kept\n"
    assert not (outside.parent / "inner").exists()


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../outside"])
def test_empty_folder_refuses_paths_out_of_it(folder: Path, outside: Path, name: str) -> None:
    with pytest.raises(PermissionError, match="leads out of the folder"):
        empty_folder(folder, name)

    assert outside.read_text() == "kept\n"
