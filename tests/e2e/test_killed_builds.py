"""The build program is killed with SIGKILL at one or more exact points of each phase. The execution is redriven
unless the work is pushed by then.

No finished task is lost or given to the agent twice. The table in docs/explanation/build.md has the results.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kiro_worker.executions.history import Run
from kiro_worker.records.checkpoints import checkpoint_ref
from tests.e2e.conftest import RequestHook
from tests.support.killing import kill_build, running_git_command
from tests.support.tables import Table
from tests.support.world import World

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the build program in /proc"),
]

BRANCH = "feature/sum"
CHECKPOINT = checkpoint_ref(BRANCH)
NOTHING = "0" * 40
TWO_TASKS = "# Tasks\n\n- [ ] 1. Write the function\n- [ ] 2. Write about it\n"
# Records its task, pauses where the test wants it to, and does the task.
AGENT = """
import pathlib, sys, time
markers = pathlib.Path({markers!r})
number = '1' if '- 1. ' in sys.stdin.read() else '2'
with (markers / 'given').open('a') as file:
    file.write(number)
if (markers / f'pause-task-{{number}}').exists():
    (markers / 'paused').write_text('')
    time.sleep(600)
pathlib.Path('sums.py').write_text('def add(a, b):\\n    return a + b\\n')
pathlib.Path('task_' + number).write_text('done')
"""
TESTS = """
import pathlib, subprocess, sys, time
markers = pathlib.Path({markers!r})
if (markers / 'pause-tests').exists():
    (markers / 'paused').write_text('')
    time.sleep(600)
sys.exit(subprocess.run([sys.executable, '-m', 'unittest', '-v']).returncode)
"""
# Hooks that pause the server in a push to one ref: before the server accepts it (update), or after (post-receive). The
# update hook then rejects the push, because the client has been killed in the meantime.
UPDATE = """#!/bin/sh
old="$2" new="$3"
if [ -e {markers}/pause-update ] && [ "$1" = "{ref}" ] && {condition}; then
  touch {markers}/paused; while [ ! -e {markers}/proceed ]; do sleep 0.02; done; exit 1
fi
"""
POST_RECEIVE = """#!/bin/sh
while read -r old new ref; do
  if [ -e {markers}/pause-post-receive ] && [ "$ref" = "{ref}" ] && {condition}; then
    touch {markers}/paused; while [ ! -e {markers}/proceed ]; do sleep 0.02; done
  fi
