"""What setup created: kept apart from the commit, and copied without any effect on the original."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kiro_worker.runner.gate.snapshot import Snapshot
from kiro_worker.runner.sandbox.folders import Folders
from kiro_worker.runner.sandbox.tree_copy import TreeCopy


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "workspace")
    for folder in (folders.checkout, *folders.private):
        folder.mkdir(parents=True)
    return folders


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_snapshot_has_no_file_of_the_commit(folders: Folders) -> None:
    write(folders.checkout, "a.py", "shop/b.py", "shop/made.so", ".git/HEAD", "lib/x", "sub/module.py", "gone/c.py")
    write(folders.checkout, "shop/__pycache__/b.pyc", "lib/__pycache__/x.pyc", "node_modules/m/index.js")

    snapshot = Snapshot.take(folders, "c" * 40, ["a.py", "shop/b.py", "sub", "gone/c.py"])

    assert tree(snapshot.folder / "checkout") == [
        *("lib", "lib/__pycache__", "lib/__pycache__/x.pyc", "lib/x", "node_modules", "node_modules/m"),
        *("node_modules/m/index.js", "shop", "shop/made.so"),
    ]
    assert snapshot.created == ("lib", "node_modules/m", "shop/made.so")
    assert not folders.checkout.exists()
    assert snapshot.folder.stat().st_mode & 0o777 == 0o700


def test_setup_cannot_replace_what_the_commit_has(folders: Folders, tmp_path: Path) -> None:
    """Not with a link that leads out, which the removal must not follow, and not with a folder in place of a file."""
    write(tmp_path, "outside/b.py")
    write(folders.checkout, "a.py/planted")
    (folders.checkout / "shop").symlink_to(tmp_path / "outside")

    snapshot = Snapshot.take(folders, "c" * 40, ["a.py", "shop/b.py"])

    assert tree(snapshot.folder / "checkout") == []
    assert (tmp_path / "outside" / "b.py").exists()


def test_files_of_the_commit_win(folders: Folders) -> None:
    write(folders.checkout, "made/file", "made/added", "other/file", "plain")
    write(folders.home, ".gitconfig")
    snapshot = Snapshot.take(folders, "c" * 40, [])
    write(folders.checkout, "made/file", "plain/is/a/folder")
    (folders.checkout / "made/file").write_text("of the commit")
    (folders.checkout / "other").symlink_to("made")

    snapshot.restore(folders, None)

    assert (folders.checkout / "made/file").read_text() == "of the commit"
    assert (folders.checkout / "other").is_symlink()
    assert tree(folders.checkout / "made") == ["added", "file"]
    assert tree(folders.checkout / "plain") == ["is", "is/a", "is/a/folder"]
    assert tree(folders.home) == [".gitconfig"], "the gate gets the whole home"


def test_new_files_beside_setups_are_committed(folders: Folders) -> None:
    """A folder counts as setup's only if it put files there, not only folders."""
    write(folders.checkout, "src/shop.egg-info/PKG-INFO", "odd [name]*/file ", "line\nend")
    snapshot = Snapshot.take(folders, "c" * 40, [])
    folders.checkout.mkdir()
    repository = folders.checkout
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    (repository / ".git/info/exclude").write_text(snapshot.ignore_patterns)
    write(repository, "src/shop.egg-info/PKG-INFO", "odd [name]*/file ", "line\nend", "src/shop.py", "odd n*/file")

    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-standard"], cwd=repository, capture_output=True, check=True
    )

    assert sorted(listed.stdout.decode().split("\0")[:-1]) == ["odd n*/file", "src/shop.py"]


