"""What users of a build leave outside their folders, in a folder that stands for the machine."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiro_worker.errors import BuildStopped
from kiro_worker.runner.sandbox.agent_user import ReservedUid
from kiro_worker.runner.sandbox.open_places import find_open_places
from kiro_worker.runner.sandbox.stray_files import StrayFiles, _remove
from tests.support.builder import as_root, needs_linux

pytestmark = [*needs_linux, as_root]


@pytest.fixture
def machine() -> Iterator[Path]:
    """A folder that every user can reach, with a workspace in it."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Path(folder)
        machine.chmod(0o755)
        (machine / "workspace").mkdir()
        (machine / "workspace/open").mkdir()
        (machine / "workspace/open").chmod(0o777)
        yield machine


def place(path: Path, mode: int, text: str | None = None) -> Path:
    """Create a folder, or a file with ``text``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        path.mkdir()
    else:
        path.write_text(text)
    path.chmod(mode)
    return path


def attempt(uid: int, command: str, *arguments: Path) -> bool:
    """Run a shell command as the user, and return whether it succeeded."""
    argv = ["sh", "-c", command, "sh", *map(str, arguments)]
    return subprocess.run(argv, user=uid, group=uid, extra_groups=[], stderr=subprocess.DEVNULL).returncode == 0


def test_open_places_are_found_at_any_depth(machine: Path) -> None:
    place(machine / "tmp", 0o1777)
    deep = place(machine / "tmp/of-root/cache", 0o777)
    script = place(machine / "usr/bin/tool", 0o777, "echo tool")
    place(machine / "usr/bin/other", 0o775, "echo other")
    place(machine / "closed/file", 0o666, "unreachable")
    (machine / "closed").chmod(0o750)
    (machine / "usr/bin/link").symlink_to("tool")
    os.mkfifo(machine / "usr/pipe")

    found = find_open_places(machine, machine / "workspace", with_files=True)

    assert sorted(found.folders) == [str(machine / "tmp"), str(deep)]
    assert found.files == [str(script)]


def test_open_file_cannot_be_changed(machine: Path) -> None:
    config = place(machine / "etc/tool.conf", 0o666, "safe")
    tool = place(machine / "go/bin/tool", 0o755, "root's")
    (machine / "go/bin").chmod(0o777)
    log: list[str] = []
    with ReservedUid() as uid:
        assert attempt(uid, 'echo evil > "$1"', config), "the attack works"
        config.write_text("safe")
        stray = StrayFiles(machine / "workspace", log.append, closes=True, top=machine)
        stray.prepare(uid)

        assert not attempt(uid, 'echo evil > "$1"', config)
        assert not attempt(uid, 'rm -f "$1"', tool)
        assert attempt(uid, 'echo evil > "$1"', tool.parent / "new")
        stray.remove(uid)

    assert (config.read_text(), config.stat().st_mode & 0o777) == ("safe", 0o664)
    assert list(tool.parent.iterdir()) == [tool]
    assert stat.S_IMODE(tool.parent.stat().st_mode) == 0o1777
    assert log == [
        f"the build's users can no longer change files of the image: {config}, {tool.parent}",
        f"removed what was left outside the build's folders: {tool.parent / 'new'}",
    ]


def test_content_of_temporary_folder_is_not_closed(machine: Path) -> None:
    """It belongs to whoever put it there."""
    file = place(machine / "tmp/of-root/file", 0o666, "safe")
    folder = place(machine / "tmp/of-root/cache", 0o777)
    (machine / "tmp").chmod(0o1777)
    with ReservedUid() as uid:
        stray = StrayFiles(machine / "workspace", print, closes=True, top=machine)
        stray.prepare(uid)
        assert attempt(uid, 'echo more > "$1/new"', folder)
        stray.remove(uid)

    assert (file.stat().st_mode & 0o777, stat.S_IMODE(folder.stat().st_mode)) == (0o666, 0o777)
    assert list(folder.iterdir()) == []


def test_machine_that_stays_is_not_changed(machine: Path) -> None:
    config = place(machine / "config", 0o666, "safe")
    folder = place(machine / "folder", 0o777)
    with ReservedUid() as uid:
        stray = StrayFiles(machine / "workspace", print, top=machine)
        stray.prepare(uid)
        assert attempt(uid, 'echo evil > "$1/new"', folder)
        stray.remove(uid)

    assert (config.stat().st_mode & 0o777, stat.S_IMODE(folder.stat().st_mode)) == (0o666, 0o777)
    assert list(folder.iterdir()) == []


def test_leftovers_of_an_earlier_build_are_removed(machine: Path) -> None:
    """Two builds can have the same ID, and the first may have been killed."""
    folder = place(machine / "tmp", 0o1777)
    with ReservedUid() as uid:
        assert attempt(uid, 'mkdir "$1/left" && echo evil > "$1/left/file"', folder)
        StrayFiles(machine / "workspace", print, top=machine).prepare(uid)

    assert list(folder.iterdir()) == []


NAME = "d" * 100
DEEP = f'cd "$1" && for i in $(seq 50); do mkdir {NAME} && cd -P {NAME} || exit; done'
"""Makes folders in each other until their path is longer than the system accepts."""


def test_folder_too_deep_for_a_path_stops_no_build(machine: Path) -> None:
    """Every user of the machine can make one."""
    subprocess.run(["sh", "-c", DEEP, "sh", machine], check=True)
    with ReservedUid() as uid:
        StrayFiles(machine / "workspace", print, top=machine).remove(uid)
    subprocess.run(["rm", "-rf", machine / NAME], check=True)


def test_deep_folder_is_removed(machine: Path) -> None:
    folder = place(machine / "tmp", 0o1777)
    stray = StrayFiles(machine / "workspace", print, top=machine)
    with ReservedUid() as uid:
        assert attempt(uid, DEEP, folder)
        stray.remove(uid)

    assert list(folder.iterdir()) == []


def test_what_cannot_be_removed_is_an_error() -> None:
    with pytest.raises(BuildStopped, match=r"/proc/self/task was left by a user of the build and cannot be removed"):
        _remove("/proc/self/task")
