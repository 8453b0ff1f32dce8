"""The worker's own git: a bare repository that only the worker writes to, and commands that only it configures.

Threats, and what prevents them:

- configuration of the system, the user or the agent: ``GIT_CONFIG_*`` and an empty HOME
- hooks: an empty ``core.hooksPath``
- remote helpers such as ``ext::sh``: ``GIT_ALLOW_PROTOCOL``, which no configuration can widen
- names that look like options: only full 40-digit object IDs and ``refs/…`` are ever passed
- filters named in ``.gitattributes``: they take effect only if the configuration defines them, and the worker's
  defines none, except LFS where that is enabled, and then only for commands on the work tree
- other attributes that change a file's bytes, such as encodings and line ends: ``attributes.py`` turns them off
"""

from __future__ import annotations

import copy
import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kiro_worker.commit_rules import DEFAULT_AUTHOR
from kiro_worker.redaction import redact
from kiro_worker.runner.repository.credential_offer import offered
from kiro_worker.runner.repository.git_answers import GitAnswer, read_answer
from kiro_worker.runner.repository.git_causes import TRANSIENT, Cause
from kiro_worker.runner.repository.git_settings import LFS_FILTER, LFS_SERVER, SETTINGS
from kiro_worker.runner.repository.retries import Retries
from kiro_worker.runner.sandbox.processes import Answer, capture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kiro_worker.models import GitCredentials

NETWORK_TIMEOUT_MINUTES: Final = 20
LOCAL_TIMEOUT_MINUTES: Final = 5

NEVER_COMMITTED: Final = "\n".join(
    ("__pycache__/", "*.py[co]", ".pytest_cache/", ".venv/", "node_modules/", ".DS_Store", "")
)
"""Files that tools leave behind when the agent runs tests; excluded even if the repository's .gitignore lacks them."""

_PROXIES: Final = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "no_proxy", "SSL_CERT_FILE")
_LEASE: Final = "--force-with-lease="
_NO_NEGOTIATION: Final = ("-c", "fetch.negotiationAlgorithm=noop")


class GitFailed(Exception):
    """A git command failed.

    ``error`` is its error output. Only that of a network command is redacted; its ``attempts`` and the ``secret`` with
    its credentials are known as well. A command that ``is_local`` talked to no server.
    """

    is_local = False

    def __init__(self, command: str, error: str, secret: str = "", attempts: int = 1) -> None:
        super().__init__(f"git {command}: {error}")
        self.command, self.error, self.secret, self.attempts = command, error, secret, attempts

    @property
    def answer(self) -> GitAnswer:
        """Why the command failed."""
        answer = read_answer(self.error)
        return replace(answer, cause=Cause.OTHER) if self.is_local else answer


