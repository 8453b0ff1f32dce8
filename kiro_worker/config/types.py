"""The types that keys of the configuration have: each validates its value, and its error says what must be written."""

from __future__ import annotations

import re
import shlex
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from kiro_worker.commit_rules import parse_author, subject_problem


def _split_command(value: object) -> object:
    return tuple(shlex.split(value)) if isinstance(value, str) else value


def _shell_script(value: object) -> object:
    if not isinstance(value, str):
        return value
    return ("sh", "-eu", "-c", value) if value.strip() else ()


def _environment(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{name!a} is not the name of an environment variable")
        if _RESERVED.fullmatch(name):
            raise ValueError(f"{name} cannot be set, because the worker, an agent, git or the system's loader uses it")
    return value


def _text_of_scalar(value: object) -> object:
    """Accept a whole number as text, such as ``"PORT": 8080``. Of others, such as 3.10, the digits are lost."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _author(value: str) -> str:
    return str(parse_author(value))


def _subject(value: str) -> str:
    if problem := subject_problem(value):
        raise ValueError(problem)
    return value


def _without_control_characters(value: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("must not contain control characters")
    return value


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must not contain half of a surrogate pair, which is no character")
    return value


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s\x00-\x1f/@]+(/[^\s\x00-\x1f]*)?", value):
        raise ValueError("must be an http(s) URL without user name or password")
    return value.rstrip("/")


def _repository_path(value: str) -> str:
    parts = value.strip("/").split("/")
    if "\\" in value or any(part in ("", ".", "..") for part in parts):
        raise ValueError("must be a path inside the repository, without . and ..")
    return "/".join(parts)


def _repository_glob(value: str) -> str:
    parts = value.rstrip("/").split("/")
    if "\\" in value or any(part in ("", ".", "..") for part in parts):
        raise ValueError("must be a glob inside the repository, relative to its root, without . and ..")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError("must have ** only as a whole path segment")
    return "/".join(parts)


def _repository_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", value):
        raise ValueError("must be owner/name")
    return value


def _steering_source(value: str) -> str:
    bucket = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.'()-]+)+/?"
    repository = r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+@[A-Za-z0-9][A-Za-z0-9._/+#-]*:[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/?"
    matched = re.fullmatch(bucket, value) or re.fullmatch(repository, value)
    if not matched or any(part in (".", "..") for part in re.split("[/@:]", value)):
        raise ValueError("must be s3://bucket/prefix or owner/name@branch:path")
    return value.rstrip("/")


_RESERVED = re.compile(
    r"(?:LD|DYLD|AWS|CODEBUILD|ECS|GIT|KIRO|MALLOC)_.*|PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|PWD|IFS|ENV|BASH_ENV|CI"
    r"|COVERAGE_FILE|GCONV_PATH|GLIBC_TUNABLES|LOCPATH|NLSPATH|GETCONF_DIR"
    # Where an agent sends its key, and what it runs to get one.
    r"|(?:ANTHROPIC|OPENAI|GEMINI|GOOGLE_GEMINI|GOOGLE_VERTEX)_(?:[A-Z]+_)*(?:URL|BASE|ENDPOINT|TOKEN|HEADERS)"
    r"|CODE_ASSIST_ENDPOINT|CLAUDE_.*|CODEX_.*|GEMINI_CLI_.*"
)

Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_without_control_characters),
]
Word = Annotated[str, StringConstraints(min_length=1, max_length=10_000), AfterValidator(_without_nul)]
Command = Annotated[tuple[Word, ...], BeforeValidator(_split_command), Field(min_length=1)]
Script = Annotated[tuple[Word, ...], BeforeValidator(_shell_script)]
TestCommand = Annotated[tuple[Word, ...], BeforeValidator(_shell_script), Field(min_length=1)]
EnvironmentVariables = Annotated[
    dict[
        str,
        Annotated[
            str, BeforeValidator(_text_of_scalar), StringConstraints(max_length=4096), AfterValidator(_without_nul)
        ],
    ],
    Field(max_length=100),
    AfterValidator(_environment),
]
KeyVariable = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^kiro-worker-[a-z]+-tests-[A-Za-z0-9/_+=.@-]{1,200}$")]
Author = Annotated[Name, AfterValidator(_author)]
SubjectTemplate = Annotated[Name, AfterValidator(_subject)]
Credits = Annotated[float, Field(gt=0, strict=True)]
Url = Annotated[str, AfterValidator(_http_url)]
RepositoryPath = Annotated[Name, AfterValidator(_repository_path)]
SpecRoot = Annotated[
    str,
    StringConstraints(max_length=200, pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$"),
    AfterValidator(_repository_path),
]
RepositoryGlob = Annotated[Name, AfterValidator(_repository_glob)]
SteeringSource = Annotated[str, AfterValidator(_steering_source)]
RepositoryName = Annotated[str, AfterValidator(_repository_name)]


class Model(BaseModel):
    """The base of every part of the configuration: camel-case keys, no unknown keys, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        strict=False,
        populate_by_name=False,
        allow_inf_nan=False,
    )
