"""The values that the parts of the worker pass to each other, each with its JSON form."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from kiro_worker.builds.causes import explain, explain_truncated, explain_without_build
from kiro_worker.builds.description import BuildDescription
from kiro_worker.builds.failure import BuildFailure
from kiro_worker.document import Document
from kiro_worker.errors import ERRORS_OF_BUILDS
from kiro_worker.exported_variables import EXPORTED_VARIABLES, text_of_json
from kiro_worker.outcomes import OUTCOMES, FaultOwner, Outcome
from kiro_worker.platform_errors import cause_message, explain_platform_error

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

EXECUTION_TRAILER: Final = "Kiro-Worker-Execution"
"""The commit trailer that names the execution which made the commit. It is for people, because anybody can write it."""
REDACTED: Final = "Redacted"
"""The ``content_type`` of a card whose issue or pull request the token may not see."""
_CLOSED_LISTS: Final[Mapping[str, Container[str]]] = {
    "outcome": set(Outcome),
    "owner": set(FaultOwner),
    "error": ERRORS_OF_BUILDS,
}
"""The values that a build may report for these fields of :class:`BuildResult`."""


class Explained(NamedTuple):
    """The name of a failure, its reason in words, and who has to act; ``None`` if only the name implies who."""

    name: str
    reason: str
    owner: FaultOwner | None


_AGENT_PHASE: Final = re.compile(r"(?:^|;)agent:(\d{1,7}(?:\.\d{1,6})?)(?=;|$)")
_REFUSED_SECONDS: Final = 120.0


@dataclass(frozen=True)
class WorkItem(Document):
    """A card of the board. ``repository`` is ``owner/name``, and ``state`` is the one of its issue or pull request.

    For a draft, and for a card whose issue the token may not see, ``repository`` and ``state`` are empty and ``number``
    is 0. ``linked_branches`` are the branches that are linked to the issue, as ``owner/name:branch``, if they leave
    open which one the card is about. ``spec`` is what the card's field names as the folder of its spec, not validated.
    ``status_updated_at`` is when the status last changed, in ISO 8601 with an offset; empty if GitHub does not show it.
    """

    id: str
    title: str = ""
    content_type: str = ""
    content_id: str = ""
    url: str = ""
    repository: str = ""
    number: int = 0
    status: str = ""
    branch: str = ""
    state: str = ""
    linked_branches: tuple[str, ...] = ()
    spec: str = ""
    status_updated_at: str = ""


@dataclass(frozen=True)
class WorkBuild(Document):
    """The machine of the build, with concrete values only: an undefined argument would fail the state RunBuild.

    ``by_repository`` says that the repository's own file chose at least one of them. The JSON has it only if so.
    """

    image: str
    compute_type: str
    timeout_minutes: int
    by_repository: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {key: value for key, value in super().to_dict().items() if value is not False}


@dataclass(frozen=True)
class Work(Document):
    """What the build implements. ``commit`` is the commit that was validated, and the only one that is built.

    ``default_commit`` is the default branch's commit at that time: the repository's own file and the guard's comparison
    come from it.
    ``build`` is the machine, which ValidateWorkItem chooses last.
    """

    repository: str
    branch: str
    commit: str
    spec_path: str
    pull_request: int
    pull_request_id: str
    pull_request_url: str
    base_branch: str
    open_tasks: int
    default_commit: str
    build: WorkBuild | None = None

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        build = document.get("build")
        return super().from_dict({**document, "build": WorkBuild.from_dict(build) if build else None})


@dataclass(frozen=True)
class Lease(Document):
    """A held lock. ``fence`` is the time of acquisition in epoch milliseconds, ``expires_at`` is in epoch seconds.

    ``slot`` is the key of the slot that the build occupies; it is empty if the number of builds is not limited.
    """

    lock_key: str
    owner: str
    fence: int
    expires_at: int
    slot: str = ""


@dataclass(frozen=True)
class BuildResult:
    """What a build reported through its exported variables.

    A value is empty (``fence``: 0) if the build did not get that far. ``retry_after`` is when the agent's service works
    again, in epoch seconds, if the agent named it. ``owner`` is the
    :class:`~kiro_worker.outcomes.FaultOwner` who has to act, and ``error`` the worker's own error behind the outcome.
    ``phases`` is ``name:seconds;…`` in order; ``tail`` holds the last relevant lines of output, and ``open_tasks`` one
    name per line.
    """

    build_id: str = ""
    status: str = ""
    log_url: str = ""
    outcome: str = ""
    reason: str = ""
    owner: str = ""
    error: str = ""
    commit: str = ""
    tasks_done: str = ""
    tasks_done_before: str = ""
    tasks_open: str = ""
    tasks_optional: str = ""
    open_tasks: str = ""
    tests: str = ""
    files_changed: str = ""
    artifacts: str = ""
    coverage: str = ""
    credits: str = ""
    minutes: str = ""
    checkpoint: str = ""
    phases: str = ""
    tail: str = ""
    fence: int = 0
    retry_after: int = 0

    @classmethod
    def from_document(cls, build: dict[str, Any]) -> BuildResult:
        """The result from the state document's ``build``: ``{id, arn, log, variables: [{Name, Value}], status?}``.

        RunBuild writes no status, because the build succeeded.
        """
        # JSONata turns a list with a single element into that element.
        variables = build.get("variables") or []
        pairs = [variables] if isinstance(variables, dict) else variables
        exported = {pair["Name"]: str(pair.get("Value", "")) for pair in pairs}
        status = build.get("status", "SUCCEEDED")
        return cls._from_variables(build.get("id", ""), status, build.get("log", ""), exported)

    @classmethod
    def from_description(cls, build: BuildDescription) -> BuildResult:
        """The result from CodeBuild's own description of the build."""
        return cls._from_variables(build.id, build.status, build.log_url, dict(build.variables))

    @classmethod
    def _from_variables(cls, build_id: str, status: str, log_url: str, exported: dict[str, str]) -> BuildResult:
        values: dict[str, Any] = {key: exported.get(name, "") for name, key in EXPORTED_VARIABLES.items()}
        # Outcome and error become an error name and a heading, so any other text is rejected.
        for key, known in _CLOSED_LISTS.items():
            values[key] = values[key] if values[key] in known else ""
        values |= {key: text_of_json(values[key]) for key in ("tail", "open_tasks")}
        for key in ("fence", "retry_after"):
            values[key] = int(values[key]) if values[key].isdecimal() else 0
        return cls(build_id=build_id, status=status, log_url=log_url, **values)

    @property
    def has_pushed(self) -> bool:
        """Whether the build itself reported that the work is on the branch, whatever became of the build after that."""
        return self.outcome == Outcome.SUCCEEDED and self.commit != ""

    @property
    def agent_has_worked(self) -> bool:
        """Whether the agent received the spec and worked. The trial turn before that does not count.

        An agent that its service refuses ends at once. One that worked for minutes could only pretend that. Without
        phases, a cost counts as work.
        """
        if not self.phases:
            return self.credits != ""
        turns = [float(seconds) for seconds in _AGENT_PHASE.findall(self.phases)]
        at_once = self.outcome == Outcome.AGENT_UNAVAILABLE and max(turns, default=0.0) <= _REFUSED_SECONDS
        return bool(turns) and (self.credits != "" or not at_once)

    @property
    def stopping_outcome(self) -> str:
        """The outcome that explains why the build failed; empty if it reported none, or ``Succeeded``.

        A build that reported ``Succeeded`` and failed was stopped after that, so the outcome explains nothing.
        """
        return "" if self.outcome == Outcome.SUCCEEDED else self.outcome

    @property
    def explanation(self) -> Explained | None:
        """Name, reason and owner of the failure; ``None`` if the build reported no outcome that explains it."""
        if not self.stopping_outcome:
            return None
        # The runner puts the error's name in front of the reason. Here it would repeat the heading.
        reason = self.reason.removeprefix(f"{self.error}: ") if self.error else self.reason
        owner = FaultOwner(self.owner) if self.owner else OUTCOMES[Outcome(self.stopping_outcome)].owner
        return Explained(self.error or self.stopping_outcome, reason, owner)


