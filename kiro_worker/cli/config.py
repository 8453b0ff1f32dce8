"""`kiro-worker config`: show the effective settings of a repository, and check its file before it is pushed."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import boto3
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kiro_worker.cli.options import EndpointOption, EnvironmentOption, JsonOption, names_of
from kiro_worker.config.parameter import load_configuration, parse_configuration_file
from kiro_worker.config.repository_file import misnamed, parse_repository_file
from kiro_worker.config.resolve import resolve
from kiro_worker.config.secrets import load_github_token
from kiro_worker.config.settings import MISNAMED_FILE, REPOSITORY_FILE, settings_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiro_worker.config.model import Configuration
    from kiro_worker.config.settings import Settings

_TOKEN_VARIABLE: Final = "GITHUB_TOKEN"  # noqa: S105  # the name of a variable
_SHOW_EXAMPLES = """
Examples:

  kiro-worker config show acme/shop

  kiro-worker config show acme/shop --environment production --json

  GITHUB_TOKEN=$(gh auth token) kiro-worker config show acme/shop --config parameter.json     without AWS

Exit codes: 0 done, 1 the settings are wrong, 2 wrong command line.
"""
_CHECK_EXAMPLES = """
Examples:

  kiro-worker config check

  kiro-worker config check .kiro-worker.yml --config parameter.json     with the installation's limits

Exit codes: 0 the file is valid, 1 it is not, 2 wrong command line.
"""

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Read the parameter from a JSON file instead of AWS.")
]
app = typer.Typer(name="config", help="Show and check the settings of repositories.", no_args_is_help=True)


def show(
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository.")],
    environment: EnvironmentOption = "test",
    config: ConfigOption = None,
    endpoint_url: EndpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what applies to a repository, and where each value comes from."""
    if config:
        configuration, token = _read_parameter(config), os.environ.get(_TOKEN_VARIABLE, "")
        if not token:
            raise typer.BadParameter(f"--config reads the GitHub token from {_TOKEN_VARIABLE}, which is not set")
    else:
        configuration, token = _read_deployed(environment, endpoint_url)
    commit, settings = asyncio.run(_read_settings(configuration, token, repository))
    installation = {"maxCreditsPerDay": configuration.max_credits_per_day}
    document = {
        "repository": repository,
        "commit": commit,
        **settings_document(settings),
        "installation": installation,
    }
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{escape(repository)}, {REPOSITORY_FILE} at {commit[:12]}\n")
    table = _table(settings)
    for key, value in installation.items():
        table.add_row(f"installation.{key}", _shown(key, value), "default" if value is None else "parameter")
    console.print(table)


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to check.")] = Path(REPOSITORY_FILE),
    config: ConfigOption = None,
    repository: Annotated[str, typer.Option(metavar="OWNER/NAME", help="The repository that the file is for.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Check a repository's file. With --config, the limits of the installation are checked, too."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from None
    if file.name == MISNAMED_FILE:
        raise misnamed(str(file))
    parsed = parse_repository_file(text, str(file))
    settings = resolve(_read_parameter(config), repository, parsed) if config else None
    if as_json:
        known = settings_document(settings) if settings else {}
        typer.echo(json.dumps({"file": str(file), "valid": True, **known}, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{escape(str(file))} is valid")
    if settings:
        console.print(_table(settings))


show.__doc__ = f"{show.__doc__}\n{_SHOW_EXAMPLES}"
check.__doc__ = f"{check.__doc__}\n{_CHECK_EXAMPLES}"
app.command("show")(show)
app.command("check")(check)


async def _read_settings(configuration: Configuration, token: str, repository: str) -> tuple[str, Settings]:
    # Imported here because the GraphQL client is slow to import, and only this command needs it.
    from kiro_worker.github.client import github_session
    from kiro_worker.github.repository_file import read_repository_settings

    async with github_session(configuration.github_api_url, token) as session:
        return await read_repository_settings(session, configuration, repository)


def _read_deployed(environment: str, endpoint_url: str | None) -> tuple[Configuration, str]:
    names = names_of(environment)
    configuration = load_configuration(boto3.client("ssm", endpoint_url=endpoint_url), names.configuration_parameter)
    secrets = boto3.client("secretsmanager", endpoint_url=endpoint_url)
    return configuration, load_github_token(secrets, names.github_token_secret)


def _read_parameter(file: Path) -> Configuration:
    try:
        return parse_configuration_file(file.read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"--config: {file} cannot be read: {error}") from None


def _table(settings: Settings) -> Table:
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    document = settings_document(settings)
    for key, value in _flat(document["effective"]):
        origin = settings.origins.get(key) or settings.origins.get(key.rpartition("].")[2], "")
        table.add_row(escape(key), escape(_shown(key, value)), escape(origin or "default"))
    return table


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value with its dotted key. A single check without a name has the keys of the repository."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
        return
    if prefix == "checks":
        is_single = len(value) == 1 and not value[0]["name"]
        for number, check_ in enumerate(value):
            yield from _flat(check_, "" if is_single else f"checks[{number}]")
        return
    if prefix != "name":
        yield prefix, value


def _shown(key: str, value: Any) -> str:
    if key.startswith("build.") and not value:
        return "that of the CodeBuild project"
    if value is None:
        return "detected from the files" if key.rpartition(".")[2] in ("setup", "test") else "none"
    if value in ([], ""):
        return "none"
    # A terminal would obey the control characters of a value.
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)
