"""The agent's part of the story: turn by turn, one task each unless configured otherwise, and every finished task kept
at once.

A task is done on evidence and not on the agent's word: the turn ended well by its exit code and, where the agent has
one, by its closing line; something in the tree has changed; and the box is ticked, which the worker does where all else
holds. A turn that ended badly leaves its files, kept as such, and its task open.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kiro_worker.errors import BuildStopped, KiroWorkerError
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.prompt import mending_prompt, prompt
from kiro_worker.runner.agent.turn import AgentRun, run_agent
from kiro_worker.runner.repository.checkout import give_the_agent_a_repository
from kiro_worker.runner.repository.checkpoint import PARTIAL_TRAILER, TASK_TRAILER
from kiro_worker.runner.repository.commit import (
    CommitMessage,
    changes_between,
    commit_turn,
    execution_trailer,
    file_in,
    patch_between,
    tree_of_files,
    with_file,
)
from kiro_worker.runner.repository.lfs import holds, new_pointers
from kiro_worker.runner.sandbox.sandbox import lend_objects
from kiro_worker.spec import TASKS_FILE, complete_parents, open_tasks, parse_tasks, pending_leaf_tasks, reset, tick

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kiro_worker.config.model import AgentConfiguration
    from kiro_worker.runner.agent.adapters import Agent
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.report.log import Redaction
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.checkpoint import Start
    from kiro_worker.runner.repository.submodules import Submodules
    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.runner.sandbox.sandbox import Sandbox
    from kiro_worker.runner.trust.guard import Guard
    from kiro_worker.runner.trust.steering import Steering
    from kiro_worker.spec import Task

MOST_IDLE_TURNS = 2
"""After so many turns in a row that changed nothing the agent is not asked for more."""
_LONGEST_TITLE = 72


@dataclass(frozen=True)
class Place:
    """Where the agent works and what its turns need. ``keep`` is called with every commit, and makes it safe."""

    home: Path
    sandbox: Sandbox
    environment: Mapping[str, str]
    sink: Callable[[str], None]
    say: Callable[[str], None]
    redaction: Redaction
    keep: Callable[[str], None]
    guard: Guard
    steering: Steering
    submodules: Submodules


class Turns:
    """Turns of ``agent`` from ``start`` on. ``commit`` is what they have led to so far."""

    def __init__(
        self,
        request: BuildRequest,
        checkout: Checkout,
        agent: Agent,
        place: Place,
        progress: BuildProgress,
        start: Start,
    ) -> None:
        self.commit = start.commit
        self._request = request
        self._checkout = checkout
        self._agent = agent
        self._place = place
        self._progress = progress
        self._path = f"{request.spec_path}/{TASKS_FILE}"
        self._lay_out(start.commit)
        self._tasks = file_in(checkout, start.commit, self._path) or ""
        self._before = checkout.git.text("rev-parse", f"{start.finished}^{{tree}}")
        if (fresh := reset(self._tasks)) != self._tasks:
            self._tasks = fresh
            self._before = self._with_tasks(fresh)
        self._last: AgentRun | None = None
        self._open_at_start = bool(pending_leaf_tasks(self._tasks))
        note_tasks(self._tasks, progress)

    def work(self, configuration: AgentConfiguration) -> None:
        """Ask for task after task until none is open. Raises :class:`BuildStopped` (AgentFailed, AgentTimedOut), with all
        that was done until then kept.
        """
        asked: set[str] = set()
        idle = 0
        while idle < MOST_IDLE_TURNS and (
            tasks := [task for task in pending_leaf_tasks(self._tasks) if task.name not in asked]
        ):
            self._require_within(configuration)
            turn = tasks if configuration.mode == "all" else tasks[:1]
            asked |= {task.name for task in turn}
            self._place.say(f"{self._agent.name} gets {_names(turn)}")
            changed = self._turn(prompt(self._request, self._checkout.folder, turn), turn)
            idle = 0 if changed else idle + 1
            if not changed:
                self._place.say(f"nothing was changed: {_names(turn)} stays open")

    def mend(self, stop: BuildStopped) -> None:
        """One turn for what the gate said of work whose tasks are all done."""
        self._place.say(f"{self._agent.name} gets what the checks said")
        clean(self._checkout, self.commit)
        self._turn(mending_prompt(self._request, self._checkout.folder, stop.reason, stop.details), ())

    @property
    def only_mending_is_left(self) -> bool:
        """An earlier build did all tasks, and this one's gate is the first to be asked again."""
        return not self._open_at_start and self._last is None

    @property
    def changed_nothing(self) -> bool:
        """Whether boxes are all that differs: that is no work."""
        return all(name == self._path for name in self._progress.files_changed)

    def nothing_changed(self) -> BuildStopped:
        """Why there is nothing to test and to push."""
        return BuildStopped(
            Outcome.NO_CHANGES,
            f"{self._agent.name} changed nothing" if self._last else "no task is open and nothing was changed",
            "make the open tasks of the spec more definite, or tick them if they are done",
            self._last.finished.last_lines() if self._last else "",
        )

    def _turn(self, text: str, tasks: Sequence[Task]) -> bool:
        """Whether it changed anything. Raises :class:`BuildStopped` when it proves nothing, its files kept; and what the
        guard raises, with what else the agent did kept.
        """
        place, checkout = self._place, self._checkout
        self._set_out()
        done = run_agent(
            self._agent,
            text,
            checkout.folder,
            place.home,
            parent=place.environment,
            sink=place.sink,
            redact=place.redaction,
            sandbox=place.sandbox,
        )
        self._last = done
        self._note_spent(done)
        left = self._collect()
        found, refused = self._held_to_guard(left)
        names = checkout.git.text("diff-tree", "-r", "--name-only", "--no-renames", self._before, found).splitlines()
        changed = any(name != self._path for name in names)
        if problem := refused or done.problem:
            if changed:
                tree, label = self._with_tasks(self._tasks), self._label(tasks, PARTIAL_TRAILER)
                self._keep(found, tree, label, with_its_commits=refused is None)
            if refused:
                # For people: what was refused is in there, and in no commit.
                self._progress.patch = patch_between(checkout, left)
            raise problem
        listed = file_in(checkout, found, self._path)
        if not changed and not _claims(listed or "", tasks):
            self._with_tasks(self._tasks)
            return False
        self._tasks = self._ticked(listed or "", tasks)
        tree = self._with_tasks(self._tasks) if listed != self._tasks else found
        note_tasks(self._tasks, self._progress)
        self._keep(found, tree, self._label(tasks, TASK_TRAILER))
        self._before = tree
        return True

    def _set_out(self) -> None:
        """What the agent finds besides the files of the branch, as new in every turn."""
        place, checkout = self._place, self._checkout
        lend_objects(checkout.git.directory)
        place.submodules.materialize(checkout)
        if place.steering.files:
            self._give_repository()
            place.steering.overlay(checkout)

    def _collect(self) -> str:
        """The tree that the agent left, without what is not its to change."""
        place, checkout = self._place, self._checkout
        if checkout.folder.is_dir():
            place.steering.remove(checkout)
            place.submodules.materialize(checkout)
        return tree_of_files(checkout, place.say)

    def _held_to_guard(self, left: str) -> tuple[str, BuildStopped | KiroWorkerError | None]:
        """The tree without changes of guarded files, and why they are refused, unless they are let through."""
        place, checkout = self._place, self._checkout
        try:
            place.guard.require_unchanged(checkout, self.commit, left)
        except (BuildStopped, KiroWorkerError) as refused:
            require_no_secret(patch_between(checkout, left), place.redaction)
            return place.guard.revert_guarded_paths(checkout, self.commit, left), refused
        return left, None

    def _ticked(self, listed: str, tasks: Sequence[Task]) -> str:
        """The list of tasks after a turn that ended well. The agent's own list, ``listed``, is taken when nothing but
        boxes differs in it, and no box that was ticked is lost.
        """
        text = reset(listed)
        if [task.name for task in parse_tasks(text)] != [task.name for task in parse_tasks(self._tasks)]:
            self._place.say(f"{self._path} was rewritten by the agent: of that only boxes count, the list is put back")
            text = self._tasks
        wanted = {task.line for task in parse_tasks(self._tasks) if task.state == "done"}
        if len(tasks) == 1:
            wanted.add(tasks[0].line)
        order = [task.line for task in parse_tasks(self._tasks)]
        for index, task in enumerate(parse_tasks(text)):
            if order[index] in wanted and task.state != "done":
                text = tick(text, task)
        return complete_parents(text)

    def _keep(self, found: str, tree: str, label: CommitMessage, *, with_its_commits: bool = True) -> None:
        """Commit ``tree``, make it safe, and let the agent go on from there."""
        checkout, log = self._checkout, self._place.say
        commit = commit_turn(
            checkout,
            self.commit,
            found,
            tree,
            label,
            log,
            with_its_commits=with_its_commits,
            unseen=tuple(self._place.steering.files),
        )
        change = changes_between(checkout, commit)
        require_no_secret(change.history, self._place.redaction)
        require_no_secret_in_lfs(checkout, f"{self.commit}..{commit}", self._place.redaction)
        self._progress.files_changed, self._progress.patch = change.files, change.patch
        self.commit = commit
        self._place.keep(commit)
        self._give_repository()

    def _label(self, tasks: Sequence[Task], key: str) -> CommitMessage:
        spec = self._request.spec_path.rpartition("/")[2]
        if len(tasks) == 1:
            title, name = f"Implement {tasks[0].name}", tasks[0].name
        else:
            title, name = (f"Implement {spec}", "all") if tasks else (f"Mend {spec}", "mend")
        if key == PARTIAL_TRAILER:
            title = f"Unfinished: {title}"
        if len(title) > _LONGEST_TITLE:
            title = f"{title[: _LONGEST_TITLE - 1]}…"
        trailers = (execution_trailer(self._request), f"{key}: {name}")
        return CommitMessage(title, f"From the spec in {self._request.spec_path}.", trailers)

    def _with_tasks(self, text: str) -> str:
        return with_file(self._checkout, self._path, text.encode(errors="surrogateescape"))

    def _note_spent(self, done: AgentRun) -> None:
        progress = self._progress
        if done.credits is not None:
            progress.agent_credits = round((progress.agent_credits or 0) + done.credits, 6)
        progress.agent_seconds = round((progress.agent_seconds or 0) + done.seconds, 1)

    def _require_within(self, configuration: AgentConfiguration) -> None:
        """Between turns: is there anything left to spend?"""
        if self._last is None:
            return
        progress, unit = self._progress, self._agent.unit
        left = f"{progress.tasks_done} tasks are done and kept, {progress.tasks_open} are open"
        minutes, most = (progress.agent_seconds or 0) / 60, configuration.max_minutes
        if most is not None and minutes >= most:
            raise BuildStopped(
                Outcome.AGENT_TIMED_OUT,
                f"the agent has worked for {minutes:.1f} minutes, and agent.maxMinutes is {most:g}: {left}",
                "redrive the execution, which goes on with the open tasks, or raise agent.maxMinutes",
            )
        highest = configuration.max_credits
        if highest is None:
            return
        if self._last.credits is None:
            raise BuildStopped(
                Outcome.AGENT_FAILED,
                f"{self._agent.name} does not say what its turn cost, so agent.maxCredits cannot be kept to: {left}",
                "remove agent.maxCredits, or use agent.maxMinutes",
            )
        if (progress.agent_credits or 0) >= highest:
            raise BuildStopped(
                Outcome.AGENT_FAILED,
                f"the agent has spent {progress.agent_credits:g} {unit}, and agent.maxCredits is {highest:g}: {left}",
                "redrive the execution, which goes on with the open tasks, or raise agent.maxCredits",
            )

    def _lay_out(self, commit: str) -> None:
        if commit != self._checkout.commit:
            materialize(self._checkout, commit)
            self._give_repository()

    def _give_repository(self) -> None:
        """A repository for the agent that is at our commit, whatever it made of its own."""
        own = self._checkout.folder / ".git"
        if own.is_dir() and not own.is_symlink():
            shutil.rmtree(own)
        else:
            own.unlink(missing_ok=True)
        give_the_agent_a_repository(
            self._checkout.git, replace(self._request, commit=self.commit), unseen=tuple(self._place.steering.files)
        )


