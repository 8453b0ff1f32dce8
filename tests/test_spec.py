from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.spec import open_tasks, parse_tasks, spec_folder, tick

TASKS = """# Implementation plan

- [x] 1. Set up the module
- [ ] 2. Implement discounts
  - [-] 2.1 Reject a rate outside 0 to 1
    - _Requirements: 1.2_
  - [ ]* 2.2 Benchmark it
* [ ] A task without a number

```
- [ ] 9. an example, not a task
```
"""


def test_tasks_have_numbers_states_nesting_and_optional_marks() -> None:
    assert [(task.number, task.title, task.state, task.optional) for task in parse_tasks(TASKS)] == [
        ("1", "Set up the module", "done", False),
        ("2", "Implement discounts", "open", False),
        ("2.1", "Reject a rate outside 0 to 1", "in_progress", False),
        ("2.2", "Benchmark it", "open", True),
        ("", "A task without a number", "open", False),
    ]


def test_a_task_left_in_progress_is_open_and_an_optional_one_is_not() -> None:
    assert [task.number for task in open_tasks(TASKS)] == ["2", "2.1", ""]


def test_a_fence_closes_only_by_its_own_kind() -> None:
    text = "````\n```\n- [ ] 1. inside\n````\n- [ ] 2. outside\n~~~\n```\n- [ ] 3. inside\n~~~\n- [ ] 4. outside\n"
    assert [task.number for task in parse_tasks(text)] == ["2", "4"]


def test_windows_line_ends_are_no_part_of_a_title() -> None:
    assert [task.title for task in parse_tasks("- [ ] 1. one\r\n- [x] 2. two\r\n")] == ["one", "two"]


def test_the_spec_folder_is_the_branch_with_dashes() -> None:
    assert spec_folder(".kiro/specs/", "feature/a/b") == ".kiro/specs/feature-a-b"


lines = st.lists(
    st.one_of(
        st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30),
        st.builds(
            "- [{}]{} {} {}".format, st.sampled_from(" xX-"), st.sampled_from(["", "*"]), st.just("1."), st.text()
        ),
        st.just("```"),
    )
)


@given(lines, st.sampled_from(["\n", "\r\n"]))
def test_ticking_a_task_changes_its_box_and_nothing_else(content: list[str], end: str) -> None:
    text = end.join(content)
    for task in parse_tasks(text):
        ticked = tick(text, task)
        assert len(ticked) == len(text)
        differing = [index for index, (before, after) in enumerate(zip(text, ticked, strict=True)) if before != after]
        assert len(differing) <= 1
        assert [other.state for other in parse_tasks(ticked) if other.line == task.line] == ["done"]
