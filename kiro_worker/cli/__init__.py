"""`kiro-worker …`: one module per command. Only this module turns an error into an exit code.

Exit codes: 0 done, 1 something failed, 2 wrong command line, 130 interrupted.
"""

from __future__ import annotations

import sys

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from kiro_worker.cli.aws_errors import explain
from kiro_worker.cli.extra import ExtraMissing
from kiro_worker.errors import KiroWorkerError


def main() -> None:
    """The entry point of the `kiro-worker` script."""
    try:
        # Imported here so that Ctrl-C during the import prints no traceback either.
        from kiro_worker.cli.app import app

        app()
    except (KiroWorkerError, OSError) as error:
        _show(error)
        sys.exit(1)
    except (BotoCoreError, ClientError) as error:
        _show_text(*explain(error))
        sys.exit(1)
    except ModuleNotFoundError as error:
        _show(ExtraMissing(error.name or str(error)))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _show(error: KiroWorkerError | OSError) -> None:
    _show_text(type(error).__name__, str(error))


def _show_text(name: str, message: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"[red]{escape(name)}[/red]: {escape(message)}", highlight=False)
