"""The scripted stand-in agent of the demo.

Like a real agent, it reads the prompt from standard input and edits the files of the demo's repository. It works on the
tasks that the prompt lists, or on all tasks if the prompt lists none. It can only do the tasks in its script and leaves
any other task open.

Like any agent, it runs as a separate program, so it imports only the standard library. With ``--fail-first FILE`` it
fails once, after its second task, and notes it in FILE, which exists and is empty, so that the next run does not fail.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_TASKS_FILE: Final = re.compile(r"[\w./+#-]+/tasks\.md")
_LISTED_TASK: Final = re.compile(r"^- (\d[\d.]*) ", re.MULTILINE)
_OPEN_TASK: Final = re.compile(r"^(?P<before>\s*- \[)[ -](?P<after>\] (?P<number>[\d.]+)\s+(?P<title>.+))$")

_DISCOUNTS: Final = '''\
"""Discounts. Money is ``Decimal``, in whole cents."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def apply_discount(price: Decimal, percent: Decimal) -> Decimal:
    """The price minus the percentage, rounded half up to whole cents."""
    return (price * (100 - percent) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
'''
_RANGE_CHECK: Final = """\
    if not 0 <= percent <= 100:
        raise ValueError(f"a discount must be 0 to 100 percent, not {percent}")
"""
_DISCOUNT_TESTS: Final = """\
from __future__ import annotations

import unittest
from decimal import Decimal

from shop.discounts import apply_discount


class ApplyDiscount(unittest.TestCase):
    def test_a_percentage_is_taken_off(self) -> None:
        self.assertEqual(apply_discount(Decimal("80.00"), Decimal(25)), Decimal("60.00"))

    def test_half_a_cent_is_rounded_up(self) -> None:
        self.assertEqual(apply_discount(Decimal("0.05"), Decimal(50)), Decimal("0.03"))

    def test_the_ends_of_the_range_are_allowed(self) -> None:
        self.assertEqual(apply_discount(Decimal("9.99"), Decimal(0)), Decimal("9.99"))
        self.assertEqual(apply_discount(Decimal("9.99"), Decimal(100)), Decimal("0.00"))

    def test_a_percentage_outside_the_range_is_rejected(self) -> None:
        for percent in (Decimal("-0.5"), Decimal(101)):
            with self.subTest(percent), self.assertRaisesRegex(ValueError, str(percent)):
                apply_discount(Decimal("10.00"), percent)


if __name__ == "__main__":
    unittest.main()
"""
_ORDER_TEST: Final = """\

    def test_a_discount_applies_once_to_the_whole_order(self) -> None:
        order = Order((Line("pin", 3, Decimal("0.05")),))
        self.assertEqual(order.total(Decimal(50)), Decimal("0.08"))
"""


def main(arguments: list[str]) -> int:
    """Do the tasks in the prompt, in the current directory, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fail-first", type=Path, metavar="FILE")
    chosen = parser.parse_args(arguments)
    log("This is the scripted stand-in agent of the demo: it calls no model, but its edits are real.")
    prompt = sys.stdin.read()
    tasks_file = find_tasks_file(prompt)
    if tasks_file is None:
        log("The prompt names no existing tasks.md.")
        return 2
    done, left_open = 0, 0
    listed = {number.rstrip(".") for number in _LISTED_TASK.findall(prompt)}
    for number, title in open_tasks(tasks_file):
        if listed and number not in listed:
            continue
        if edit_files := edits_for(title):
            log(f"Task {number} {title}")
            for path in edit_files():
                log(f"  edited {path}")
            tick(tasks_file, number)
            done += 1
            if chosen.fail_first and count_done_tasks(tasks_file) > 1 and fails_this_time(chosen.fail_first):
                log("Failing after the second task, because of --fail-first.")
                return 1
        elif tick_group(tasks_file, number):
            log(f"Task {number} {title}: all subtasks are done")
        else:
            log(f"Task {number} {title}: not in the script, left open")
            left_open += 1
    log(f"Tasks done: {done}; left open: {left_open}.")
    return 0


def log(text: str) -> None:
    """Print a line without buffering."""
    print(text, flush=True)


def find_tasks_file(prompt: str) -> Path | None:
    """The tasks.md that the prompt names, if it exists in the repository."""
    paths = (Path(name) for name in _TASKS_FILE.findall(prompt))
    return next((path for path in paths if not path.is_absolute() and ".." not in path.parts and path.is_file()), None)


def open_tasks(tasks_file: Path) -> list[tuple[str, str]]:
    """Number and title of each open task, with subtasks before their group."""
    tasks = [
        (match["number"].rstrip("."), match["title"])
        for line in tasks_file.read_text().splitlines()
        if (match := _OPEN_TASK.match(line))
    ]
    numbers = [number for number, _ in tasks]
    groups = [task for task in tasks if any(number.startswith(f"{task[0]}.") for number in numbers)]
    return [task for task in tasks if task not in groups] + groups


def count_done_tasks(tasks_file: Path) -> int:
    """The number of ticked boxes."""
    return len(re.findall(r"^\s*- \[x\] ", tasks_file.read_text(), re.MULTILINE))


def tick(tasks_file: Path, number: str) -> None:
    """Tick one box and change nothing else."""
    lines = tasks_file.read_text().splitlines(keepends=True)
    for index, line in enumerate(lines):
        match = _OPEN_TASK.match(line.rstrip("\r\n"))
        if match and match["number"].rstrip(".") == number:
            lines[index] = line.replace(match[0], f"{match['before']}x{match['after']}")
    tasks_file.write_text("".join(lines))


def tick_group(tasks_file: Path, number: str) -> bool:
    """Tick a group if all its subtasks are done, and return whether it did."""
    text = tasks_file.read_text()
    boxes = re.findall(rf"^\s*- \[([ x-])\] {re.escape(number)}\.\d", text, re.MULTILINE)
    if not boxes or set(boxes) != {"x"}:
        return False
    tick(tasks_file, number)
    return True


def edits_for(title: str) -> Callable[[], list[str]] | None:
    """The function that does the task with this title and returns the edited paths."""
    for words, edit_files in _SCRIPT:
        if all(word in title for word in words):
            return edit_files
    return None


def add_discounts() -> list[str]:
    """Task 1.1."""
    return [write("shop/discounts.py", _DISCOUNTS)]


def check_range() -> list[str]:
    """Task 1.2."""
    return [edit("shop/discounts.py", "    return (price", f"{_RANGE_CHECK}    return (price")]


def test_discounts() -> list[str]:
    """Task 1.3."""
    return [write("tests/test_discounts.py", _DISCOUNT_TESTS)]


def discount_orders() -> list[str]:
    """Task 2.1."""
    path = "shop/orders.py"
    edit(
        path,
        "from decimal import Decimal\n",
        "from decimal import Decimal\n\nfrom shop.discounts import apply_discount\n",
    )
    edit(
        path,
        '    def total(self) -> Decimal:\n        """The sum of all lines."""\n        return sum(',
        "    def total(self, percent: Decimal = Decimal(0)) -> Decimal:\n"
        '        """The sum of all lines, less a discount."""\n        total = sum(',
    )
    return [edit(path, 'Decimal("0.00"))\n', 'Decimal("0.00"))\n        return apply_discount(total, percent)\n')]


def test_orders() -> list[str]:
    """Task 2.2."""
    return [
        edit("tests/test_orders.py", '\n\n\nif __name__ == "__main__"', f'\n{_ORDER_TEST}\n\nif __name__ == "__main__"')
    ]


_SCRIPT: Final[tuple[tuple[tuple[str, ...], Callable[[], list[str]]], ...]] = (
    (("`apply_discount`", "`shop/discounts.py`"), add_discounts),
    (("Reject a percentage", "0 to 100"), check_range),
    (("Test it", "`tests/test_discounts.py`"), test_discounts),
    (("`Order.total`", "percentage"), discount_orders),
    (("Test it", "`tests/test_orders.py`"), test_orders),
)


def write(path: str, text: str) -> str:
    """Write a new file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return path


def edit(path: str, old: str, new: str) -> str:
    """Replace the only occurrence of ``old``, unless an earlier run has done so already."""
    text = Path(path).read_text()
    if new in text:
        return path
    if text.count(old) != 1:
        raise SystemExit(f"{path} does not have the content that the script expects")
    Path(path).write_text(text.replace(old, new))
    return path


def fails_this_time(marker: Path) -> bool:
    """True the first time it is called with a marker file, and false afterwards."""
    if marker.stat().st_size:
        return False
    marker.write_text("failed\n")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
