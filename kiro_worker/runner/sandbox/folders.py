"""The folders that a user of the build works in, and how they change hands."""

from __future__ import annotations

import contextlib
import stat
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kiro_worker.runner.sandbox.untrusted_files import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Folders:
    """The checkout, the home and the folder for temporary files in ``workspace``.

    Every user finds its own at these same paths, because installed dependencies remember paths. Those of the users
    that do not work at the moment are in folders that only the runner can enter.
    """

    workspace: Path

    @property
    def checkout(self) -> Path:
        return self.workspace / "checkout"

    @property
    def home(self) -> Path:
        return self.workspace / "home"

    @property
    def temporary(self) -> Path:
        return self.workspace / "tmp"

    @property
    def private(self) -> tuple[Path, Path]:
        """The folders that no other user may enter."""
        return self.home, self.temporary

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Move the folders away, so that new ones can take their places, and put them back at the end."""
        kept = self.closed_folder("aside")
        self.move_to(kept)
        try:
            yield
        finally:
            discarded = self.closed_folder("discarded")
            self.move_to(discarded)
            for folder in kept.iterdir():
                folder.rename(self.workspace / folder.name)
            kept.rmdir()
            remove_tree(discarded)

    def move_to(self, folder: Path) -> None:
        """Move those of the folders that exist to ``folder``."""
        for path in (self.checkout, *self.private):
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISDIR(path.lstat().st_mode):
                    # To move a folder, a user other than root must be allowed to write to it.
                    path.chmod(0o700)
                path.rename(folder / path.name)

    def closed_folder(self, name: str) -> Path:
        """Return a new folder in the workspace that only the runner can enter."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.workspace))
