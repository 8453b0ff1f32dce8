"""The build program is killed (SIGKILL) in each phase of its story, at one exact point of it, and the execution is
redriven: no finished task is lost or asked for twice. What is seen is the table in docs/explanation/build.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kiro_worker.executions.history import Run
from tests.e2e.conftest import Arriving
from tests.support.killing import git_at_work, kill_the_build
from tests.support.tables import Table
from tests.support.world import World

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the build program in /proc"),
]

BRANCH = "feature/sum"
CHECKPOINT = f"kiro-worker/checkpoint/{BRANCH}"
TWO_TASKS = "# Tasks\n\n- [ ] 1. Write the function\n- [ ] 2. Write about it\n"
# Notes what it is asked for, waits where the test says so, and works.
AGENT = """
import pathlib, sys, time
marks = pathlib.Path({marks!r})
number = '1' if '- 1. ' in sys.stdin.read() else '2'
with (marks / 'asked').open('a') as file:
    file.write(number)
if (marks / f'hold-task-{{number}}').exists():
    (marks / 'held').write_text('')
    time.sleep(600)
pathlib.Path('sums.py').write_text('def add(a, b):\\n    return a + b\\n')
pathlib.Path('task_' + number).write_text('done')
"""
TESTS = """
import pathlib, subprocess, sys, time
marks = pathlib.Path({marks!r})
if (marks / 'hold-tests').exists():
    (marks / 'held').write_text('')
    time.sleep(600)
sys.exit(subprocess.run([sys.executable, '-m', 'unittest', '-v']).returncode)
"""
# What the server does at a push, for the reference in question, before it takes it (update) or after (post-receive): it
# says so and waits. What was not taken by then is refused, for nobody is there any more to ask for it.
UPDATE = """#!/bin/sh
if [ -e {marks}/hold-update ] && [ "$1" = "refs/heads/{ref}" ] && {about}; then
  touch {marks}/held; while [ ! -e {marks}/go ]; do sleep 0.02; done; exit 1
fi
"""
POST_RECEIVE = """#!/bin/sh
while read -r old new ref; do
  if [ -e {marks}/hold-post-receive ] && [ "$ref" = "refs/heads/{ref}" ]; then
    touch {marks}/held; while [ ! -e {marks}/go ]; do sleep 0.02; done
  fi