def _claims(text: str, tasks: Sequence[Task]) -> bool:
    """Whether the agent ticked what it was asked for: there are tasks for which nothing needs to change."""
    done = {task.name for task in parse_tasks(text) if task.state == "done"}
    return any(task.name in done for task in tasks)


def materialize(checkout: Checkout, commit: str) -> None:
    """Put the files of ``commit`` into the checkout, and nothing else."""
    checkout.git.network("read-tree", "--reset", "-u", commit, in_work_tree=True)


def clean(checkout: Checkout, commit: str) -> None:
    """Undo what a run of the tests left behind."""
    materialize(checkout, commit)
    checkout.git.run("clean", "-ffdq", in_work_tree=True)


def require_no_secret(history: bytes, redaction: Redaction) -> None:
    """An agent that knows its own key can write it into a file: that must never reach any branch."""
    if redaction.is_in(history):
        raise _holds_secret()


def require_no_secret_in_lfs(checkout: Checkout, commits: str, redaction: Redaction) -> None:
    """The same for the contents that new pointers stand for."""
    git = checkout.git
    if git.lfs and holds(git, new_pointers(git, commits), redaction.is_in):
        raise _holds_secret()


def _holds_secret() -> BuildStopped:
    return BuildStopped(
        Outcome.GUARD_TRIPPED,
        "the change contains one of the worker's own secrets, so it was neither kept nor pushed",
        "find out why in agent.log, and replace the secret",
    )


def note_tasks(text: str, progress: BuildProgress) -> None:
    """How many tasks are done and open."""
    progress.tasks_done = sum(task.state == "done" for task in parse_tasks(text))
    progress.tasks_open = len(open_tasks(text))


def _names(tasks: Sequence[Task]) -> str:
    return tasks[0].name if len(tasks) == 1 else f"{len(tasks)} open tasks"
