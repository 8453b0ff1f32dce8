"""Whether a card is ready to be built: branch, spec, pull request and safety rules, read in one request.

The rules are pure functions of GitHub's answer. They collect every reason, so that the card's author can fix all of
them at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from kiro_worker.config.resolve import resolve
from kiro_worker.errors import WorkItemInvalid
from kiro_worker.github.answers.repository import RepositoryAnswer, RepositoryState
from kiro_worker.github.branch_names import branch_problem
from kiro_worker.github.guarded_files import guard_problem
from kiro_worker.github.pull_requests import (
    allowed_pull_requests,
    closed_pull_request_problems,
    comes_from_fork_only,
    conflict_problems,
    draft_problems,
    pull_request_problems,
    with_known_mergeability,
    with_real_permission,
)
from kiro_worker.github.pushable import push_problems
from kiro_worker.github.readiness_queries import RULES, VALIDATE_WORK_ITEM
from kiro_worker.github.repository_file import repository_file_problems, repository_settings
from kiro_worker.github.spec_folders import Spec, find_spec
from kiro_worker.github.spec_problems import spec_problems
from kiro_worker.models import REDACTED, Work
from kiro_worker.spec import TASKS_FILE, invisible_character, open_tasks, spec_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiro_worker.config.model import Configuration
    from kiro_worker.config.settings import Settings
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import WorkBuild, WorkItem
    from kiro_worker.records.runs import RunRecord

ReadRun: TypeAlias = "Callable[[], RunRecord | None]"
ChooseMachine: TypeAlias = "Callable[[Settings], WorkBuild | None]"


def _no_record() -> None:
    """For a build that no execution started."""


def _no_machine(_settings: Settings) -> None:
    """For a build that already has its machine."""


async def validate_item(
    session: GitHubSession,
    configuration: Configuration,
    item: WorkItem,
    read_run: ReadRun = _no_record,
    choose_machine: ChooseMachine = _no_machine,
) -> Work:
    """What to build for the card. Raises :class:`WorkItemInvalid` with every reason why the card is not ready.

    ``read_run`` returns this execution's record. It is called only if no task is open, the branch cannot be pushed to,
    its pull request is a draft or conflicts with its base, or the guard would stop the build. If the execution was
    about to push to the branch, none of this matters: it was redriven after its push, and still has to report it. The
    build finds out whether the push arrived, because that takes the branch's history: there may be other commits on
    top. A build that finds no push of its own ends before the agent starts. ``choose_machine`` is called for a card
    that is ready, and may still refuse what the repository's settings choose.
    """
    if item.content_type == REDACTED:
        raise WorkItemInvalid(
            "the card's issue or pull request is not visible to the token",
            f"give the token access to its repository, or move the card out of {configuration.target_status_column!r}",
        )
    if item.content_type == "DraftIssue":
        raise WorkItemInvalid(
            "the card is a draft, which belongs to no repository", "convert the draft to an issue on the board"
        )
    if hidden := invisible_character(item.title):
        raise WorkItemInvalid(
            f"the card's title contains an invisible character ({hidden})", "remove it from the title"
        )
    if reasons := list(_card_problems(item, configuration)):
        raise WorkItemInvalid("\n".join(reasons), _after_fixing(configuration))
    return await validate_branch(
        session, configuration, item.repository, item.branch, read_run, item.spec, choose_machine
    )


def _card_problems(item: WorkItem, configuration: Configuration) -> Iterator[str]:
    """The reasons that the card itself shows."""
    if item.content_type == "Issue" and item.state == "CLOSED":
        yield f"the issue #{item.number} is closed: reopen it if it still has to be built"
    if not item.linked_branches:
        return
    foreign = [linked for linked in item.linked_branches if linked.partition(":")[0].lower() != item.repository.lower()]
    if len(foreign) == len(item.linked_branches):
        yield (
            f"the issue is in {item.repository}, but its linked branch is in another repository"
            f" ({', '.join(foreign)}): link a branch of {item.repository}, or use an issue of that repository"
        )
    else:
        yield (
            f"several branches are linked to the issue ({', '.join(item.linked_branches)}): name one of"
            f' {item.repository} in the card\'s field "{configuration.branch_field}", or unlink the others'
        )


async def validate_branch(
    session: GitHubSession,
    configuration: Configuration,
    repository: str,
    branch: str,
    read_run: ReadRun = _no_record,
    named_spec: str = "",
    choose_machine: ChooseMachine = _no_machine,
) -> Work:
    """The same as :func:`validate_item`, for a branch without a card, which a manually started build names.

    ``named_spec`` is what the card's field names as the folder of the spec.
    """
    _raise_if_any(_problems_known_offline(configuration, repository, branch), configuration)
    found = await _read_repository(session, configuration, repository, branch)
    if found is None:
        raise WorkItemInvalid(
            f"the repository {repository} is not visible to the token",
            "give the token access to it, with the scope repo",
        )
    found = await with_real_permission(session, configuration, found)
    found = await with_known_mergeability(session, configuration, found)
    spec = await find_spec(session, configuration, found, branch, named_spec)
    reasons = list(problems(found, spec, configuration, branch, read_run))
    pull_request = next(iter(allowed_pull_requests(found, configuration)), None)
    if pull_request is not None:
        # Which agent would read them is known unless the settings are wrong, which is a reason already.
        agent = "" if reasons else _settings(found, configuration, branch, read_run).agent.name
        stopped = await guard_problem(session, configuration.for_agent(agent), found, pull_request, branch)
        reasons += [stopped] if stopped and not _has_pushed(found, branch, read_run) else []
    if reasons or pull_request is None:
        raise WorkItemInvalid("\n".join(reasons), _after_fixing(configuration))
    return Work(
        repository=found.name,
        branch=branch,
        commit=found.commit,
        spec_path=spec.folder,
        pull_request=pull_request.number,
        pull_request_id=pull_request.id,
        pull_request_url=pull_request.url,
        base_branch=pull_request.base_branch,
        open_tasks=len(open_tasks(spec.tasks)),
        default_commit=found.default_commit,
        build=choose_machine(_settings(found, configuration, branch, read_run)),
    )


def _settings(repository: RepositoryState, configuration: Configuration, branch: str, read_run: ReadRun) -> Settings:
    """The settings of the repository. To report what this run has pushed, its own file is not needed."""
    try:
        return repository_settings(repository, configuration)
    except WorkItemInvalid:
        if not _has_pushed(repository, branch, read_run):
            raise
        return resolve(configuration, repository.name)


async def find_pull_request(session: GitHubSession, configuration: Configuration, repository: str, branch: str) -> str:
    """The ID of the open pull request from a branch of the same repository, ready or not; empty if there is none."""
    if any(_problems_known_offline(configuration, repository, branch)):
        return ""
    found = await _read_repository(session, configuration, repository, branch)
    candidates = found.pull_requests if found else ()
    return next((pull_request.id for pull_request in candidates if not pull_request.from_fork), "")


async def _read_repository(
    session: GitHubSession, configuration: Configuration, repository: str, branch: str
) -> RepositoryState | None:
    folder = spec_folder(configuration.spec_root, branch)
    owner, _, name = repository.partition("/")
    variables = {
        "owner": owner,
        "name": name,
        "branch": branch,
        "ref": f"refs/heads/{branch}",
        "specFolder": f"refs/heads/{branch}:{folder}",
        "tasks": f"refs/heads/{branch}:{folder}/{TASKS_FILE}",
        "withMergeable": configuration.require_mergeable,
    }
    return RepositoryAnswer.parse(await session.query(VALIDATE_WORK_ITEM, variables, RULES)).repository


def problems(
    repository: RepositoryState,
    spec: Spec,
    configuration: Configuration,
    branch: str,
    read_run: ReadRun = _no_record,
) -> Iterator[str]:
    """Every reason why the branch is not ready to be built, each with its fix."""
    head = repository.head
    if comes_from_fork_only(repository, branch):
        yield from pull_request_problems(repository, configuration, branch)
        return
    # Work that this run has pushed is reported even if the branch has been locked since.
    if (refusals := list(push_problems(repository, branch))) and not _has_pushed(repository, branch, read_run):
        yield from refusals
    if head is None:
        yield f"the branch {branch} does not exist: git checkout -b {branch} && git push origin {branch}"
        yield from closed_pull_request_problems(repository, branch)
        return
    if not head.commit:
        yield f"refs/heads/{branch} does not point to a commit: push a commit to the branch"
    if branch == repository.default_branch:
        yield f"{branch} is the default branch: create a separate branch for this work"
    if not repository.default_commit:
        yield f"{repository.name} has no default branch with a commit: push one, or choose another in its settings"
    if (wrong := list(repository_file_problems(repository, configuration))) and not _has_pushed(
        repository, branch, read_run
    ):
        yield from wrong
    yield from spec_problems(spec, lambda: _has_pushed(repository, branch, read_run))
    yield from pull_request_problems(repository, configuration, branch)
    waiting = [*draft_problems(repository, configuration), *conflict_problems(repository, configuration, branch)]
    if waiting and not _has_pushed(repository, branch, read_run):
        yield from waiting


def _raise_if_any(reasons: Iterator[str], configuration: Configuration) -> None:
    if found := list(reasons):
        raise WorkItemInvalid("\n".join(found), _after_fixing(configuration))


def _after_fixing(configuration: Configuration) -> str:
    return f"follow the instruction on each line, then move the card back to {configuration.target_status_column!r}"


def _problems_known_offline(configuration: Configuration, repository: str, branch: str) -> Iterator[str]:
    """The reasons that can be found without a request to GitHub."""
    allowed = configuration.allowed_repositories
    # Owner and repository names on GitHub are case-insensitive.
    if repository.lower() not in (name.lower() for name in allowed):
        yield (
            f"the repository {repository} is not on the list of allowed repositories ({', '.join(allowed)}):"
            ' add it to "repositories" in the configuration parameter'
        )
    if not branch:
        yield (
            f'the card has no branch: fill in its field "{configuration.branch_field}", link a branch to the issue,'
            " or put the pull request itself on the board"
        )
    elif problem := branch_problem(branch):
        yield problem


def _has_pushed(repository: RepositoryState, branch: str, read_run: ReadRun) -> bool:
    """Whether this run was about to push to the branch, which only a redriven run can be."""
    run = read_run()
    return run is not None and run.is_about(repository.name, branch)
