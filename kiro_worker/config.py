"""The configuration parameter and the secrets, read on every run and validated before anything is spent.

Everything that can be wrong with them has its own error name and says the command that mends it.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from botocore.exceptions import ClientError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from kiro_worker.errors import (
    ConfigurationInvalid,
    ConfigurationMissing,
    SecretEmpty,
    SecretMalformed,
    SecretMissing,
    SecretPlaceholder,
)
from kiro_worker.models import GitCredentials

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ssm import SSMClient

PLACEHOLDER_ORGANIZATION: Final = "your-org"
"""The organisation in the parameter that the deployment creates: it must be replaced before the first run."""

_EXAMPLE: Final = (
    '{"organization":"your-org","repository":"your-repo","projectNumber":1,"targetStatusColumn":"For Implementation"}'
)
_PLACEHOLDERS: Final = (
    "placeholder",
    "changeme",
    "change-me",
    "todo",
    "replace-me",
    "your_token",
    "your-token",
    "ghp_your",
    "xxx",
    "<",
)

LockScope = Literal["environment", "repository", "branch"]
AgentName = Literal["kiro", "claude", "codex", "gemini", "command"]


def _command(value: object) -> object:
    return tuple(shlex.split(value)) if isinstance(value, str) else value


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
        raise ValueError("must be an http(s) URL without user name or password")
    return value.rstrip("/")


def _path(value: str) -> str:
    parts = value.strip("/").split("/")
    if "\\" in value or any(part in ("", ".", "..") for part in parts):
        raise ValueError("must be a path inside the repository, without . and ..")
    return "/".join(parts)


def _repository(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", value):
        raise ValueError("must be owner/name")
    return value


def _steering(value: str) -> str:
    bucket = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.'()-]+)+/?"
    repository = r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+@[A-Za-z0-9][A-Za-z0-9._/+#-]*:[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/?"
    found = re.fullmatch(bucket, value) or re.fullmatch(repository, value)
    if not found or any(part in (".", "..") for part in re.split("[/@:]", value)):
        raise ValueError("must be s3://bucket/prefix or owner/name@branch:path")
    return value.rstrip("/")


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Command = Annotated[tuple[Name, ...], BeforeValidator(_command), Field(min_length=1)]
Url = Annotated[str, AfterValidator(_http_url)]
RepositoryPath = Annotated[Name, AfterValidator(_path)]
SteeringSource = Annotated[str, AfterValidator(_steering)]
RepositoryName = Annotated[str, AfterValidator(_repository)]


class _Model(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=False, populate_by_name=False
    )


class AgentConfiguration(_Model):
    """Who implements the tasks: ``"kiro"`` or another adapter's name, or ``{"command": [argv…]}`` for a program of
    your own that reads the prompt on stdin. One task a turn, or all open tasks in one; ``timeout_minutes`` is a turn's.
    After ``max_credits`` (in the agent's own unit) or ``max_minutes`` no further turn is begun.
    """

    name: AgentName = "kiro"
    """whose adapter: see agents.md"""
    command: Command | None = None
    """for the name `command`: a program of your own, which reads the prompt on stdin and works in the checkout"""
    mode: Literal["task", "all"] = "task"
    """one task a turn, or all open tasks in one"""
    timeout_minutes: Annotated[float, Field(gt=0, le=480)] = 45
    """of one turn"""
    max_credits: Annotated[float, Field(gt=0)] | None = None
    """of a build, in the agent's own unit; after it no further turn is begun"""
    max_minutes: Annotated[float, Field(gt=0, le=480)] | None = None
    """of a build's turns together; after it no further turn is begun"""


def _agent(value: object) -> object:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and "command" in value and "name" not in value:
        return {"name": "command", **value}
    return value


class Configuration(_Model):
    """``/kiro-worker/<env>/github-project-config``. The first four keys are required, all others have the defaults
    seen here.
    """

    organization: Name
    """the owner of the board, and of `repository`"""
    repository: Name
    """the repository's name"""
    project_number: Annotated[int, Field(ge=1, strict=True)]
    """from the board's address"""
    target_status_column: Name
    """the column that means “do it”, `For Implementation`"""
    owner_type: Literal["organization", "user"] = "organization"
    """of the board"""
    repositories: tuple[RepositoryName, ...] = ()
    """the only repositories whose cards are built, `owner/name` each; empty: `organization/repository`"""
    status_field: Name = "Status"
    """the board's field of the columns"""
    branch_field: Name = "Branch"
    """the board's text field that names a card's branch"""
    in_progress_status: Name = "In Progress"
    """where a card goes when its build begins; the board must have it, and the others"""
    review_status: Name = "In Review"
    """where a card goes when its work is pushed"""
    failed_status: Name | None = "Blocked"
    """where a card goes after a failure; `null` leaves it where it is"""
    blocked_status: Name | None = "Blocked"
    """where a card goes that is not ready; `null` leaves it where it is"""
    spec_root: Annotated[Name, StringConstraints(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")] = ".kiro/specs"
    """the folder of the specs, a path in the repository"""
    allowed_author_associations: tuple[Name, ...] = ("OWNER", "MEMBER", "COLLABORATOR")
    """who may open the pull request"""
    lock_scope: LockScope = "environment"
    """one job at a time, or one for each repository or branch"""
    max_concurrent_builds: Annotated[int, Field(ge=1, le=100, strict=True)] | None = None
    """how many builds may run at once with `lockScope` `repository` or `branch`; `null`: one for each"""
    test_command: Command | None = None
    """a list of words, or a text that is split into words; no shell; `null`: the ecosystem's usual one"""
    coverage_report: Name | None = None
    """the report that the tests write, a path in the repository; `null`: by its usual name"""
    coverage_threshold: Annotated[float, Field(ge=0, le=100)] | None = 80.0
    """per cent of the lines. One that cannot be measured is an error and not a pass, **the default too**: `null` for a
    project that writes no coverage report"""
    coverage_mode: Literal["all", "changed"] = "all"
    """`changed`: only the lines that the change adds count"""
    guarded_paths: tuple[RepositoryPath, ...] = (
        ".kiro/agents",
        ".kiro/hooks",
        ".kiro/settings/mcp.json",
        ".kiro/steering",
        "AGENTS.md",
    )
    """what must be the same as on the default branch, because it steers the agent: see security.md"""
    guard_label: Name | None = None
    """the pull request's label that lets a change of guarded paths through; `null`: none does"""
    steering: SteeringSource | None = None
    """steering files that are kept centrally, `s3://bucket/prefix` or `owner/name@branch:path`: see below"""
    submodules: bool = False
    """whether the agent and the tests get the files of submodules: see security.md"""
    lfs: bool = False
    """whether they get the files of Git LFS in place of their pointers: see security.md"""
    agent: Annotated[AgentConfiguration, BeforeValidator(_agent)] = AgentConfiguration()
    """an adapter's name, or an object with the keys below; with a `command` its name may be left out"""
    github_api_url: Url = "https://api.github.com/graphql"
    """of GitHub Enterprise Server"""
    git_url: Url = "https://github.com"
    """of GitHub Enterprise Server"""

    @property
    def allowed_repositories(self) -> tuple[str, ...]:
        """The repositories whose cards may be built, ``owner/name`` each."""
        return self.repositories or (f"{self.organization}/{self.repository}",)

    @property
    def everything_guarded(self) -> tuple[str, ...]:
        """``guarded_paths``, and what says which other repositories are read with the worker's credentials."""
        return (*self.guarded_paths, "./.gitmodules") if self.submodules else self.guarded_paths

    @property
    def statuses(self) -> tuple[str, ...]:
        """Every status this configuration names; the board must have them all."""
        named = (
            self.target_status_column,
            self.in_progress_status,
            self.review_status,
            self.failed_status,
            self.blocked_status,
        )
        return tuple(dict.fromkeys(status for status in named if status is not None))


def load_configuration(ssm: SSMClient, parameter_name: str) -> Configuration:
    """Raises :class:`ConfigurationMissing` or :class:`ConfigurationInvalid`."""
    try:
        text = ssm.get_parameter(Name=parameter_name)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        raise ConfigurationMissing(
            f"the parameter {parameter_name} does not exist", _put_parameter(parameter_name)
        ) from None
    return parse_configuration(text, parameter_name)


def parse_configuration(text: str, parameter_name: str) -> Configuration:
    """The validated configuration in ``text``; ``parameter_name`` is for the messages."""
    remedy = _put_parameter(parameter_name)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationInvalid(f"{parameter_name} is not JSON: {error}", remedy) from None
    if not isinstance(document, dict):
        raise ConfigurationInvalid(f"{parameter_name} must be a JSON object, it is {_json_type(document)}", remedy)
    if document.get("organization") == PLACEHOLDER_ORGANIZATION:
        raise ConfigurationMissing(f"{parameter_name} still holds the deployment's placeholder", remedy)
    try:
        return Configuration.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors())
        raise ConfigurationInvalid(f"{parameter_name}: {problems}", remedy) from None


def load_github_token(secrets: SecretsManagerClient, arn: str) -> str:
    """The GitHub token: the plain secret, or its ``token`` when the secret is JSON."""
    text = _secret_text(secrets, arn, "ghp_…")
    if not text.startswith("{"):
        return _printable(text, arn, "ghp_…")
    return _printable(_secret_field(text, arn, "token", '{"token":"ghp_…"}'), arn, "ghp_…")


def load_git_credentials(secrets: SecretsManagerClient, arn: str) -> GitCredentials:
    """User name and password for git, JSON ``{"username", "password"}``."""
    form = '{"username":"git","password":"your_token"}'
    text = _secret_text(secrets, arn, form)
    username, password = (_secret_field(text, arn, key, form) for key in ("username", "password"))
    return GitCredentials(_printable(username, arn, form), _printable(password, arn, form))


def load_agent_key(secrets: SecretsManagerClient, arn: str) -> str:
    """The agent's own API key, plain text."""
    return _printable(_secret_text(secrets, arn, "ksk_…"), arn, "ksk_…")


def _secret_text(secrets: SecretsManagerClient, arn: str, form: str) -> str:
    name, remedy = _secret_name(arn), _put_secret(arn, form)
    try:
        answer = secrets.get_secret_value(SecretId=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise SecretMissing(f"the secret {name} does not exist or has no value", remedy) from None
    text = answer.get("SecretString", "").strip()
    if not text:
        raise SecretEmpty(f"the secret {name} is empty", remedy)
    if is_placeholder(text):
        raise SecretPlaceholder(f"the secret {name} still holds a placeholder", remedy)
    return text


def _secret_field(text: str, arn: str, key: str, form: str) -> str:
    name, remedy = _secret_name(arn), _put_secret(arn, form)
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        # Not the decoder's own message: it can quote the value.
        raise SecretMalformed(f"the secret {name} is not JSON of the form {form}", remedy) from None
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, str):
        raise SecretMalformed(f'the secret {name} has no text "{key}"; its form is {form}', remedy)
    if not value.strip():
        raise SecretEmpty(f'"{key}" in the secret {name} is empty', remedy)
    if is_placeholder(value):
        raise SecretPlaceholder(f'"{key}" in the secret {name} still holds a placeholder', remedy)
    return value.strip()


def is_placeholder(value: str) -> bool:
    """Whether a secret's value is what examples and deployments leave there: ``placeholder``,
    ``ghp_your_actual_token`` …
    """
    lowered = value.strip().lower()
    return any(lowered.startswith(word) for word in _PLACEHOLDERS)


def _printable(value: str, arn: str, form: str) -> str:
    # A line break in a token would end an HTTP header or a git credential and begin another.
    if not all("!" <= character <= "~" for character in value):
        raise SecretMalformed(
            f"the secret {_secret_name(arn)} has white space or control characters inside",
            _put_secret(arn, form),
        )
    return value


def _secret_name(arn: str) -> str:
    """``kiro-worker-test-github-token`` of its ARN, without the six characters Secrets Manager appends."""
    return re.sub(r"-[A-Za-z0-9]{6}$", "", arn.rsplit(":", 1)[-1]) if arn.startswith("arn:") else arn


def _put_secret(arn: str, form: str) -> str:
    return f"aws secretsmanager put-secret-value --secret-id {_secret_name(arn)} --secret-string '{form}'"


def _put_parameter(name: str) -> str:
    return f"aws ssm put-parameter --name {name} --type String --overwrite --value '{_EXAMPLE}'"


def _problem(detail: Any) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    key = str(detail["loc"][-1]) if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        return f'unknown key "{path}"{_nearest(key, _known_keys(detail["loc"]))}'
    if detail["type"] == "missing":
        return f'"{path}" is missing'
    return f'"{path}": {detail["msg"]}'


def _known_keys(location: tuple[str | int, ...]) -> Iterable[str]:
    model: type[BaseModel] = AgentConfiguration if len(location) > 1 and location[0] == "agent" else Configuration
    return [to_camel(name) for name in model.model_fields]


def _nearest(key: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(key.replace("_", "").replace("-", "").lower(), by_lower, n=1, cutoff=0.5)
    return f'; did you mean "{by_lower[near[0]]}"?' if near else f"; known are {', '.join(sorted(known))}"


def _json_type(value: object) -> str:
    return {list: "an array", str: "a text", int: "a number", float: "a number", bool: "a truth value"}.get(
        type(value), "null"
    )
