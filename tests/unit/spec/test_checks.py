"""Tasks that only ask for a check. The first table holds titles from plans that Kiro wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.spec import is_check_only, parse_tasks

CHECKS = (
    "Checkpoint",
    "Final checkpoint",
    "Checkpoint 2",
    "Checkpoint - Ensure all tests pass",
    "Checkpoint — Ensure all tests pass",
    "Checkpoint: ensure all tests pass",
    "**Checkpoint** - Ensure all tests pass.",
    "Checkpoint - Make sure all tests are passing",
    "Checkpoint - Ensure all tests pass, ask the user if questions arise",
    "Final checkpoint - Make sure all tests pass, ask the user if questions arise",
    "Final Checkpoint: Ensure all tests pass; ask the user if questions arise.",
    "Checkpoint - Ensure CRUD tests pass",
    "Checkpoint - Ensure all tool tests pass",
    "Checkpoint - Ensure core logic works",
    "Checkpoint - Verify core implementation",
    "Checkpoint - Verify topology and inventory changes",
    "Checkpoint - Core infrastructure complete",
    "Checkpoint - Core Game Logic Complete",
    "Checkpoint — Backend foundation complete",
    "Checkpoint — Phase 1 backend fixes verified",
    "Phase 2 checkpoint - All tests pass",
    "Checkpoint (all tests pass)",
    "Checkpoint - 确保核心模块测试通过",
    "Checkpoint - 达人模块验证",
    "Ensure all tests pass",
    "Ensure all existing unit tests still pass",
    "Make sure all tests are passing",
    "Verify that all tests pass and coverage is complete",
    "All tests pass",
    "Run all tests",
    "Run the full test suite",
    "Run full test suite: `pnpm test`",
    "Run full test suite (100% pass)",
    "Run full test suite — all green",
    "Run full test suite to verify nothing broke",
    "Run the full test suite and verify that nothing is broken",
    "Run the complete test suite and fix any failures",
    "Run the full test suite with coverage",
)
WORK = (
    "Add a checkpoint command",
    "Checkpoint file format",
    "Checkpoint: file format",
    "Checkpoint - add a resume command",
    "Checkpoint: Implement the restore path and ensure all tests pass",
    "Checkpoint - Ensure all tests pass by fixing the parser",
    "Checkpoint - Verify the parser, then polish the output",
    "Checkpoint - 实现恢复命令并确保测试通过",
    "Checkpoints",
    "Checkpointing of long runs",
    "Save a checkpoint - ensure all tests pass",
    "Ensure all tests pass for the new parser by fixing the tokenizer",
    "Ensure all tests pass and add the missing ones",
    "Ensure all tests pass and polish the output",
    "Ensure all tests pass after updating the snapshots",
    "Ensure tests exist for the parser",
    "Ensure the parser rejects empty input",
    "Fix the failing tests",
    "Make all tests pass",
    "Write tests",
    "Write unit tests and ensure all tests pass",
    "Run the migration",
    "Run test data generator",
    "Run the tests in CI by adding a workflow",
    "Run all tests, write the report",
    "Run the full test suite and update the documentation",
    "Run the full test suite (add tests for what is missing)",
    "Test the parser",
    "Verify the signature of webhooks",
    "Validate input",
    "Check passwords against a list",
    "Final integration and documentation",
    "3 retries for uploads",
    "Test suite for checkpoints",
)


def is_check(title: str) -> bool:
    [task] = parse_tasks(f"- [ ] 7. {title}\n")
    return is_check_only(task)


@pytest.mark.parametrize("title", CHECKS)
def test_check_needs_no_work(title: str) -> None:
    assert is_check(title)


@pytest.mark.parametrize("title", WORK)
def test_look_alike_needs_work(title: str) -> None:
    assert not is_check(title)


@given(st.sampled_from(CHECKS), st.sampled_from((str.upper, str.lower, str.title)), st.sampled_from(("", ".", "!")))
def test_case_and_closing_mark_do_not_matter(title: str, change: object, end: str) -> None:
    assert callable(change)
    assert is_check(change(title).rstrip(".") + end)


@given(
    st.sampled_from([title for title in CHECKS if title[-1].isascii()]),
    st.sampled_from([" and ", ", ", "; ", " and then ", " by ", ": ", " - "]),
    st.sampled_from(["add an index", "implementing the cache", "write the parser", "Fix the parser", "refactoring it"]),
)
def test_check_with_work_needs_work(title: str, joint: str, work: str) -> None:
    assert not is_check(title.rstrip(".") + joint + work)


@given(st.text(st.sampled_from("checkpoint ensure all tests pass,.:-\u2014()and run to by fix\u200d`*"), max_size=400))
def test_any_title_is_decided(title: str) -> None:
    tasks = parse_tasks("- [ ] 1. Title\n") if "\u200d" in title else parse_tasks(f"- [ ] x {title}\n")
    assert all(is_check_only(task) in (True, False) for task in tasks)


def test_long_titles_take_linear_time() -> None:
    for part in ("a ", "checkpoint ", "run ", "test ", "final ", "- ", "and ", "phase 1 ", "( "):
        assert is_check(f"x {part * (1_900 // len(part))}") is False
