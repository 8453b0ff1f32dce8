"""Steering files that an organization keeps centrally: the agent reads them, and they are never committed.

The configuration's ``steering`` is ``s3://bucket/prefix``, or ``owner/name@ref:path`` on the same git server. The
source holds a ``manifest.json``, and beside it the files that the manifest lists with their SHA-256::

    {"version": "2026-11-24", "files": {"steering/security.md": "…64 hex…"}}

``steering/security.md`` becomes ``.kiro/steering/security.md``. Files outside ``steering/`` are not allowed. Before
each turn, the files are laid over the checkout as they are in the source, whatever an earlier turn did to them. After
the turn, they are removed, and files of the branch with the same names are restored, so no commit and no test ever sees
them.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import Git, GitFailed
from kiro_worker.runner.repository.git_causes import Cause
from kiro_worker.runner.sandbox.untrusted_files import place_file, remove_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_s3 import S3Client

    from kiro_worker.models import GitCredentials
    from kiro_worker.runner.repository.checkout import Checkout

MANIFEST: Final = "manifest.json"
FOLDER: Final = ".kiro"
LARGEST_FILE: Final = 1024 * 1024
MAX_FILES: Final = 200
_REMEDY: Final = 'correct the files and their manifest, or "steering" in the configuration parameter'
_ACCESS_REMEDY: Final = (
    f"{_REMEDY}; for an S3 prefix deploy with --context steeringPrefix=s3://…, which lets the build read it"
)

Name = Annotated[str, StringConstraints(pattern=r"^steering(/[A-Za-z0-9][A-Za-z0-9._-]*)+$", max_length=200)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """``manifest.json``. The names are relative to it, and to ``.kiro`` in the checkout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,100}$")]
    files: Annotated[dict[Name, Sha256], Field(min_length=1, max_length=MAX_FILES)]


@dataclass(frozen=True)
class Steering:
    """The central steering files, by their path in the checkout. Empty if the configuration has no ``steering``."""

    source: str = ""
    version: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def overlay(self, checkout: Checkout) -> None:
        """Lay the files over the checkout.

        Raises :class:`BuildStopped` (GuardTripped) where a symbolic link or a folder is in the way.
        """
        for path, content in self.files.items():
            try:
                remove_file(checkout.folder, path)
                place_file(checkout.folder, path, content)
            except OSError as error:
                raise BuildStopped(
                    Outcome.GUARD_TRIPPED,
                    f"{path} of {self.source} cannot be written to the checkout: {error.strerror or error}",
                    f"look for a symbolic link on this path, or a folder of this name, on {checkout.branch}",
                ) from None

    def remove(self, checkout: Checkout) -> None:
        """Remove the files, whatever the agent did to them, and restore the branch's files of the same names."""
        for path in self.files:
            try:
                remove_file(checkout.folder, path)
            except OSError:
                # The agent put a link or a folder there; the guard checks it.
                continue
        if tracked := self._tracked_names(checkout):
            checkout.git.run("checkout-index", "--force", "--quiet", "--", *tracked, in_work_tree=True)

    def _tracked_names(self, checkout: Checkout) -> list[str]:
        if not self.files:
            return []
        specs = (f":(top,literal){path}" for path in self.files)
        found = checkout.git.run("ls-files", "-z", "--", *specs, in_work_tree=True).decode().split("\0")
        return [path for path in found if path in self.files]


def load_steering(source: str, read: Callable[[str], bytes]) -> Steering:
    """Return the files of ``source``.

    ``read`` returns a file by its name there. Raises :class:`BuildStopped` (GuardTripped) when the manifest is invalid
    or a file does not match it.
    """
    try:
        manifest = Manifest.model_validate(json.loads(read(MANIFEST)))
    except (ValueError, ValidationError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise _invalid(source, f"{MANIFEST} is not valid: {problem}") from None
    files = {}
    for name, expected in manifest.files.items():
        content = read(name)
        if len(content) > LARGEST_FILE:
            raise _invalid(source, f"{name} is larger than {LARGEST_FILE // 1024} KB")
        if hashlib.sha256(content).hexdigest() != expected:
            raise _invalid(
                source, f"{name} does not have the SHA-256 that {MANIFEST} (version {manifest.version}) lists"
            )
        files[f"{FOLDER}/{name}"] = content
    return Steering(source, manifest.version, files)


def s3_reader(source: str, s3: S3Client) -> Callable[[str], bytes]:
    """Return a reader of files below ``s3://bucket/prefix``.

    It raises :class:`BuildStopped` (WorkerFailed) for a file that cannot be read.
    """
    bucket, _, prefix = source.removeprefix("s3://").partition("/")

    def read(name: str) -> bytes:
        try:
            return s3.get_object(Bucket=bucket, Key=f"{prefix}/{name}")["Body"].read(LARGEST_FILE + 1)
        except (ClientError, BotoCoreError) as error:
            raise _unreadable(source, name, str(error)) from None

    return read


def git_reader(
    source: str, folder: Path, git_url: str, credentials: GitCredentials, parent: Mapping[str, str]
) -> Callable[[str], bytes]:
    """Return a reader of files of ``owner/name@ref:path``, where ``ref`` is a branch, a tag or a full commit ID.

    Raises :class:`BuildStopped` (WorkerFailed) if the source cannot be fetched, as does the reader if a file cannot be
    read.
    """
    repository, _, rest = source.partition("@")
    reference, _, path = rest.partition(":")
    # A branch is preferred to a tag of the same name.
    by_name = [f"refs/heads/{reference}", f"refs/tags/{reference}"]
    candidates = [reference] if re.fullmatch("[0-9a-f]{40}", reference) else by_name
    git = Git(
        folder / "steering.git",
        work_tree=folder / "no-steering",
        home=folder / "git-home",
        url=f"{git_url}/{repository}.git",
        credentials=credentials,
        parent=parent,
    )
    git.run("init", "--bare", "--quiet", "--template=", str(git.directory))
    git.run("config", "remote.origin.url", git.url)
    _fetch_first(git, source, candidates)

    def read(name: str) -> bytes:
        try:
            # Check the size first, because a blob is read into memory as a whole.
            blob = f"FETCH_HEAD:{path}/{name}"
            if int(git.text("cat-file", "-s", blob)) > LARGEST_FILE:
                raise _invalid(source, f"{name} is larger than {LARGEST_FILE // 1024} KB")
            return git.run("cat-file", "blob", blob)
        except GitFailed as failure:
            raise _unreadable(source, name, failure.error) from None

    return read


def _fetch_first(git: Git, source: str, references: list[str]) -> None:
    for reference in references:
        try:
            git.network("fetch", "--quiet", "--no-tags", "--depth=1", "origin", reference)
        except GitFailed as failure:
            failed = failure
            if failure.answer.cause is not Cause.REFERENCE_MISSING:
                break
        else:
            return
    raise stop_because(
        failed, Outcome.WORKER_FAILED, _problem(source, MANIFEST), _ACCESS_REMEDY, FaultOwner.INSTALLATION
    )


def _invalid(source: str, problem: str) -> BuildStopped:
    return BuildStopped(Outcome.GUARD_TRIPPED, f"the steering files of {source} are invalid: {problem}", _REMEDY)


def _unreadable(source: str, name: str, details: str) -> BuildStopped:
    return BuildStopped(
        Outcome.WORKER_FAILED,
        _problem(source, name),
        _ACCESS_REMEDY,
        details,
    )


def _problem(source: str, name: str) -> str:
    return f"{name} of the steering files of {source} cannot be read, so the agent was not started"
