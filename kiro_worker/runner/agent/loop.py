"""The agent's turns: by default one per task, and every finished task is kept at once.

A task counts as done on evidence, not because the agent claims it: the agent was asked for it, the turn ended well,
judged by its exit code and its closing line, if the agent prints one; and the turn changed files. Then the runner ticks
the box. Files that an earlier turn left unfinished count as well, if the agent accepts them: it writes one of them
again, or ticks the box. When a turn ends badly, its files are kept as unfinished work and its task stays open. A task
that only asks for a check needs no change, because the gate carries it out: see
:mod:`kiro_worker.runner.agent.completion`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kiro_worker.commit_rules import DEFAULT_AUTHOR
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.records.checkpoints import KeptWork
from kiro_worker.records.summaries import Turn
from kiro_worker.runner.agent.commit_message import turn_message
from kiro_worker.runner.agent.completion import complete_work, with_checks
from kiro_worker.runner.agent.limits import require_within_limits
from kiro_worker.runner.agent.prompt import fixing_prompt, prompt
from kiro_worker.runner.agent.task_list import (
    done_by_turn,
    load_task_list,
    marked_by_agent,
    note_tasks,
    require_visible_spec,
    tasks_label,
)
from kiro_worker.runner.agent.workspace import AgentWorkspace, clean, materialize, write_times
from kiro_worker.runner.repository.commit import changes_between, commit_turn, file_in, patch_between, with_file
from kiro_worker.runner.repository.entries import decode_path
from kiro_worker.runner.trust.secret_scan import require_no_secret, require_no_secret_in_lfs
from kiro_worker.spec import TASKS_FILE, is_check_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.config.settings import AgentSettings
    from kiro_worker.runner.agent.adapters import PreparedAgent
    from kiro_worker.runner.agent.turn import AgentRun
    from kiro_worker.runner.agent.workspace import TurnContext
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.finish import FinishedWork
    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.spec import Task

MAX_IDLE_TURNS: Final = 2
"""The agent gets no further turn after this many turns in a row that changed nothing."""
_FIXING: Final = "what the gate reported"


class AgentLoop:
    """The turns of ``agent``, beginning at ``start``."""

    def __init__(
        self,
        request: BuildRequest,
        checkout: Checkout,
        agent: PreparedAgent,
        context: TurnContext,
        progress: BuildProgress,
        start: KeptWork,
    ) -> None:
        self._kept = start
        self._request = request
        self._checkout = checkout
        self._agent = agent
        self._context = context
        self._progress = progress
        self._workspace = AgentWorkspace(request, checkout, context)
        self._tasks_path = f"{request.spec_path}/{TASKS_FILE}"
        self._last_run: AgentRun | None = None
        self._checks: set[str] = set()
        self._why_stopped = f"{agent.adapter.name} got no turn"
        is_resumed = start.commit != checkout.commit
        if is_resumed:
            materialize(checkout, start.commit)
        # The first one was created before the settings were read.
        if is_resumed or context.style.author != DEFAULT_AUTHOR:
            self._workspace.replace_repository(start.commit)
        require_visible_spec(checkout, request.spec_path)
        self._tasks = load_task_list(checkout, request.spec_path, start.commit)
        if (fresh := self._tasks.reset()) != self._tasks:
            self._tasks = fresh
            self._write_tasks()
        self._had_work = not all(map(is_check_only, self._tasks.pending_leaves))
        note_tasks(self._tasks, progress)

    @property
    def commit(self) -> str:
        """The last commit that was kept."""
        return self._kept.commit

    def work(self, configuration: AgentSettings) -> None:
        """Give the agent each open task once, until none is open or two turns in a row change nothing.

        Raises :class:`BuildStopped` (AgentUnavailable, AgentFailed, AgentTimedOut, GuardTripped); finished tasks are
        kept by then.
        """
        name, attempted, idle_turns = self._agent.adapter.name, set[str](), 0
        while pending := [task for task in self._tasks.pending_leaves if task.identity not in attempted]:
            if idle_turns >= MAX_IDLE_TURNS:
                self._why_stopped = f"{name} changed nothing in {idle_turns} turns in a row"
                return
            if self._last_run:
                require_within_limits(configuration, self._agent.adapter, self._progress, self._last_run)
            tasks = pending if configuration.mode == "all" else pending[:1]
            attempted |= {task.identity for task in tasks}
            self._context.say(f"{name} starts on {tasks_label(tasks)}")
            if self._turn(prompt(self._request, self._checkout.folder, tasks, self._context.facts), tasks):
                idle_turns = 0
            elif all(map(is_check_only, tasks)):
                self._context.say(f"{name} changed nothing: {tasks_label(tasks)} is done if the gate passes")
            else:
                idle_turns += 1
                self._context.say(f"{name} changed nothing, so {tasks_label(tasks)} stays open")
        self._why_stopped = f"{name} had a turn for every open task, and left some of them unfinished"

    def complete(self, checkout: Checkout | None = None, commit: str = "", why_open: str = "") -> FinishedWork:
        """Return the work for the gate and the push, on which the checks are done.

        ``commit`` is the work as it was rebased in ``checkout``, if it was. Raises :class:`BuildStopped` (Incomplete)
        if a required task is open, and says ``why_open``, or else why the agent got no further turn.
        """
        return complete_work(
            self._request,
            checkout or self._checkout,
            commit or self.commit,
            self._checks,
            why_open or self._why_stopped,
            self._context.style,
            self._context.say,
        )

    def fix(self, stop: BuildStopped) -> None:
        """Give the agent one turn to fix what the gate rejected, when all tasks are done."""
        self._context.say(f"{self._agent.adapter.name} starts on {_FIXING}")
        clean(self._checkout, self.commit)
        folder, facts = self._checkout.folder, self._context.facts
        self._turn(fixing_prompt(self._request, folder, stop.reason, stop.details, facts), ())

    @property
    def only_fixing_is_left(self) -> bool:
        """Whether an earlier build finished every task but checks, so that the agent had nothing to implement."""
        return not self._had_work

    @property
    def changed_nothing(self) -> bool:
        """Whether at most the list of tasks differs from the branch, and no check remains for the gate.

        Ticked boxes alone are not work.
        """
        if any(name != self._tasks_path for name in self._progress.files_changed):
            return False
        return not self._checks or bool(with_checks(self._tasks, self._checks).open)

    def nothing_changed(self) -> BuildStopped:
        """Return the error for a build that has nothing to test or push."""
        return BuildStopped(
            Outcome.NO_CHANGES,
            f"{self._agent.adapter.name} changed nothing" if self._last_run else "no task is open and nothing changed",
            "make the open tasks of the spec more specific, or tick them if they are done",
            self._last_run.finished.last_lines() if self._last_run else "",
        )

    def _turn(self, text: str, tasks: Sequence[Task]) -> bool:
        """Run a turn, keep its work, and return whether it changed or finished anything.

        Raises what the guard raises, and :class:`BuildStopped` when the turn ended badly; the acceptable part of its
        work is kept by then.
        """
        checkout = self._checkout
        kept = self._kept
        is_resumed = any(task.identity in kept.unfinished for task in tasks)
        leftovers = self._changed_files(kept.finished, kept.commit) if is_resumed else []
        written_before = write_times(checkout, leftovers)
        run = self._workspace.run_turn(self._agent, text, self.commit)
        self._last_run = run
        self._context.note_turn(run)
        self._progress.turns.append(Turn(tasks_label(tasks) if tasks else _FIXING, run.said))
        collected = self._workspace.collect()
        tree, refusal = self._workspace.revert_refused_changes(self.commit, collected)
        # What an earlier turn left unfinished is a change of this turn, too.
        differs = bool(self._changed_files(kept.finished, tree))
        if problem := refusal or (run.problem if self._has_changed(tree) else run.refused or run.problem):
            if differs:
                self._keep(tree, self._write_tasks(), tasks, finished=False, adopt_commits=refusal is None)
            if refusal:
                # No commit has the refused changes; the patch in the artifacts shows them.
                self._progress.patch = patch_between(checkout, collected)
            raise problem
        agents_list = file_in(checkout, tree, self._tasks_path)
        marks = marked_by_agent(self._tasks, agents_list or "", self._context.say)
        work = [task for task in tasks if not is_check_only(task)]
        self._checks |= {task.identity for task in tasks if task not in work}
        done = done_by_turn(work, marks) if differs else set()
        if not self._changed_files(self.commit, tree):
            # An idle agent does not finish what an earlier turn left unfinished, nor does work on another task.
            if write_times(checkout, leftovers) == written_before:
                done = {ordinal for ordinal in done if leftovers and marks.get(ordinal) == "done"}
            if not done:
                self._write_tasks()
                return False
        self._tasks = self._tasks.ticked(done).with_parents_completed()
        kept_tree = self._write_tasks() if agents_list != self._tasks.text else tree
        finished = bool(done) or not work
        if not finished:
            self._context.say(f"{self._agent.adapter.name} left {tasks_label(tasks)} unfinished")
        note_tasks(self._tasks, self._progress)
        self._keep(tree, kept_tree, tasks if work else (), finished=finished)
        return True

    def _changed_files(self, before: str, after: str) -> list[str]:
        """Return the files that differ between two commits or trees, without the list of tasks."""
        names = self._checkout.git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after)
        return [name for name in map(decode_path, names.split(b"\0")) if name not in ("", self._tasks_path)]

    def _has_changed(self, tree: str) -> bool:
        """Return whether the turn that left ``tree`` has changed any file, the list of tasks included."""
        in_list = file_in(self._checkout, tree, self._tasks_path) != self._tasks.text
        return in_list or bool(self._changed_files(self.commit, tree))

    def _keep(
        self, agent_tree: str, tree: str, tasks: Sequence[Task], *, finished: bool, adopt_commits: bool = True
    ) -> None:
        """Commit ``tree``, push the commit to the checkpoint, and let the agent continue from there.

        ``agent_tree`` is the tree as the agent left it; ``adopt_commits`` keeps the agent's own commits below the new
        one. ``tasks`` are those that the turn worked on, none if it carried out checks or fixed what the gate rejected.
        """
        checkout, context = self._checkout, self._context
        commit = commit_turn(
            checkout,
            self.commit,
            agent_tree,
            tree,
            turn_message(self._request, tasks, context.style, finished=finished),
            context.say,
            adopt_commits=adopt_commits,
            excluded=tuple(context.steering.files),
            style=context.style,
        )
        change = changes_between(checkout, commit)
        require_no_secret(change.history, context.redaction.is_in)
        require_no_secret_in_lfs(checkout, f"{self.commit}..{commit}", context.redaction.is_in)
        self._progress.files_changed, self._progress.patch = change.files, change.patch
        self._progress.note_commit(commit)
        if finished:
            self._kept = KeptWork(commit, checkout.commit, commit)
        else:
            half_done = self._kept.unfinished.union(task.identity for task in tasks)
            self._kept = replace(self._kept, commit=commit, unfinished=half_done)
        context.keep(self._kept)
        self._workspace.replace_repository(commit)

    def _write_tasks(self) -> str:
        """Write the list of tasks to the checkout and the index, and return the index's tree."""
        return with_file(self._checkout, self._tasks_path, self._tasks.text.encode(errors="surrogateescape"))
