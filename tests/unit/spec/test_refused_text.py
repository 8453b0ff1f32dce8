"""Text that no spec file may contain, and the limits of a task list."""

from __future__ import annotations

import pytest

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.spec import invisible_character, parse_tasks, read_task_list, text_problems

INVISIBLE = [
    *map(chr, [*range(0x200B, 0x200E), 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]),
    "\U000e0000",
    "\U000e0041",
    "\U000e007f",
]


def refusal(text: str) -> str:
    with pytest.raises(WorkItemInvalid) as caught:
        read_task_list(text, "spec/tasks.md")
    return caught.value.reason


@pytest.mark.parametrize("character", INVISIBLE, ids=ascii)
def test_invisible_character_is_refused(character: str) -> None:
    reason = refusal(f"# Plan\n\n- [ ] 1. Pay {character}later\n")

    assert reason.startswith(f"spec/tasks.md, line 3 contains an invisible character (U+{ord(character):04X} ")
    assert reason.endswith("): remove it")
    assert len(text_problems(f"\r{character}")) == 1
    assert invisible_character(f"a{character}b").startswith(f"U+{ord(character):04X} ")


def test_visible_text_is_accepted() -> None:
    text = "# Überschrift\n\n- [ ] 1. Zahle später 💶 日本語 العربية\n"

    assert text_problems(text) == []
    assert invisible_character(text) == ""
    assert parse_tasks(text)[0].title == "Zahle später 💶 日本語 العربية"


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", ">>>>>>> theirs", "<<<<<<<"])
def test_conflict_marker_is_refused(marker: str) -> None:
    text = f"- [x] 1. Model\r\n{marker}\r\n- [ ] 2. Screen\r\n"

    assert f"line 2 is a conflict marker ({marker[:7]}): resolve the merge conflict" in refusal(text)
    assert len(text_problems(text)) == 1


@pytest.mark.parametrize("line", ["=======", "Title\n=======", "<<<<<<<<", "  <<<<<<< HEAD", "a <<<<<<< b"])
def test_similar_line_is_no_conflict_marker(line: str) -> None:
    assert text_problems(f"{line}\n") == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# Plan\n\n<!-- - [ ] 9. Hidden -->\n\n- [ ] 1. A\n", 3),
        ("<!--\n- [ ] 9. Hidden\n-->\n- [ ] 1. A\n", 1),
        ("- [ ] 1. A <!-- and B -->\n", 1),
        ("- [ ] 1. A\n  on `a` two\n  lines <!-- B\n  C -->\n", 3),
        ("<div>\n<!-- B -->\n</div>\n\n- [ ] 1. A\n", 2),
        ("a \\`<!-- B --> \\`\n", 1),
        ("`` a ` <!-- shown --> `` <!-- B -->\n", 1),
        ("a\n` <!-- B -->\n", 2),
        ("<div>\n` <!-- B --> `\n</div>\n\n- [ ] 1. A\n", 2),
        ("| a |\n|---|\n| b <!-- c --> |\n", 3),
    ],
)
def test_comment_is_refused(text: str, line: int) -> None:
    expected = f"line {line} begins an HTML comment, which reviewers do not see: remove it, or make it visible"

    assert text_problems(text) == [expected]
    assert refusal(text) == f"spec/tasks.md, {expected}"


@pytest.mark.parametrize(
    "text", ["`<!-- shown -->`", "```html\n<!-- shown -->\n```", "    <!-- shown -->", "a <!-- b", "a \\<!-- b -->"]
)
def test_comment_in_code_is_accepted(text: str) -> None:
    assert text_problems(f"{text}\n") == []


def test_limit_of_tasks() -> None:
    assert len(parse_tasks("- [ ] A\n" * 1_000)) == 1_000
    assert refusal("- [ ] A\n" * 1_001) == "spec/tasks.md, it has 1001 tasks, but the limit is 1000: split the spec"


def test_limit_of_line_length() -> None:
    title = "a" * 1_994  # after six characters for the box

    assert parse_tasks(f"- [ ] {title}\r\n")[0].title == title
    assert "line 2 has 2001 characters, but the limit is 2000" in refusal(f"- [ ] A\n- [ ] {title}a\n")
    assert "line 1 has 250002 characters" in refusal(f"- {' ' * 250_000}")


def test_limit_of_lines() -> None:
    assert parse_tasks("\n" * 9_999) == ()
    assert "it has 10001 lines, but the limit is 10000" in refusal("\n" * 10_000)


def test_many_problems_are_shortened() -> None:
    lines = refusal("- [?] A\n" * 50).splitlines()

    assert len(lines) == 21
    assert lines[-1] == "spec/tasks.md, and 30 more: fix them as well"