done
"""


@dataclass
class Scene:
    """A card with two tasks, an agent that notes what it is asked for, and a place for marks."""

    world: World
    arriving: Arriving
    marks: Path
    card: Any = None
    head: str = ""
    killed: list[str] = field(default_factory=list)

    def set_up(self) -> None:
        world = self.world
        self.marks.mkdir()
        self.marks.chmod(0o777)
        (self.marks / "asked").write_text("")
        (self.marks / "asked").chmod(0o666)
        world.agent(AGENT.format(marks=str(self.marks)))
        script = world.folder / "tests.py"
        script.write_text(TESTS.format(marks=str(self.marks)))
        world.configure(testCommand=[sys.executable, str(script)])
        world.spec(BRANCH, changes={"tasks.md": TWO_TASKS})
        world.github.board.add_pull_request(world.repository, BRANCH)
        self.card = world.bare_card(BRANCH)
        self.head = world.head() or ""

    def kill_when_held(self) -> Run:
        """Start, wait until the build is held, kill it, and let go of what held it."""
        arn = self.world.local.tick()
        self.world.wait_until(lambda: (self.marks / "held").exists())
        self.kill()
        return self._finish(arn)

    def kill_at_request(self, wanted: Callable[[str], bool]) -> Run:
        """Start, and kill the build when a request arrives that is wanted, before anything is done about it."""

        def look(operation: str) -> None:
            if not self.killed and wanted(operation):
                self.arriving.listener = None
                self.kill()
                raise ConnectionResetError("whoever asked is no more")

        self.world.entered["RunBuild"] = lambda: setattr(self.arriving, "listener", look)
        return self._finish(self.world.local.tick())

    def kill(self) -> None:
        kill_the_build()
        self.killed.append("the build")

    def _finish(self, arn: str) -> Run:
        for mark in self.marks.glob("hold-*"):
            mark.unlink()
        (self.marks / "go").touch()
        run = self.world.finish(arn)
        assert self.killed, f"the point was not passed: {run.outcome}"
        return run

    def hold(self, what: str) -> Run:
        (self.marks / f"hold-{what}").touch()
        return self.kill_when_held()

    def hook(self, name: str, text: str, ref: str, about: str = "true") -> Run:
        hook = self.world.repository.git.path / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(text.format(marks=self.marks, ref=ref, about=about))
        hook.chmod(0o755)
        return self.hold(name)

    def asked(self) -> str:
        return (self.marks / "asked").read_text()

    def finished(self) -> str:
        """The tasks that are done on the checkpoint or the branch."""
        world = self.world
        text = world.file(".kiro/specs/feature-sum/tasks.md", world.head(CHECKPOINT) or BRANCH)
        return "".join(number for number in "12" if f"[x] {number}." in text)


def holding_the_lock(scene: Scene) -> Run:
    return scene.kill_at_request(lambda operation: operation == "DynamoDB_20120810.GetItem")


def checking_out(scene: Scene) -> Run:
    return scene.kill_at_request(
        lambda operation: operation == "git-upload-pack" and f"refs/heads/{BRANCH}" in git_at_work()
    )


def guarded(scene: Scene) -> Run:
    """Comparing trees asks nobody anything: what is asked for next is the lock, for the second time."""
    asked: list[str] = []

    def is_second(operation: str) -> bool:
        asked.extend([operation] * (operation == "DynamoDB_20120810.GetItem"))
        return len(asked) == 2

    return scene.kill_at_request(is_second)


def keeping_its_report(name: str) -> Callable[[Scene], Run]:
    return lambda scene: scene.kill_at_request(
        lambda operation: operation.startswith("PUT ") and operation.endswith(f"/{name}")
    )


def about_to_end(scene: Scene) -> Run:
    """What it exports is the last that it writes: a pipe of that name, which nobody reads, is where it stays."""

    def put_a_pipe_there(operation: str) -> None:
        if operation.startswith("PUT ") and operation.endswith("/result.json"):
            scene.arriving.listener = None
            # Not /proc's cwd, which the program keeps from others of its user.
            _, id_of_build = scene.world.builds()[0].split(":")
            source = scene.world.local.aws.workspace / "builds" / id_of_build / "src"
            os.mkfifo(source / "result.env")
            written.append(source / "result.json")

    written: list[Path] = []
    scene.world.entered["RunBuild"] = lambda: setattr(scene.arriving, "listener", put_a_pipe_there)
    arn = scene.world.local.tick()
    scene.world.wait_until(lambda: bool(written) and written[0].exists())
    scene.kill()
    return scene._finish(arn)


# The phase as run.py names it, the point in it, and how the build is brought to it and killed there.
POINTS: list[tuple[str, str, Callable[[Scene], Run]]] = [
    ("hold the lock", "before it is answered", holding_the_lock),
    ("check out", "the branch is being fetched", checking_out),
    ("guard", "it has passed, and the agent is not started", guarded),
    ("agent", "the first task is being worked at", lambda scene: scene.hold("task-1")),
    (
        "agent",
        "the first task is pushed to the checkpoint, the server has not taken it",
        lambda scene: scene.hook("update", UPDATE, CHECKPOINT),
    ),
    (
        "agent",
        "the first task is pushed to the checkpoint, the server has taken it and not answered",
        lambda scene: scene.hook("post-receive", POST_RECEIVE, CHECKPOINT),
    ),
    ("agent", "the second task is being worked at", lambda scene: scene.hold("task-2")),
    ("tests", "they run", lambda scene: scene.hold("tests")),
    ("push", "the server has not taken it", lambda scene: scene.hook("update", UPDATE, BRANCH)),
    (
        "push",
        "the server has taken it and not answered",
        lambda scene: scene.hook("post-receive", POST_RECEIVE, BRANCH),
    ),
    (
        "push",
        "the checkpoint is being removed",
        lambda scene: scene.hook("update", UPDATE, CHECKPOINT, '[ "$3" = ' + "0" * 40 + " ]"),
    ),
    ("report", "no artifact is kept", keeping_its_report("result.json")),
    ("report", "some artifacts are kept", keeping_its_report("tests.log")),
    ("the end", "all is kept and nothing is told to the state machine", about_to_end),
]
TABLE = Table(
    "explanation/build.md",
    "killed",
    ("phase", "killed when", "the branch is then", "the checkpoint holds", "the redriven run asks for", "it ends as"),
    tuple((phase, point) for phase, point, _ in POINTS),
)


@pytest.fixture
def scene(world: World, arriving: Arriving) -> Scene:
    scene = Scene(world, arriving, world.folder / "marks")
    scene.set_up()
    return scene


@pytest.mark.parametrize(("phase", "point", "kill"), POINTS, ids=[f"{phase}: {point}" for phase, point, _ in POINTS])
def test_a_killed_build_loses_no_finished_task(
    scene: Scene, phase: str, point: str, kill: Callable[[Scene], Run]
) -> None:
    world = scene.world

    failed = kill(scene)

    assert failed.status == "FAILED", "nobody has succeeded who did not say so"
    assert world.status(scene.card) == "Blocked"
    assert world.local.lock() is None
    [comment] = world.comments()
    assert comment.startswith("<!-- kiro-worker")
    assert "❌" in comment
    moved, kept, finished = world.head() != scene.head, world.head(CHECKPOINT), scene.finished()
    asked = scene.asked()

    redriven = world.redrive(failed)

    again = scene.asked()[len(asked) :]
    assert redriven.outcome == "Succeeded", redriven.cause
    assert world.status(scene.card) == "In Review"
    assert not set(again) & set(finished), "a finished task is not asked for twice"
    assert sorted(finished + again) == ["1", "2"]
    assert world.file("task_1") == world.file("task_2") == "done"
    assert world.file(".kiro/specs/feature-sum/tasks.md").count("[x]") == 2
    titles = world.repository.git.run("log", "--format=%s", f"{scene.head}..{BRANCH}").decode().splitlines()
    assert titles == ["Implement 2 Write about it", "Implement 1 Write the function"]
    assert world.head(CHECKPOINT) is None
    assert world.local.lock() is None
    [comment] = world.comments()
    assert "✅ **Implemented**" in comment
    TABLE.compare_row(
        (phase, point),
        "moved" if moved else "as it was",
        _tasks(finished) if kept else "nothing",
        _tasks(again) if again else "nothing",
        redriven.outcome,
    )


def test_the_table_has_a_row_for_each_of_these_points_and_no_other() -> None:
    TABLE.require_complete()


def _tasks(numbers: str) -> str:
    return f"task{'s' if len(numbers) > 1 else ''} {' and '.join(numbers)}"
