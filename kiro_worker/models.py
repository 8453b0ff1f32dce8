"""What the steps hand each other. Dictionaries at the border of a Lambda, frozen dataclasses inside."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, Self

from kiro_worker.exported_variables import EXPORTED_VARIABLES
from kiro_worker.outcomes import Outcome

Trigger = Literal["schedule", "manual", "replay"]

EXECUTION_TRAILER: Final = "Kiro-Worker-Execution"
"""The trailer of a commit that names the execution which pushed it."""


class Document:
    """A frozen dataclass that is a part of the state document: camelCase keys, and only the known ones are read."""

    def to_dict(self) -> dict[str, Any]:
        return {camel_case(key): value for key, value in asdict(self).items()}  # type: ignore[call-overload]  # every subclass is a dataclass

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        names = {camel_case(f.name): f.name for f in fields(cls)}  # type: ignore[arg-type]  # every subclass is a dataclass
        return cls(**{names[key]: value for key, value in document.items() if key in names})


@dataclass(frozen=True)
class WorkItem(Document):
    """A card of the board. ``repository`` is ``owner/name``; it and ``number`` are empty for a draft or a card we may
    not see.
    """

    id: str
    title: str
    content_type: str
    content_id: str = ""
    url: str = ""
    repository: str = ""
    number: int = 0
    status: str = ""
    branch: str = ""


@dataclass(frozen=True)
class Work(Document):
    """What is to be built: the commit that validation saw is the commit that is built."""

    repository: str
    branch: str
    commit: str
    spec_path: str
    pull_request: int
    pull_request_id: str
    pull_request_url: str
    base_branch: str
    open_tasks: int


@dataclass(frozen=True)
class Lease(Document):
    """A held lock. ``fence`` is epoch milliseconds at acquisition, ``expires_at`` epoch seconds; ``slot`` is the key of
    the place among the builds that may run at once, empty where they are not bounded.
    """

    lock_key: str
    owner: str
    fence: int
    expires_at: int
    slot: str = ""


@dataclass(frozen=True)
class StepEvent(Document):
    """What every step gets: whose execution, its ``redrive_count`` as Step Functions' context says, the execution's
    own input, the state's name, and the state document ``{request, skipped, item, work, lease, build, failure,
    report}`` as far as it has grown.
    """

    execution_arn: str
    redrive_count: int
    execution_input: Any
    state: str
    document: dict[str, Any]


@dataclass(frozen=True)
class BuildResult:
    """What a build says of itself through its exported variables; every value is a text, empty when the build did not
    get that far. ``phases`` is ``name:seconds;…`` in their order; ``tail`` the last lines that matter.
    """

    build_id: str = ""
    status: str = ""
    log_url: str = ""
    outcome: str = ""
    reason: str = ""
    commit: str = ""
    tasks_done: str = ""
    tasks_open: str = ""
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

    @classmethod
    def from_document(cls, build: dict[str, Any]) -> BuildResult:
        """Of the state document's ``build``: ``{id, arn, log, variables: [{Name, Value}]}``."""
        return cls._from(build.get("id", ""), "SUCCEEDED", build.get("log", ""), build.get("variables") or [])

    @classmethod
    def from_cause(cls, cause: str) -> BuildResult | None:
        """Of a failed build's Cause, which is the build as JSON; ``None`` when it is something else, or was cut off."""
        try:
            build = json.loads(cause)["Build"]
            return cls._from(
                build["Id"],
                build["BuildStatus"],
                build.get("Logs", {}).get("DeepLink", ""),
                build.get("ExportedEnvironmentVariables") or [],
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    @classmethod
    def _from(cls, build_id: str, status: str, log_url: str, variables: Any) -> BuildResult:
        # JSONata hands a list of one on as the one.
        pairs = [variables] if isinstance(variables, dict) else variables
        value = {pair["Name"]: str(pair.get("Value", "")) for pair in pairs}
        values: dict[str, Any] = {field: value.get(name, "") for name, field in EXPORTED_VARIABLES.items()}
        # It becomes an error's name and a heading, so nothing but an outcome is accepted.
        values["outcome"] = values["outcome"] if values["outcome"] in set(Outcome) else ""
        values["tail"] = _text_of_json(values["tail"])
        values["fence"] = int(values["fence"]) if values["fence"].isdecimal() else 0
        return cls(build_id=build_id, status=status, log_url=log_url, **values)


@dataclass(frozen=True)
class Failure(Document):
    """What made a run fail, as the state document keeps it for the steps that follow."""

    state: str
    error: str
    cause: str = ""
    redrive_count: int = 0

    @property
    def build(self) -> BuildResult | None:
        """The build that failed, when it was one."""
        return BuildResult.from_cause(self.cause)

    @property
    def name(self) -> str:
        """What people see: a build's own outcome, else the error's name; a failed build that says Succeeded was ended
        after it had said so. ``States.`` is reserved for Step Functions itself, and no function may raise an error
        under it.
        """
        outcome = self.build.outcome if self.build else ""
        return outcome if outcome not in ("", Outcome.SUCCEEDED) else self.error.removeprefix("States.")

    @property
    def reason(self) -> str:
        """Why, for people: the build's reason or status, else the message of the function that failed."""
        if self.build:
            return self.build.reason or f"the build ended as {self.build.status}"
        return cause_message(self.cause)


@dataclass(frozen=True)
class GitCredentials:
    """User name and password for git over HTTPS; the password never appears in a representation."""

    username: str
    password: str = field(repr=False)


def cause_message(cause: str) -> str:
    """The message inside a failed function's Cause, which is JSON ``{errorMessage, errorType, …}``; otherwise the text
    itself.
    """
    try:
        document = json.loads(cause)
    except ValueError:
        return cause
    return str(document.get("errorMessage", cause)) if isinstance(document, dict) else cause


def _text_of_json(text: str) -> str:
    """A text that was written as JSON to be one line; what is none is nothing."""
    try:
        document = json.loads(text or '""')
    except ValueError:
        return ""
    return document if isinstance(document, str) else ""


def camel_case(name: str) -> str:
    """``task_count`` as ``taskCount``."""
    # pydantic's to_camel does the same, but the small functions that import this module do without pydantic.
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
