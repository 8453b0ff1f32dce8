"""A program that takes git's place on the PATH: it answers by a script, records its commands and takes milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Skips git's own options, so that "$*" begins with the command.
_PROGRAM = """\
#!/bin/sh
while :; do
    case $1 in
    --git-dir=*) directory=${{1#--git-dir=}}; shift;;
    -c) shift 2;;
    -*) shift;;
    *) break;;
    esac
done
echo "$*" >> '{log}'
case "$*" in
{answers}
esac
"""


@dataclass(frozen=True)
class ScriptedGit:
    """``commands`` are the arguments of every call so far, without git's own options."""

    folder: Path

    @classmethod
    def install(cls, folder: Path, answers: Mapping[str, str]) -> ScriptedGit:
        """Answer each command by the shell code of the first pattern that matches it, or else with nothing.

        ``$directory`` is the repository.
        """
        folder.mkdir(parents=True)
        program = folder / "git"
        cases = "".join(f"{pattern.replace(' ', chr(92) + ' ')}) {code};;\n" for pattern, code in answers.items())
        program.write_text(_PROGRAM.format(log=folder / "commands", answers=cases))
        program.chmod(0o755)
        return cls(folder)

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.folder}:/usr/bin:/bin"}

    @property
    def commands(self) -> list[str]:
        log = self.folder / "commands"
        return log.read_text().splitlines() if log.exists() else []
