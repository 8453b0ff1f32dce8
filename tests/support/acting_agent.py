"""An agent that acts on each task as a test says, and notes which tasks it was asked for."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.worker import BRANCH, Finished, Worker

_SCRIPT = r"""
import json, pathlib, re, sys
prompt = sys.stdin.read()
actions, log = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
path = pathlib.Path(re.search(r"\S+/tasks\.md", prompt)[0])
text = path.read_bytes().decode()
lines = text.split("\n")
named = re.search(r"It begins on line (\d+) of", prompt)
# A prompt for all tasks names no lines.
titles = {number: re.search(r"\[ \]\*? (.+)", line) for number, line in enumerate(lines, 1)}
listed = [str(number) for number, title in titles.items() if title and f"\n- {title[1]}\n" in prompt]
asked = [named[1]] if named else listed
log.write_text(log.read_text() + "".join(f"{number}\n" for number in asked))

def mark(number, mark):
    lines[int(number) - 1] = re.sub(r"\[.\]", f"[{mark}]", lines[int(number) - 1], count=1)

code = 0
for number in asked:
    action = actions.get(number, "work")
    if action in ("work", "work and tick", "work and rewrite", "leave in progress", "fail", "break"):
        pathlib.Path("work").mkdir(exist_ok=True)
        with open(f"work/{number}", "a") as file:
            file.write(action + "\n")
    if action in ("work and tick", "only tick"):
        mark(number, "x")
    if action == "leave in progress":
        mark(number, "-")
    if action in ("tick everything", "work and rewrite"):
        lines = [re.sub(r"\[[ ~-]\]", "[x]", line, count=1) for line in lines]
    if action in ("only rewrite", "work and rewrite"):
        lines = [line.replace("Task", "Done") for line in lines] + ["", "All done!"]
    if action == "break":
        pathlib.Path("broken").write_text("")
    if action == "fail":
        code = 3
path.write_bytes("\n".join(lines).encode())
sys.exit(code)
"""

GATE = "test ! -e broken && echo 'Ran 1 test in 0.001s'"
"""A test command, for a shell, that passes unless an agent broke the project."""


class ActingAgent:
    """``actions`` maps the line of a task, from 1, to what the agent does when it is asked for that task.

    ``work`` changes a file of its own, and so do ``work and tick``, ``work and rewrite`` (rewrites the list of tasks,
    too), ``leave in progress``, ``break`` (the tests fail from then on) and ``fail`` (exits with 3). ``only tick``,
    ``tick everything`` and ``only rewrite`` change nothing but the list, and ``idle`` changes nothing. The default is
    ``work``.
    """

    def __init__(self, worker: Worker, mode: str = "task", **configuration: Any) -> None:
        self._worker = worker
        self._script = worker.folder / "acting-agent.py"
        self._actions = worker.folder / "actions.json"
        self._log = worker.folder / "asked"
        self._script.write_text(_SCRIPT)
        command = [sys.executable, "-IS", *map(str, (self._script, self._actions, self._log))]
        agent = {"command": command, "timeoutMinutes": 5, "mode": mode}
        worker.configure(agent, test=["sh", "-c", GATE], **configuration)

    def plan(self, tasks: str, branch: str = BRANCH) -> str:
        """Commit ``tasks`` to the branch, and return the commit."""
        path = f".kiro/specs/{branch.replace('/', '-')}/tasks.md"
        return self._worker.repository.git.commit(branch, {path: tasks}, "Plan", base="main")

    def build(self, commit: str, actions: Mapping[int, str] | None = None, branch: str = BRANCH) -> Finished:
        """Build ``commit`` of the branch."""
        self._actions.write_text(json.dumps(actions or {}))
        self._log.write_text("")
        self._log.chmod(0o666)
        spec = f".kiro/specs/{branch.replace('/', '-')}"
        return self._worker.run(COMMIT_SHA=commit, BRANCH_NAME=branch, SPEC_PATH=spec)

    @property
    def asked(self) -> list[int]:
        """The lines of the tasks that the last build asked for, in order."""
        return list(map(int, self._log.read_text().split()))


def boxes(text: str) -> list[str]:
    """The marks of a list of tasks, in order."""
    return re.findall(r"^\s*(?:[-*+]|\d+[.)])\s+\[(.)\]", text, re.MULTILINE)


def work_in(worker: Worker, commit: str) -> set[int]:
    """The lines of the tasks for which ``commit`` contains work."""
    names = worker.repository.git.run("ls-tree", "--name-only", f"{commit}", "work/").decode().split()
    return {int(Path(name).name) for name in names}
