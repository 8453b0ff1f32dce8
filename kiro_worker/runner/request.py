"""What a build has to do: the request that its environment variables, or a branch name alone, describe.

Every value is validated first, because the values come from a card and reach command lines, URLs and file names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.github.branch_names import branch_problem
from kiro_worker.lock.keys import lock_key
from kiro_worker.models import Lease

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession

_PATTERNS: Final = {
    "REPOSITORY": re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/(?!\.{1,2}$)[A-Za-z0-9._-]+"),
    "COMMIT_SHA": re.compile(r"[0-9a-f]{40}"),
    "DEFAULT_COMMIT_SHA": re.compile(r"[0-9a-f]{40}"),
    "SPEC_PATH": re.compile(r"(?!.*(?:^|/)\.\.?(?:/|$))[A-Za-z0-9._+#-]+(?:/[A-Za-z0-9._+#-]+)*"),
    "PULL_REQUEST_NUMBER": re.compile(r"[0-9]{1,12}"),
    "LOCK_KEY": re.compile(r"work-item-processor-lock(?:#[A-Za-z0-9._/#+-]+)?"),
    "LOCK_FENCE": re.compile(r"[0-9]{1,18}"),
    "LOCK_SLOT": re.compile(r"(?:work-item-processor-lock#slot-[0-9]{1,3})?"),
    "EXECUTION_ARN": re.compile(r"arn:[A-Za-z0-9:/_.-]+"),
    "WORK_ITEM_ID": re.compile(r"[A-Za-z0-9_=-]*"),
}
_REMEDY: Final = "leave this variable to the state machine; to start a build by hand, set only BRANCH_NAME"


@dataclass(frozen=True)
class BuildRequest:
    """One build. ``commit`` is the commit that was validated, and the only one that is built.

    ``owner`` holds the lock: the execution, or the build itself if it was ``started_by_hand``. ``default_commit`` is
    the default branch's commit at the time of the validation, with which the guard compares; if it is empty, that is
    the default branch's head when the build fetches it.
    """

    repository: str
    branch: str
    commit: str
    spec_path: str
    pull_request: int
    lease: Lease
    work_item_id: str = ""
    started_by_hand: bool = False
    default_commit: str = ""

    @property
    def owner(self) -> str:
        """Return who holds the lock."""
        return self.lease.owner

    @property
    def run_name(self) -> str:
        """Return the name of the execution, or of the build, as a folder name."""
        return re.sub(r"[^A-Za-z0-9._-]", "-", self.owner.rsplit(":", 1)[-1]) or "run"


def is_from_state_machine(environment: Mapping[str, str]) -> bool:
    """Return whether the state machine started this build. Otherwise a person did, and set only BRANCH_NAME."""
    return bool(environment.get("EXECUTION_ARN"))


def request_from_environment(environment: Mapping[str, str]) -> BuildRequest:
    """Return the request that the state machine made. Raises :class:`WorkItemInvalid`, which names the variable."""
    value = {name: _validated(environment, name) for name in _PATTERNS}
    return BuildRequest(
        repository=value["REPOSITORY"],
        branch=validated_branch(environment.get("BRANCH_NAME", "")),
        commit=value["COMMIT_SHA"],
        spec_path=value["SPEC_PATH"],
        pull_request=int(value["PULL_REQUEST_NUMBER"]),
        lease=Lease(
            value["LOCK_KEY"], value["EXECUTION_ARN"], int(value["LOCK_FENCE"]), expires_at=0, slot=value["LOCK_SLOT"]
        ),
        work_item_id=value["WORK_ITEM_ID"],
        default_commit=value["DEFAULT_COMMIT_SHA"],
    )


async def request_from_branch(
    session: GitHubSession,
    configuration: Configuration,
    branch: str,
    owner: str,
    repository: str = "",
) -> BuildRequest:
    """Return the request of a build that a person started. Raises :class:`WorkItemInvalid`.

    GitHub supplies everything but the branch name, and the branch must pass the checks that a card's branch must pass.
    The lease is not held yet.
    """
    # Imported here because a build that the state machine starts does not need GitHub's slow GraphQL client.
    from kiro_worker.github.readiness import validate_branch

    valid_branch = validated_branch(branch)
    work = await validate_branch(
        session, configuration, repository or configuration.allowed_repositories[0], valid_branch
    )
    return BuildRequest(
        repository=work.repository,
        branch=work.branch,
        commit=work.commit,
        spec_path=work.spec_path,
        pull_request=work.pull_request,
        lease=Lease(lock_key(configuration, work.repository, work.branch), owner, fence=0, expires_at=0),
        started_by_hand=True,
        default_commit=work.default_commit,
    )


def validated_branch(branch: str) -> str:
    """Return ``branch``. Raises :class:`WorkItemInvalid` if it is missing or not a name that is safe everywhere."""
    if not branch:
        raise WorkItemInvalid(
            "BRANCH_NAME is not set", "start the build with --environment-variables-override name=BRANCH_NAME,value=…"
        )
    if problem := branch_problem(branch):
        raise WorkItemInvalid(f"BRANCH_NAME: {problem}", "rename the branch")
    return branch


def _validated(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not _PATTERNS[name].fullmatch(value):
        raise WorkItemInvalid(f"{name} is {value[:100]!a}, which does not have the required form", _REMEDY)
    return value
