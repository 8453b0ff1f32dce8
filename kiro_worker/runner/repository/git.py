"""The worker's own git: a bare repository that nobody else writes to, and commands that take their configuration from
us alone.

What is guarded against, and how. Configuration of system, user and the agent: ``GIT_CONFIG_*`` and an empty HOME.
Hooks: an empty ``core.hooksPath``. Remote helpers such as ``ext::sh``: ``GIT_ALLOW_PROTOCOL``, which no configuration
can widen. Names that look like options: only full 40-digit hashes and ``refs/…`` are ever passed. Filters of
``.gitattributes``: they are named there but defined in a configuration, and ours defines none; but for LFS, where that
is configured, and then for commands on the work tree alone.
"""

from __future__ import annotations

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
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kiro_worker.models import GitCredentials

AUTHOR_NAME: Final = "Kiro CodeBuild Worker"
AUTHOR_EMAIL: Final = "kiro-worker@users.noreply.github.com"
MINUTES_FOR_NETWORK: Final = 20
MINUTES_FOR_LOCAL: Final = 5

NEVER_COMMITTED: Final = "\n".join(
    ("__pycache__/", "*.py[co]", ".pytest_cache/", ".venv/", "node_modules/", ".DS_Store", "")
)
"""What tools leave behind, excluded even where the repository forgot to: an agent runs tests as it works."""

_PROXIES: Final = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "no_proxy", "SSL_CERT_FILE")
_SETTINGS: Final = (
    "core.hooksPath={empty}",
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
    # As many at a time as there are cores, where there are many files to write.
    "checkout.workers=0",
    # Nothing here is to survive the machine: what counts is on the server.
    "core.fsync=none",
)
_LFS_SERVER: Final = (
    # git-lfs reads these few keys, and no others that do anything, from the branch's .lfsconfig too; ours come first.
    # https://github.com/git-lfs/git-lfs/blob/main/docs/man/git-lfs-config.adoc#lfsconfig
    "lfs.url={lfs}",
    "lfs.pushurl={lfs}",
    "lfs.{lfs}.access=basic",
    "lfs.fetchinclude=",
    "lfs.fetchexclude=",
    "lfs.allowincompletepush=false",
    "lfs.skipdownloaderrors=false",
    "lfs.locksverify=false",
    # No program but git-lfs itself moves a file.
    "lfs.basictransfersonly=true",
)
_LFS_FILTER: Final = ("filter.lfs.process=git-lfs filter-process", "filter.lfs.required=true")


class GitFailed(Exception):
    """A git command ended badly. ``error`` is what it said last, and may hold what should be redacted."""

    def __init__(self, command: str, error: str) -> None:
        super().__init__(f"git {command}: {error}")
        self.command = command
        self.error = error


class Git:
    """Commands on the bare repository ``directory``, some of them with the work tree ``work_tree``.

    ``home`` is an empty folder of the worker's own. Network commands ask ``url``, and give ``credentials`` to it alone.
    With ``lfs`` the work tree has the files of LFS in place of their pointers.
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
        self._credentials = credentials
        self._parent = parent
        self._home = home
        self._empty = home / "no-hooks"
        self._empty.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
        (home / "gitconfig").write_text("")

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        in_work_tree: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        """What a local command printed. Raises :class:`GitFailed`."""
        own = {"GIT_ALLOW_PROTOCOL": "", **(environment or {})}
        return _output_of(arguments, self._answer(arguments, own, stdin, in_work_tree=in_work_tree))

    def text(self, *arguments: str, in_work_tree: bool = False) -> str:
        """:meth:`run` as text without the last line's end."""
        return self.run(*arguments, in_work_tree=in_work_tree).decode(errors="replace").strip()

    def succeeds(self, *arguments: str) -> bool:
        """Whether a local command that answers by its exit code says yes."""
        return self._answer(arguments, {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1"}).exit_code == 0

    def network(self, *arguments: str, stdin: bytes = b"", in_work_tree: bool = False) -> str:
        """What a command that may talk to the remote printed, on either stream. Raises :class:`GitFailed`."""
        environment = {
            "GIT_ALLOW_PROTOCOL": "http:https",
            "GIT_TERMINAL_PROMPT": "0",
            # Less than a kilobyte a second for a minute is a dead connection.
            "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
            "GIT_HTTP_LOW_SPEED_TIME": "60",
            **{name: self._parent[name] for name in _PROXIES if name in self._parent},
        }
        with _descriptor_holding(self._credentials) as descriptor:
            helper: tuple[str, ...] = ()
            if descriptor is not None:
                # The key carries the server, so that git offers these credentials to no other.
                helper = ("-c", f"credential.{_server(self.url)}.helper={_helper_command(descriptor)}")
            answer = self._answer(
                (*helper, *arguments),
                environment,
                stdin,
                in_work_tree=in_work_tree,
                minutes=MINUTES_FOR_NETWORK,
                descriptors=() if descriptor is None else (descriptor,),
            )
        _output_of(arguments, answer)
        return f"{answer.text}\n{answer.error}".strip()

    def _answer(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        stdin: bytes = b"",
        *,
        in_work_tree: bool = False,
        minutes: int = MINUTES_FOR_LOCAL,
        descriptors: tuple[int, ...] = (),
    ) -> Answer:
        place = [f"--git-dir={self.directory}"]
        if in_work_tree:
            place.append(f"--work-tree={self.work_tree}")
        settings = [word for setting in self._settings(in_work_tree) for word in ("-c", setting)]
        try:
            return capture(
                ["git", *place, *settings, *arguments],
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
        ours: tuple[str, ...] = _SETTINGS
        if self.lfs:
            # The filter where files are laid out or added, and nowhere else.
            ours += _LFS_SERVER + (_LFS_FILTER if in_work_tree else ())
        return [setting.format(empty=self._empty, lfs=f"{self.url}/info/lfs") for setting in ours]

    def _base_environment(self) -> dict[str, str]:
        return {
            "PATH": self._parent.get("PATH", os.defpath),
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            # A file of our own, not /dev/null: `git config --global` of anything below would replace the device.
            "GIT_CONFIG_GLOBAL": str(self._home / "gitconfig"),
            "GIT_OPTIONAL_LOCKS": "0",
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
    return next((word for word in arguments if not word.startswith("-") and "=" not in word), "")


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _helper_command(descriptor: int) -> str:
    """For git's shell, which appends what is asked for: ``get``, or ``store``, for which there is nothing to do."""
    words = answering_command(descriptor)
    return f'!answer() {{ test "$1" != get || {shlex.join(words)}; }}; answer'


def answering_command(descriptor: int, files: str = "/proc/self/fd") -> tuple[str, ...]:
    """What prints a file that has no name from its beginning, however often: git may ask again, and a descriptor's
    position is shared with whoever asked before. Opened anew by the kernel where it can do that (Linux), for git waits
    for this each time that it speaks to the server.
    """
    if os.path.exists(f"{files}/{descriptor}"):  # noqa: PTH110  # a descriptor, not a path that means anything
        return ("cat", f"{files}/{descriptor}")
    return (sys.executable, "-I", "-S", credential_helper.__file__, str(descriptor), "get")


@contextmanager
def _descriptor_holding(credentials: GitCredentials | None) -> Iterator[int | None]:
    """A descriptor of a file without a name, for the time of one command."""
    if credentials is None:
        yield None
        return
    with tempfile.TemporaryFile() as file:
        file.write(f"username={credentials.username}\npassword={credentials.password}\n".encode())
        file.flush()
        yield file.fileno()