class Git:
    """Runs commands on the bare repository ``directory``, some of them with the work tree ``work_tree``.

    ``home`` is an empty folder that only the worker writes to. Network commands talk to ``url`` and offer
    ``credentials`` to that server alone. With ``lfs``, the work tree holds LFS files in place of their pointers.
    ``author`` is the author and committer of the commits that it writes.
    """

    def __init__(
        self,
        directory: Path,
        *,
        work_tree: Path,
        home: Path,
        url: str,
        credentials: GitCredentials | None,
        parent: Mapping[str, str],
        lfs: bool = False,
        retries: Retries | None = None,
    ) -> None:
        self.directory = directory
        self.work_tree = work_tree
        self.url, self.lfs = url, lfs
        self.index = directory / "index"
        self.author = DEFAULT_AUTHOR
        self._credentials = credentials
        self._parent = parent
        self._retries = retries or Retries()
        self._home = home
        self._no_hooks = home / "no-hooks"
        self._no_hooks.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
        (home / "gitconfig").write_text("")

    def with_paths(self, *, directory: Path | None = None, index: Path | None = None) -> Git:
        """Return a copy that works on another repository, or uses another index."""
        other = copy.copy(self)
        other.directory, other.index = directory or self.directory, index or self.index
        return other

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        in_work_tree: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the output of a local command. Raises :class:`GitFailed`."""
        local_only = {"GIT_ALLOW_PROTOCOL": "", **(environment or {})}
        try:
            return _output_of(arguments, self._execute(arguments, local_only, stdin, in_work_tree=in_work_tree))
        except GitFailed as failure:
            failure.is_local = True
            raise

    def text(self, *arguments: str, in_work_tree: bool = False) -> str:
        """Return the output of :meth:`run` as text, stripped."""
        return self.run(*arguments, in_work_tree=in_work_tree).decode(errors="replace").strip()

    def succeeds(self, *arguments: str) -> bool:
        """Return whether the exit code of a local command is 0."""
        return self._execute(arguments, {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1"}).exit_code == 0

    def network(self, *arguments: str, stdin: bytes = b"", in_work_tree: bool = False) -> str:
        """Return the output, on both streams, of a command that may talk to the remote. Raises :class:`GitFailed`.

        A failure that may be temporary is retried, unless a retry could do something twice.
        """
        started, attempt = self._retries.clock(), 1
        while True:
            try:
                return self._network_once(arguments, stdin, in_work_tree=in_work_tree)
            except GitFailed as failure:
                failure.attempts = attempt
                may_repeat = failure.answer.cause in TRANSIENT and _is_repeatable(arguments)
                if not may_repeat or not self._retries.wait(attempt, started):
                    raise
            attempt += 1

    def _network_once(self, arguments: tuple[str, ...], stdin: bytes, *, in_work_tree: bool) -> str:
        environment = {
            "GIT_ALLOW_PROTOCOL": "http:https",
            "GIT_TERMINAL_PROMPT": "0",
            # A connection that moves less than a kilobyte per second for a minute is dead.
            "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
            "GIT_HTTP_LOW_SPEED_TIME": "60",
            **{name: self._parent[name] for name in _PROXIES if name in self._parent},
        }
        credentials = self._credentials
        try:
            with offered(credentials, self.url) as (options, descriptors):
                answer = self._execute(
                    (*options, *arguments),
                    environment,
                    stdin,
                    in_work_tree=in_work_tree,
                    minutes=NETWORK_TIMEOUT_MINUTES,
                    descriptors=descriptors,
                )
            _output_of(arguments, answer)
        except GitFailed as failure:
            # Redacted before anything shortens it: a part of a secret would not be recognized.
            known = (credentials.password,) if credentials else ()
            secret = credentials.secret if credentials else ""
            raise GitFailed(failure.command, redact(failure.error, known), secret) from None
        return f"{answer.text}\n{answer.error}".strip()

    def remote_refs(self, *patterns: str) -> dict[str, str]:
        """Return the commits of the server's refs that match ``patterns``, by full name. Raises :class:`GitFailed`.

        ``ls-remote`` also lists names that only end in a pattern, such as ``refs/heads/refs/…``.
        """
        lines = (line.partition("\t") for line in self.network("ls-remote", "origin", *patterns).splitlines())
        return {name: oid for oid, tab, name in lines if tab}

    def fetch_objects(self, oids: Iterable[str], *options: str) -> None:
        """Fetch objects that a partial clone left on the server, by their IDs. Raises :class:`GitFailed`.

        As in git's own lazy fetch, no commit is offered to the server as already here. A server with a bitmap index
        would omit every object that such a commit reaches, which includes the missing ones.
        https://github.com/git/git/blob/v2.39.5/promisor-remote.c
        """
        fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *options, "origin", "--stdin")
        self.network(*_NO_NEGOTIATION, *fetch, stdin="".join(f"{oid}\n" for oid in oids).encode())

    def _execute(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        stdin: bytes = b"",
        *,
        in_work_tree: bool = False,
        minutes: int = LOCAL_TIMEOUT_MINUTES,
        descriptors: tuple[int, ...] = (),
    ) -> Answer:
        location = [f"--git-dir={self.directory}"]
        if in_work_tree:
            location.append(f"--work-tree={self.work_tree}")
        settings = [word for setting in self._settings(in_work_tree) for word in ("-c", setting)]
        try:
            return capture(
                ["git", *location, *settings, *arguments],
                cwd=self.work_tree if in_work_tree else self._home,
                environment={**self._base_environment(), **environment},
                timeout_seconds=minutes * 60,
                stdin=stdin,
                pass_fds=descriptors,
            )
        except subprocess.TimeoutExpired:
            raise GitFailed(_command(arguments), f"no answer within {minutes} minutes") from None
        except OSError as error:
            raise GitFailed(_command(arguments), str(error)) from None

    def _settings(self, in_work_tree: bool) -> list[str]:
        settings: tuple[str, ...] = SETTINGS
        if self.lfs:
            # Only commands on the work tree check out or add files, so only they need the filter.
            settings += LFS_SERVER + (LFS_FILTER if in_work_tree else ())
        return [setting.format(no_hooks=self._no_hooks, lfs=f"{self.url}/info/lfs") for setting in settings]

    def _base_environment(self) -> dict[str, str]:
        return {
            "PATH": self._parent.get("PATH", os.defpath),
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            # A file, not /dev/null: a child that runs `git config --global` as root would replace the device.
            "GIT_CONFIG_GLOBAL": str(self._home / "gitconfig"),
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_INDEX_FILE": str(self.index),
            "GIT_AUTHOR_NAME": self.author.name,
            "GIT_AUTHOR_EMAIL": self.author.address,
            "GIT_COMMITTER_NAME": self.author.name,
            "GIT_COMMITTER_EMAIL": self.author.address,
        }


def _is_repeatable(arguments: tuple[str, ...]) -> bool:
    """Return whether a command can be repeated although its first attempt may have taken effect.

    Reading always can. So can a push with a lease: git first asks where the references are, and one that is at its new
    commit already needs no push.
    """
    return _command(arguments) != "push" or any(word.startswith(_LEASE) for word in arguments)


def _output_of(arguments: tuple[str, ...], answer: Answer) -> bytes:
    if answer.exit_code != 0:
        raise GitFailed(_command(arguments), answer.error or answer.text or f"exit code {answer.exit_code}")
    return answer.output


def _command(arguments: tuple[str, ...]) -> str:
    """Return the name of the git command, for error messages."""
    return next((word for word in arguments if not word.startswith("-") and "=" not in word), "")