@pytest.mark.parametrize(
    ("change", "is_unchanged"),
    [
        ("true", True),
        ("echo same > new; cat file > new; mv new file", True),
        ("printf FILE > file", False),
        ("chmod +x file", False),
        ("rm file; ln -s x file", False),
        ("rm file; mkdir file", False),
        ("rm file", False),
    ],
)
def test_change_to_setups_file_is_noticed(folders: Folders, change: str, is_unchanged: bool) -> None:
    write(folders.checkout, "file")
    snapshot = Snapshot.take(folders, "c" * 40, [])
    snapshot.lend(folders, None)

    subprocess.run(["sh", "-eu", "-c", change], cwd=folders.checkout, check=True)

    assert snapshot.has_unchanged(folders, "file") is is_unchanged


def test_link_and_new_file_beside_setups(folders: Folders) -> None:
    write(folders.checkout, "folder/file")
    for name in ("kept", "moved"):
        (folders.checkout / name).symlink_to("/nowhere")
    snapshot = Snapshot.take(folders, "c" * 40, [])
    snapshot.lend(folders, None)
    write(folders.checkout, "folder/new", "folder/file2/x")
    (folders.checkout / "moved").unlink()
    (folders.checkout / "moved").symlink_to("/elsewhere")

    paths = ("kept", "moved", "folder/file", "folder/new", "folder/file/x")
    assert [path for path in paths if snapshot.has_unchanged(folders, path)] == ["kept", "folder/file"]


def test_agent_gets_no_settings_from_setups_home(folders: Folders, tmp_path: Path) -> None:
    write(folders.home, ".kiro/steering/x.md", ".claude/settings.json", ".cache/pip/x", ".local/lib/y", ".gitconfig")
    write(tmp_path, "outside/secret")
    (folders.home / ".m2").symlink_to(tmp_path / "outside")
    snapshot = Snapshot.take(folders, "c" * 40, [])

    snapshot.lend(folders, None)

    assert [path for path in tree(folders.home) if (folders.home / path).is_file()] == [".cache/pip/x", ".local/lib/y"]


def test_changes_to_copy_do_not_reach_original(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    write(source, "file", "folder/file")
    TreeCopy(None).copy(source, target)

    (target / "file").write_text("changed")
    (target / "folder/file").chmod(0)
    os.utime(target / "folder", (1, 1))

    assert (source / "file").read_text() == "file"
    assert (source / "folder/file").stat().st_mode & 0o777 == 0o644
    assert (source / "folder").stat().st_mtime > 1


def test_copy_keeps_what_programs_rely_on(tmp_path: Path) -> None:
    first, second, target = tmp_path / "first", tmp_path / "second", tmp_path / "target"
    write(first, "folder/file", "tool")
    second.mkdir()
    (second / "linked").hardlink_to(first / "folder/file")
    (first / "link").symlink_to("/nowhere")
    (first / "tool").chmod(0o6755)
    os.mkfifo(first / "pipe")
    os.utime(first / "folder/file", ns=(1, 1_234_567_890_123_456_789))
    os.utime(first / "folder", ns=(1, 1_000_000_000))

    copy = TreeCopy(None)
    copy.copy(first, target / "first")
    copy.copy(second, target / "second")

    file = (target / "first/folder/file").stat()
    assert file.st_mtime_ns == 1_234_567_890_123_456_789
    assert file.st_ino == (target / "second/linked").stat().st_ino
    assert file.st_ino != (first / "folder/file").stat().st_ino
    assert (target / "first/folder").stat().st_mtime_ns == 1_000_000_000
    assert (target / "first/link").readlink() == Path("/nowhere")
    assert (target / "first/tool").stat().st_mode & 0o7777 == 0o755
    assert not (target / "first/pipe").exists()


def test_folders_come_back_after_an_error(folders: Folders) -> None:
    write(folders.checkout, "mine")

    def fail() -> None:
        with folders.set_aside():
            assert not any(folder.exists() for folder in (folders.checkout, *folders.private))
            write(folders.checkout, "other/deep")
            (folders.checkout / "other").chmod(0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert tree(folders.workspace) == ["checkout", "checkout/mine", "home", "tmp"]
