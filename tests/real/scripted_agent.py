"""An agent that carries out each task as a file says: ``scripted_agent.py FILE``.

The file maps a repository, by a file that exists in it, to its tasks, and the number of a task to edits:
``{"path": …, "text": …}`` writes a file, ``"append"`` adds to its end, and ``"old"`` with ``"new"`` replaces the only
occurrence of a text. Like any agent it is a separate program, so it imports only the standard library. It ticks no box,
because the worker decides which tasks are done.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


def main(script: str) -> int:
    repositories = json.loads(Path(script).read_text())
    edits = next(tasks for marker, tasks in repositories.items() if Path(marker).exists())
    numbers = re.findall(r"^- (\d[\d.]*\d|\d)\.? ", sys.stdin.read(), re.MULTILINE)
    for number in numbers:
        for edit in edits.get(number, ()):
            apply(edit)
            print(f"Task {number}: edited {edit['path']}", flush=True)
    return 0


def apply(edit: dict[str, str]) -> None:
    path = Path(edit["path"])
    if "text" in edit:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(edit["text"])
        return
    text = path.read_text()
    if "append" in edit:
        path.write_text(text.rstrip("\n") + "\n" + edit["append"])
        return
    if text.count(edit["old"]) != 1:
        raise SystemExit(f"{path} contains {edit['old']!r} {text.count(edit['old'])} times, not once")
    path.write_text(text.replace(edit["old"], edit["new"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
