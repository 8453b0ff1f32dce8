"""Where setup and the tests run: in new folders that hold a commit, at the same paths as the agent's folders.

Nothing that the agent left on disk reaches the tests. Its processes have ended, its folders are moved to where no other
user can enter, and its files elsewhere are removed. The tests have their own user where the runner is root. They get
the files of the commit, byte for byte, submodules, and what setup created. The paths are the same for all users,
because editable installs, workspaces and virtual environments remember paths.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kiro_worker.runner.gate.ecosystems.choose import changes_installation
from kiro_worker.runner.gate.secret_files import remove_secret_files
from kiro_worker.runner.gate.setup import VIRTUAL_ENVIRONMENT, detected_ecosystems, plan_setup
from kiro_worker.runner.gate.snapshot import Snapshot
from kiro_worker.runner.repository.agent_repository import create_agent_repository
from kiro_worker.runner.repository.entries import decode_path, list_tree
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.layout import require_sound_layout
from kiro_worker.runner.repository.lent_objects import open_lent_objects
from kiro_worker.runner.repository.publish import upload_lfs_objects
from kiro_worker.runner.sandbox.printable import listed
from kiro_worker.runner.sandbox.stray_files import StrayFiles
from kiro_worker.runner.sandbox.untrusted_files import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kiro_worker.runner.gate.setup import Setup, SetupStep
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.submodules import Submodules
    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.runner.sandbox.folders import Folders
    from kiro_worker.runner.sandbox.sandbox import Sandbox


class _OtherSetup(Exception):
    """The commit needs another setup than the one whose result there is."""


@dataclass
class GateWorkspace:
    """The gate's view of ``folders``. ``setup`` is ``None`` if nothing is to be installed.

    ``agent`` and ``gate`` are the sandboxes of the two users. ``machine`` is the folder that is searched for places
    that every user may write to. ``snapshot`` is the result of setup that the agent gets. ``ecosystems`` are those
    that were detected on the pinned commit, by directory.
    """

    request: BuildRequest
    folders: Folders
    agent: Sandbox
    gate: Sandbox
    setup: Setup | None
    say: Callable[[str], None]
    machine: Path = Path("/")
    snapshot: Snapshot | None = field(default=None, init=False)
    ecosystems: Mapping[str, str] = field(default_factory=dict, init=False)
    _for_tests: Snapshot | None = field(default=None, init=False)
    _set_up_for: tuple[str, tuple[SetupStep, ...]] | None = field(default=None, init=False)
    _stray_files: StrayFiles | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.agent.uid is not None:
            workspace, closes = self.folders.workspace, self.agent.closes_machine
            self._stray_files = StrayFiles(workspace, self.say, closes=closes, top=self.machine)

    def secure(self) -> None:
        """Keep the users of the build apart on this machine. Call it before the first program of a user starts.

        Raises :class:`BuildStopped` (WorkerFailed).
        """
        if self._stray_files:
            self._stray_files.prepare(*(user.uid for user in (self.agent, self.gate) if user.uid is not None))

    def prepare(self, checkout: Checkout, submodules: Submodules) -> None:
        """Run setup on the pinned commit, and give its result to the agent, which has not started yet.

        Raises :class:`BuildStopped` (SetupFailed).
        """
        self.secure()
        self.snapshot = self._for_tests = self._set_up(checkout, submodules, checkout.commit)
        if self.snapshot is None:
            return
        self.snapshot.lend(self.folders, self.agent.uid)
        for repository in (checkout.git.directory, checkout.folder / ".git"):
            with (repository / "info" / "exclude").open("a", encoding="utf-8", errors="surrogateescape") as exclude:
                exclude.write(self.snapshot.ignore_patterns)

    @contextmanager
    def opened(self, checkout: Checkout, submodules: Submodules, commit: str) -> Iterator[Folders]:
        """Yield folders that hold ``commit`` and the result of setup; afterwards the agent's are back in place.

        Setup runs again if the work changes what it installs. A configured setup may copy or compile any file, as
        ``pip install .`` does, so that is anything but the spec. One that was detected refers to the sources, so that
        is a manifest, a lock file, or a source that it compiles. Raises :class:`BuildStopped` (SetupFailed, or
        CheckoutFailed if the commit's files cannot be laid out or a link leaves them).
        """
        again = partial(self._set_up_again, checkout, submodules, commit)
        lay_out = partial(self._laid_out, checkout, submodules, commit)
        if causes := self._new_dependencies(checkout, commit):
            again(f"the work changes {listed(causes, ascii)}")
        with ExitStack() as stack:
            try:
                folders = stack.enter_context(lay_out(self._for_tests, self._set_up_for and self._set_up_for[1]))
            except _OtherSetup:
                # The first test that uses pytest, for example, needs it although no manifest changes.
                again("the work changes how the project is installed")
                folders = stack.enter_context(lay_out(self._for_tests))
            yield folders

    @contextmanager
    def renewed(self, checkout: Checkout, submodules: Submodules, commit: str) -> Iterator[None]:
        """Within :meth:`opened`, give the tests new folders with the same content; afterwards theirs are back.

        Raises :class:`BuildStopped` as :meth:`opened` does.
        """
        self._remove_traces(self.gate)
        with self._laid_out(checkout, submodules, commit, self._for_tests):
            yield

    def _set_up_again(self, checkout: Checkout, submodules: Submodules, commit: str, why: str) -> None:
        self.say(f"setup runs again, because {why}")
        earlier, self._for_tests = self._for_tests, self._set_up(checkout, submodules, commit, worked_before=True)
        if earlier and earlier is not self.snapshot:
            remove_tree(earlier.folder)

    def _new_dependencies(self, checkout: Checkout, commit: str) -> list[str]:
        """Return the files that differ between ``commit`` and the last setup, and that decide what is installed."""
        if self._set_up_for is None:
            return []
        before, steps = self._set_up_for
        changed = self._changed_sources(checkout, before, commit)
        if not all(step.follows_sources for step in steps):
            return changed
        # An editable install knows the packages that there were.
        packages = [name for name in changed if name.endswith("__init__.py")]
        new = [name for name in packages if not checkout.git.succeeds("cat-file", "-e", f"{before}:{name}")]
        return changes_installation(changed) + new

    @property
    def agents_sandbox(self) -> Sandbox:
        """The agent's sandbox, which knows the files that setup created: their links may lead anywhere."""
        created = self.snapshot.created if self.snapshot else ()
        return replace(self.agent, uncommitted=frozenset(created))

    @property
    def setup_steps(self) -> tuple[SetupStep, ...]:
        """What setup ran last; empty if it has not run."""
        return self._set_up_for[1] if self._set_up_for else ()

    @property
    def virtual_environments(self) -> tuple[str, ...]:
        """The directories of the checkout whose virtual environments setup made."""
        names = (PurePosixPath(path) for path in (self.snapshot.created if self.snapshot else ()))
        return tuple(str(name.parent) for name in names if name.name == VIRTUAL_ENVIRONMENT)

    @property
    def is_setups(self) -> Callable[[str], bool] | None:
        """Whether a file of the agent's checkout is as setup created it; ``None`` if there was no setup."""
        return partial(self.snapshot.has_unchanged, self.folders) if self.snapshot else None

    def _changed_sources(self, checkout: Checkout, before: str, after: str) -> list[str]:
        """Return the files outside the spec's folder that differ between two commits."""
        names = checkout.git.run("diff-tree", "-r", "-z", "--no-renames", "--name-only", before, after)
        spec = f"{self.request.spec_path}/"
        return [name for name in decode_path(names).split("\0") if name and not name.startswith(spec)]

    def _set_up(
        self, checkout: Checkout, submodules: Submodules, commit: str, *, worked_before: bool = False
    ) -> Snapshot | None:
        if self.setup is None:
            return None
        with self._laid_out(checkout, submodules, commit) as folders:
            if self._set_up_for is None:
                self.ecosystems = detected_ecosystems(self.setup.checks, folders.checkout)
            steps = self._plan(folders)
            self.setup.run(steps, folders, self.gate, worked_before=worked_before)
            self._set_up_for = commit, steps
            if not steps:
                return None
            committed = [entry.path for entry in list_tree(checkout.git, commit)]
            snapshot = Snapshot.take(folders, commit, committed)
            if removed := remove_secret_files(snapshot.folder, self.setup.secrets.values()):
                self.say(f"agent and tests do not get {listed(removed, ascii)}, because a secret of setup is in it")
            return snapshot

    def _plan(self, folders: Folders) -> tuple[SetupStep, ...]:
        return plan_setup(self.setup.checks, folders.checkout, self.ecosystems) if self.setup else ()

    @contextmanager
    def _laid_out(
        self,
        checkout: Checkout,
        submodules: Submodules,
        commit: str,
        snapshot: Snapshot | None = None,
        steps: tuple[SetupStep, ...] | None = None,
    ) -> Iterator[Folders]:
        """Yield folders with ``commit`` and ``snapshot``.

        Raises :class:`_OtherSetup` if the commit needs another setup than ``steps``.
        """
        folders = self.folders
        self._remove_traces(self.agent)
        with folders.set_aside():
            folders.checkout.mkdir(mode=0o755)
            index = folders.workspace / "gate.index"
            index.unlink(missing_ok=True)
            git = checkout.git.with_paths(index=index)
            # May fetch contents that the partial clone left on the server.
            try:
                git.network("read-tree", "--reset", "-u", commit, in_work_tree=True)
            except GitFailed:
                if git.lfs:
                    # The work may add pointers without objects, which this names.
                    upload_lfs_objects(checkout, commit)
                raise
            request = replace(self.request, commit=commit)
            if commit != checkout.commit:
                # The checkout has proved the pinned commit's layout.
                require_sound_layout(git, request)
            create_agent_repository(git, request)
            submodules.materialize(checkout)
            if self.setup and steps is not None and self._plan(folders) != steps:
                raise _OtherSetup
            if snapshot:
                snapshot.restore(folders, self.gate.uid)
            open_lent_objects(git)
            self.gate.grant(folders.checkout, *folders.private)
            try:
                yield folders
            finally:
                self._remove_traces(self.gate)

    def _remove_traces(self, user: Sandbox) -> None:
        """End the processes of a user, and remove its files outside the workspace. The runner's own user is spared."""
        user.end()
        if user.uid is not None and self._stray_files:
            self._stray_files.remove(user.uid)