@dataclass(frozen=True)
class Failure(Document):
    """Why a run failed. The state document carries it to later steps.

    ``owner`` is the :class:`~kiro_worker.outcomes.FaultOwner` who has to act, if ReadBuildResult has found it out.
    """

    state: str = ""
    error: str = ""
    cause: str = ""
    redrive_count: int = 0
    owner: str = ""

    @property
    def build(self) -> BuildResult | None:
        """The failed build in the Cause that Step Functions reported; ``None`` for any other cause."""
        build = BuildDescription.from_cause(self.cause)
        return BuildResult.from_description(build) if build else None

    @property
    def name(self) -> str:
        """The name that people see: the build's error or outcome, else a :class:`BuildFailure`, else the error's name.

        The prefix ``States.`` is removed, because Step Functions reserves it and no function may raise such an error.
        """
        return self.explained.name

    @property
    def reason(self) -> str:
        """The reason in words: the build's, what CodeBuild or the platform says, or the failed function's message."""
        return self.explained.reason

    @property
    def explained(self) -> Explained:
        """Name and reason of the failure, and its owner unless the name implies it."""
        build = BuildDescription.from_cause(self.cause)
        if build is not None:
            if reported := BuildResult.from_description(build).explanation:
                return reported
            explanation = explain(build)
        elif self.error == "States.TaskFailed":
            explanation = explain_truncated(self.cause)
        elif self.state == RUN_BUILD and self.error not in _EXPLAINED:
            explanation = explain_without_build(self.error, self.cause)
        else:
            message = cause_message(self.cause)
            platform = explain_platform_error(self.state, self.error, message)
            name = self.error.removeprefix("States.")
            return Explained(name, platform.text, platform.owner) if platform else Explained(name, message, None)
        return Explained(explanation.name, explanation.text, explanation.owner)


RUN_BUILD: Final = "RunBuild"
"""The state that runs the build. Its failures are those of the build."""
_EXPLAINED: Final = frozenset({*Outcome, *BuildFailure, *ERRORS_OF_BUILDS})
"""The error names that ReadBuildResult writes, whose cause is already in words."""


@dataclass(frozen=True)
class GitCredentials:
    """User name and password for git over HTTPS. The password never appears in ``repr()``.

    ``secret`` is the name of the secret that holds them, for error messages; empty if they come from elsewhere.
    """

    username: str
    password: str = field(repr=False)
    secret: str = field(default="", compare=False)
