"""Steering files that are kept centrally, for the agent to read and for nobody to commit.

The configuration's ``steering`` is ``s3://bucket/prefix``, or ``owner/name@ref:path`` on the same git server. There is
a ``manifest.json``, and beside it the files that it lists by their SHA-256::

    {"version": "2026-11-24", "files": {"steering/security.md": "…64 hex…"}}

``steering/security.md`` is laid out as ``.kiro/steering/security.md``; nothing else than what is below ``steering/``
is. Before every turn of the agent the files are laid over the checkout, as they are in the manifest and whatever an
earlier turn made of them. After it they are taken away, and a file of the branch that has such a name is put back, so
that neither a commit nor a test ever sees them.
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
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.git import Git, GitFailed
from kiro_worker.runner.sandbox.untrusted_files import place_file, remove_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_s3 import S3Client

    from kiro_worker.models import GitCredentials
    from kiro_worker.runner.repository.checkout import Checkout

MANIFEST: Final = "manifest.json"
FOLDER: Final = ".kiro"
LARGEST_FILE: Final = 1024 * 1024
MOST_FILES: Final = 200
_REMEDY: Final = 'put the files and their manifest right, or correct "steering" in the configuration parameter'

Name = Annotated[str, StringConstraints(pattern=r"^steering(/[A-Za-z0-9][A-Za-z0-9._-]*)+$", max_length=200)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """``manifest.json``: names relative to it, and to ``.kiro`` in the checkout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,100}$")]
    files: Annotated[dict[Name, Sha256], Field(min_length=1, max_length=MOST_FILES)]


@dataclass(frozen=True)
class Steering:
    """``files`` by their path in the checkout; none where no steering is configured."""

    source: str = ""
    version: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def overlay(self, checkout: Checkout) -> None:
        """Raises :class:`BuildStopped` (GuardTripped) where something is in the way that is no folder or no file."""
        for path, content in self.files.items():
            try:
                remove_file(checkout.folder, path)
                place_file(checkout.folder, path, content)
            except OSError as error:
                raise BuildStopped(
                    Outcome.GUARD_TRIPPED,
                    f"{path} of {self.source} cannot be laid over the checkout: {error.strerror or error}",
                    f"see what {checkout.branch} has there: a symbolic link, or a folder of that name",
                ) from None

    def remove(self, checkout: Checkout) -> None:
        """Whatever the agent made of them. What the branch has under such a name is as it was before."""
        for path in self.files:
            try:
                remove_file(checkout.folder, path)
            except OSError:
                # A link or a folder, which are the agent's own: the guard sees them.
                continue
        if tracked := self._tracked(checkout):
            checkout.git.run("checkout-index", "--force", "--quiet", "--", *tracked, in_work_tree=True)

    def _tracked(self, checkout: Checkout) -> list[str]:
        if not self.files:
            return []
        specs = (f":(top,literal){path}" for path in self.files)
        found = checkout.git.run("ls-files", "-z", "--", *specs, in_work_tree=True).decode().split("\0")
        return [path for path in found if path in self.files]


def load_steering(source: str, read: Callable[[str], bytes]) -> Steering:
    """What ``source`` holds. ``read`` gives a file by its name there. Raises :class:`BuildStopped` (GuardTripped) for what
    is not as the manifest says.
    """
    try:
        manifest = Manifest.model_validate(json.loads(read(MANIFEST)))
    except (ValueError, ValidationError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise _wrong(source, f"{MANIFEST} is not of its form: {problem}") from None
    files = {}
    for name, expected in manifest.files.items():
        content = read(name)
        if len(content) > LARGEST_FILE:
            raise _wrong(source, f"{name} is larger than {LARGEST_FILE // 1024} KB")
        if hashlib.sha256(content).hexdigest() != expected:
            raise _wrong(source, f"{name} is not the file of which {MANIFEST} (version {manifest.version}) has the sum")
        files[f"{FOLDER}/{name}"] = content
    return Steering(source, manifest.version, files)


def s3_reader(source: str, s3: S3Client) -> Callable[[str], bytes]:
    """Files below ``s3://bucket/prefix``. Raises :class:`BuildStopped` (WorkerFailed) for one that is not to be had."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")

    def read(name: str) -> bytes:
        try:
            return s3.get_object(Bucket=bucket, Key=f"{prefix}/{name}")["Body"].read(LARGEST_FILE + 1)
        except (ClientError, BotoCoreError) as error:
            raise _not_to_be_had(source, name, str(error)) from None

    return read


def git_reader(
    source: str, folder: Path, git_url: str, credentials: GitCredentials, parent: Mapping[str, str]
) -> Callable[[str], bytes]:
    """Files of ``owner/name@ref:path``: the last commit of a branch or tag, or a commit by its 40 digits. Raises
    :class:`BuildStopped` (WorkerFailed) for what is not to be had.
    """
    repository, _, rest = source.partition("@")
    reference, _, path = rest.partition(":")
    # A branch before a tag of the same name.
    named = [f"refs/heads/{reference}", f"refs/tags/{reference}"]
    wanted = [reference] if re.fullmatch("[0-9a-f]{40}", reference) else named
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
    _fetch_first(git, source, wanted)

    def read(name: str) -> bytes:
        try:
            # By its size first: a blob is in memory as a whole.
            blob = f"FETCH_HEAD:{path}/{name}"
            if int(git.text("cat-file", "-s", blob)) > LARGEST_FILE:
                raise _wrong(source, f"{name} is larger than {LARGEST_FILE // 1024} KB")
            return git.run("cat-file", "blob", blob)
        except GitFailed as failure:
            raise _not_to_be_had(source, name, failure.error) from None

    return read


def _fetch_first(git: Git, source: str, references: list[str]) -> None:
    for reference in references:
        try:
            git.network("fetch", "--quiet", "--no-tags", "--depth=1", "origin", reference)
        except GitFailed as failure:
            failed = failure
        else:
            return
    raise _not_to_be_had(source, MANIFEST, failed.error)


def _wrong(source: str, what: str) -> BuildStopped:
    return BuildStopped(
        Outcome.GUARD_TRIPPED, f"the steering files of {source} are not what they must be: {what}", _REMEDY
    )


def _not_to_be_had(source: str, name: str, why: str) -> BuildStopped:
    return BuildStopped(
        Outcome.WORKER_FAILED,
        f"{name} of the steering files of {source} cannot be had, so the agent was not started",
        f"{_REMEDY}; for an S3 prefix deploy with --context steeringPrefix=s3://…, which lets the build read it",
        why,
    )