done
"""


@dataclass
class Scene:
    """A card with two tasks, an agent that records its tasks, and a folder for markers."""

    world: World
    request_hook: RequestHook
    markers: Path
    card: Any = None
    head: str = ""
    is_killed: bool = False

    def set_up(self) -> None:
        world = self.world
        self.markers.mkdir()
        self.markers.chmod(0o777)
        (self.markers / "given").write_text("")
        (self.markers / "given").chmod(0o666)
        world.agent(AGENT.format(markers=str(self.markers)))
        script = world.folder / "tests.py"
        script.write_text(TESTS.format(markers=str(self.markers)))
        world.configure(test=[sys.executable, str(script)])
        world.spec(BRANCH, changes={"tasks.md": TWO_TASKS})
        world.github.board.add_pull_request(world.repository, BRANCH)
        self.card = world.bare_card(BRANCH)
        self.head = world.head() or ""

    def kill_at_pause(self, point: str) -> Run:
        """Starts a run, waits until the build pauses at a point, kills it and ends the pause."""
        (self.markers / f"pause-{point}").touch()
        arn = self.world.local.tick()
        self.world.wait_until(lambda: (self.markers / "paused").exists())
        self.kill()
        return self.finish(arn)

    def kill_in_push(self, hook_name: str, script: str, ref: str, condition: str = "true") -> Run:
        """Starts a run and kills the build while the server runs a hook for a push to ``ref``."""
        hook = self.world.repository.git.path / "hooks" / hook_name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(script.format(markers=self.markers, ref=ref, condition=condition))
        hook.chmod(0o755)
        return self.kill_at_pause(hook_name)

    def kill_at_request(self, matches: Callable[[str], bool]) -> Run:
        """Starts a run and kills the build when a matching request arrives, before the request is handled."""

        def on_request(operation: str) -> None:
            if not self.is_killed and matches(operation):
                self.request_hook.hook = None
                self.kill()
                raise ConnectionResetError("the client has been killed")

        self.world.entered["RunBuild"] = lambda: setattr(self.request_hook, "hook", on_request)
        return self.finish(self.world.local.tick())

    def kill(self) -> None:
        kill_build()
        self.is_killed = True

    def finish(self, arn: str) -> Run:
        for marker in self.markers.glob("pause-*"):
            marker.unlink()
        (self.markers / "proceed").touch()
        run = self.world.finish(arn)
        assert self.is_killed, f"the build never reached the point: {run.outcome}"
        return run

    def given_tasks(self) -> str:
        """The numbers of the tasks that the agent was given, in order."""
        return (self.markers / "given").read_text()

    def finished_tasks(self) -> str:
        """The numbers of the finished tasks on the checkpoint, or on the branch if there is no checkpoint."""
        world = self.world
        text = world.file(".kiro/specs/feature-sum/tasks.md", world.checkpoint() or BRANCH)
        return "".join(number for number in "12" if f"[x] {number}." in text)


def before_lock_answer(scene: Scene) -> Run:
    return scene.kill_at_request(lambda operation: operation == "DynamoDB_20120810.GetItem")


def during_fetch(scene: Scene) -> Run:
    return scene.kill_at_request(
        lambda operation: operation == "git-upload-pack" and f"refs/heads/{BRANCH}" in running_git_command()
    )


def after_guard(scene: Scene) -> Run:
    """The guard compares trees without any request. The next request reads the lock, after the first read of the lock
    and that of the run's record.
    """
    reads = 0

    def is_third_read(operation: str) -> bool:
        nonlocal reads
        reads += operation == "DynamoDB_20120810.GetItem"
        return reads == 3

    return scene.kill_at_request(is_third_read)


def before_artifact(name: str) -> Callable[[Scene], Run]:
    return lambda scene: scene.kill_at_request(
        lambda operation: operation.startswith("PUT ") and operation.endswith(f"/{name}")
    )


def before_exit(scene: Scene) -> Run:
    """The exported variables are the last thing that the build writes. A pipe in place of that file blocks it there."""
    written: list[Path] = []

    def create_pipe(operation: str) -> None:
        if operation.startswith("PUT ") and operation.endswith("/result.json"):
            scene.request_hook.hook = None
            # /proc/<pid>/cwd would be simpler, but the program hides it from other processes of its user.
            _, build_id = scene.world.builds()[0].split(":")
            source = scene.world.local.aws.workspace / "builds" / build_id / "src"
            os.mkfifo(source / "result.env")
            written.append(source / "result.json")

    scene.world.entered["RunBuild"] = lambda: setattr(scene.request_hook, "hook", create_pipe)
    arn = scene.world.local.tick()
    scene.world.wait_until(lambda: bool(written) and written[0].exists())
    scene.kill()
    return scene.finish(arn)


# The phase as in the build's log, the point in it, and the function that kills the build there.
POINTS: list[tuple[str, str, Callable[[Scene], Run]]] = [
    ("hold the lock", "before the lock table answers", before_lock_answer),
    ("check out", "while the branch is fetched", during_fetch),
    ("guard", "after the guard passed, before the push check", after_guard),
    (
        "push check",
        "before the server accepts it",
        lambda scene: scene.kill_in_push("update", UPDATE, CHECKPOINT, f'[ "$old" = {NOTHING} ]'),
    ),
    (
        "push check",
        "after the server accepted it, before it answers",
        lambda scene: scene.kill_in_push("post-receive", POST_RECEIVE, CHECKPOINT, f'[ "$old" = {NOTHING} ]'),
    ),
    ("agent", "during the first task", lambda scene: scene.kill_at_pause("task-1")),
    (
        "agent",
        "before the server accepts the checkpoint of the first task",
        lambda scene: scene.kill_in_push("update", UPDATE, CHECKPOINT, f'[ "$old" != {NOTHING} ]'),
    ),
    (
        "agent",
        "after the server accepted the checkpoint of the first task, before it answers",
        lambda scene: scene.kill_in_push("post-receive", POST_RECEIVE, CHECKPOINT, f'[ "$old" != {NOTHING} ]'),
    ),
    ("agent", "during the second task", lambda scene: scene.kill_at_pause("task-2")),
    ("tests", "while the tests run", lambda scene: scene.kill_at_pause("tests")),
    (
        "push",
        "before the server accepts it",
        lambda scene: scene.kill_in_push("update", UPDATE, f"refs/heads/{BRANCH}"),
    ),
    (
        "push",
        "after the server accepted it, before it answers",
        lambda scene: scene.kill_in_push("post-receive", POST_RECEIVE, f"refs/heads/{BRANCH}"),
    ),
    (
        "push",
        "while the checkpoint is deleted",
        lambda scene: scene.kill_in_push("update", UPDATE, CHECKPOINT, f'[ "$new" = {NOTHING} ]'),
    ),
    ("report", "before any artifact is stored", before_artifact("result.json")),
    ("report", "after some artifacts are stored", before_artifact("tests.log")),
    ("end", "after all artifacts are stored, before the build ends", before_exit),
]
TABLE = Table(
    "explanation/build.md",
    "killed",
    (
        "phase",
        "killed",
        "branch",
        "tasks on the checkpoint",
        "tasks that the agent is given after the redrive",
        "outcome",
    ),
    tuple((phase, point) for phase, point, _ in POINTS),
)


@pytest.fixture
def scene(world: World, request_hook: RequestHook) -> Scene:
    scene = Scene(world, request_hook, world.folder / "markers")
    scene.set_up()
    return scene


@pytest.mark.parametrize(("phase", "point", "kill"), POINTS, ids=[f"{phase}: {point}" for phase, point, _ in POINTS])
def test_killed_build_loses_no_finished_task(
    scene: Scene, phase: str, point: str, kill: Callable[[Scene], Run]
) -> None:
    world = scene.world

    run = kill(scene)

    moved, checkpoint, finished = world.head() != scene.head, world.checkpoint(), scene.finished_tasks()
    given = scene.given_tasks()
    assert world.local.lock() is None
    [comment] = world.comments()
    assert comment.startswith("<!-- kiro-worker")
    if moved:
        assert run.outcome == "Succeeded", "pushed work is a success, whatever happened to the build afterwards"
    else:
        assert run.status == "FAILED", "a killed build that pushed nothing must not succeed"
        assert world.status(scene.card) == "Blocked"
        assert "❌" in comment
        run = world.redrive(run)

    given_again = scene.given_tasks()[len(given) :]
    assert run.outcome == "Succeeded", run.cause
    assert world.status(scene.card) == "In Review"
    assert not set(given_again) & set(finished), "the agent was given a finished task again"
    assert sorted(finished + given_again) == ["1", "2"]
    assert world.file("task_1") == world.file("task_2") == "done"
    assert world.file(".kiro/specs/feature-sum/tasks.md").count("[x]") == 2
    titles = world.repository.git.run("log", "--format=%s", f"{scene.head}..{BRANCH}").decode().splitlines()
    assert titles == ["Implement 2 Write about it", "Implement 1 Write the function"]
    assert world.checkpoint() is None
    assert world.local.lock() is None
    [comment] = world.comments()
    assert "✅ **Implemented**" in comment
    TABLE.compare_row(
        (phase, point),
        "moved" if moved else "unchanged",
        _joined(finished) if checkpoint and finished else "none",
        "not redriven" if moved else _joined(given_again) or "none",
        run.outcome,
    )


def test_table_has_exactly_these_points() -> None:
    TABLE.require_complete()


def _joined(numbers: str) -> str:
    return " and ".join(numbers)
