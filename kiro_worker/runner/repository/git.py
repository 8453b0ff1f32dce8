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
import shlex
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from kiro_worker.runner.repository import credential_helper
from kiro_worker.runner.sandbox.processes import Answer, capture

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from kiro_worker.models import GitCredentials

AUTHOR_NAME: Final = "Kiro CodeBuild Worker"
AUTHOR_EMAIL: Final = "kiro-worker@users.noreply.github.com"
NETWORK_TIMEOUT_MINUTES: Final = 20
LOCAL_TIMEOUT_MINUTES: Final = 5

NEVER_COMMITTED: Final = "\n".join(
    ("__pycache__/", "*.py[co]", ".pytest_cache/", ".venv/", "node_modules/", ".DS_Store", "")
)
"""Files that tools leave behind when the agent runs tests; excluded even if the repository's .gitignore lacks them."""

_PROXIES: Final = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "no_proxy", "SSL_CERT_FILE")
_SETTINGS: Final = (
    "core.hooksPath={no_hooks}",
    "core.symlinks=true",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.autocrlf=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "diff.ignoreSubmodules=all",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "push.gpgSign=false",
    "push.followTags=false",
    "http.followRedirects=false",
    "credential.helper=",
    # One worker per core when there are many files to write.
    "checkout.workers=0",
    # Nothing here has to survive a crash: everything that matters is on the server.
    "core.fsync=none",
)
_LFS_SERVER: Final = (
    # All effective keys that git-lfs also reads from the branch's .lfsconfig. These take precedence.
    # https://github.com/git-lfs/git-lfs/blob/main/docs/man/git-lfs-config.adoc#lfsconfig
    "lfs.url={lfs}",
    "lfs.pushurl={lfs}",
    "lfs.{lfs}.access=basic",
    "lfs.fetchinclude=",
    "lfs.fetchexclude=",
    "lfs.allowincompletepush=false",
    "lfs.skipdownloaderrors=false",
    "lfs.locksverify=false",
    # git-lfs itself transfers files, not a custom program.
    "lfs.basictransfersonly=true",
)
_NO_NEGOTIATION: Final = ("-c", "fetch.negotiationAlgorithm=noop")
_LFS_FILTER: Final = ("filter.lfs.process=git-lfs filter-process", "filter.lfs.required=true")


class GitFailed(Exception):
    """A git command failed. ``error`` is its error output, which is not redacted."""

    def __init__(self, command: str, error: str) -> None:
        super().__init__(f"git {command}: {error}")
        self.command = command
        self.error = error


class Git:
    """Runs commands on the bare repository ``directory``, some of them with the work tree ``work_tree``.

    ``home`` is an empty folder that only the worker writes to. Network commands talk to ``url`` and offer
    ``credentials`` to that server alone. With ``lfs``, the work tree holds LFS files in place of their pointers.
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
    ) -> None:
        self.directory = directory
        self.work_tree = work_tree
        self.url = url
        self.lfs = lfs
        self.index = directory / "index"
        self._credentials = credentials
        self._parent = parent
        self._home = home
        self._no_hooks = home / "no-hooks"
        self._no_hooks.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
        (home / "gitconfig").write_text("")

    def with_index(self, index: Path) -> Git:
        """Return a copy that uses ``index`` in place of the repository's own."""
        other = copy.copy(self)
        other.index = index
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
        return _output_of(arguments, self._execute(arguments, local_only, stdin, in_work_tree=in_work_tree))

    def text(self, *arguments: str, in_work_tree: bool = False) -> str:
        """Return the output of :meth:`run` as text, stripped."""
        return self.run(*arguments, in_work_tree=in_work_tree).decode(errors="replace").strip()

    def succeeds(self, *arguments: str) -> bool:
        """Return whether the exit code of a local command is 0."""
        return self._execute(arguments, {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1"}).exit_code == 0

    def network(self, *arguments: str, stdin: bytes = b"", in_work_tree: bool = False) -> str:
        """Return the output, on both streams, of a command that may talk to the remote. Raises :class:`GitFailed`."""
        environment = {
            "GIT_ALLOW_PROTOCOL": "http:https",
            "GIT_TERMINAL_PROMPT": "0",
            # A connection that moves less than a kilobyte per second for a minute is dead.
            "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
            "GIT_HTTP_LOW_SPEED_TIME": "60",
            **{name: self._parent[name] for name in _PROXIES if name in self._parent},
        }
        with _descriptor_holding(self._credentials) as descriptor:
            helper: tuple[str, ...] = ()
            if descriptor is not None:
                # The key names the server, so that git offers these credentials to no other.
                helper = ("-c", f"credential.{_server(self.url)}.helper={_helper_command(descriptor)}")
            answer = self._execute(
                (*helper, *arguments),
                environment,
                stdin,
                in_work_tree=in_work_tree,
                minutes=NETWORK_TIMEOUT_MINUTES,
                descriptors=() if descriptor is None else (descriptor,),
            )
        _output_of(arguments, answer)
        return f"{answer.text}\n{answer.error}".strip()

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
        settings: tuple[str, ...] = _SETTINGS
        if self.lfs:
            # Only commands on the work tree check out or add files, so only they need the filter.
            settings += _LFS_SERVER + (_LFS_FILTER if in_work_tree else ())
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
            "GIT_AUTHOR_NAME": AUTHOR_NAME,
            "GIT_AUTHOR_EMAIL": AUTHOR_EMAIL,
            "GIT_COMMITTER_NAME": AUTHOR_NAME,
            "GIT_COMMITTER_EMAIL": AUTHOR_EMAIL,
        }


def _output_of(arguments: tuple[str, ...], answer: Answer) -> bytes:
    if answer.exit_code != 0:
        raise GitFailed(_command(arguments), answer.error or answer.text or f"exit code {answer.exit_code}")
    return answer.output


def _command(arguments: tuple[str, ...]) -> str:
    """Return the name of the git command, for error messages."""
    return next((word for word in arguments if not word.startswith("-") and "=" not in word), "")


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _helper_command(descriptor: int) -> str:
    """Return the credential helper as a shell command. git appends ``get``, or ``store``, which does nothing."""
    words = credential_command(descriptor)
    return f'!answer() {{ test "$1" != get || {shlex.join(words)}; }}; answer'


def credential_command(descriptor: int, descriptors: str = "/proc/self/fd") -> tuple[str, ...]:
    """Return the command that prints the whole content of an open, unnamed file.

    It works however often it runs, although git may ask repeatedly and all readers share the descriptor's position. On
    Linux, ``cat`` reopens the file through ``/proc``, because git waits for this command at every request and Python
    starts more slowly.
    """
    if os.path.exists(f"{descriptors}/{descriptor}"):  # noqa: PTH110  # a descriptor, not a path that means anything
        return ("cat", f"{descriptors}/{descriptor}")
    return (sys.executable, "-I", "-S", credential_helper.__file__, str(descriptor), "get")


@contextmanager
def _descriptor_holding(credentials: GitCredentials | None) -> Iterator[int | None]:
    """Yield the descriptor of an unnamed file with the credentials, for the duration of one command."""
    if credentials is None:
        yield None
        return
    with tempfile.TemporaryFile() as file:
        file.write(f"username={credentials.username}\npassword={credentials.password}\n".encode())
        file.flush()
        yield file.fileno()
