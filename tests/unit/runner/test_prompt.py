"""The prompt names the work to do and only spec files that exist."""

from __future__ import annotations

from pathlib import Path

from kiro_worker.models import Lease
from kiro_worker.runner.agent.prompt import fixing_prompt, prompt
from kiro_worker.runner.request import BuildRequest
from kiro_worker.spec import parse_tasks

REQUEST = BuildRequest("acme/shop", "feature/x", "0" * 40, ".kiro/specs/feature-x", 1, Lease("k", "o", 1, 0))
TASKS = parse_tasks("- [ ] 1.1 Add a price\n- [ ] Test it\n")


def test_single_task_is_named_alone(tmp_path: Path) -> None:
    text = prompt(REQUEST, tmp_path, TASKS[:1])

    assert "\n- 1.1. Add a price\n" in text
    assert "Test it" not in text
    assert "Do not start other open tasks" in text
    assert "It begins on line 1 of .kiro/specs/feature-x/tasks.md." in text


def test_all_tasks_are_named_in_order(tmp_path: Path) -> None:
    text = prompt(REQUEST, tmp_path, TASKS)

    assert "\n- 1.1. Add a price\n- Test it\n" in text


def test_existing_spec_files_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / REQUEST.spec_path
    folder.mkdir(parents=True)
    for name in ("bugfix.md", "tasks.md"):
        (folder / name).touch()

    text = prompt(REQUEST, tmp_path, TASKS)

    assert "Read first:\n- .kiro/specs/feature-x/bugfix.md\n- .kiro/specs/feature-x/tasks.md\n\n" in text
    assert "requirements.md" not in text


def test_fixing_prompt_quotes_end_of_output(tmp_path: Path) -> None:
    text = fixing_prompt(REQUEST, tmp_path, "2 tests failed", f"first\n{'x' * 8_000}\nlast")

    assert "The checks reported (2 tests failed):\n" in text
    assert "\n    last\n" in text
    assert "first" not in text.partition("The checks reported")[2]
