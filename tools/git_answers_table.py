"""The table of git's answers in docs/how-to/fix-git.md, from :mod:`kiro_worker.runner.repository.git_causes`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kiro_worker.runner.repository.git_causes import CAUSES, Cause, CauseFacts
from tools.generator import GeneratedFile, Section, command_line, markdown_table, write_or_check
from tools.outcomes_table import ACTORS

PAGE: Final = Section("docs/how-to/fix-git.md", "git answers")
_CREDENTIALS: Final = "the git credentials"
_STORE: Final = "`aws secretsmanager put-secret-value --secret-id kiro-worker-<env>-git-credentials …`"


def main(arguments: Sequence[str] | None = None) -> int:
    options = command_line(__doc__).parse_args(arguments)
    return write_or_check(pages(), check=options.check)


def pages() -> Iterator[GeneratedFile]:
    rows = (_row(facts) for cause, facts in CAUSES.items() if cause is not Cause.OTHER)
    yield PAGE.filled_with(markdown_table(("the reason says", "who has to act", "how to fix it"), rows))


def _row(facts: CauseFacts) -> tuple[str, str, str]:
    actor = ACTORS[facts.owner] if facts.owner else "depends on the step"
    fix = facts.fix.format(credentials=_CREDENTIALS, store=_STORE) or "as the reason says"
    return facts.meaning.format(credentials=_CREDENTIALS), actor, fix


if __name__ == "__main__":
    raise SystemExit(main())
