"""The demonstration's agent: a script that stands in for a real one. It reads the prompt on its standard input, as an
agent does, and really edits the files of the demonstration's repository: for the tasks that the prompt lists, or for
all when it lists none. It knows these tasks and no others; one that it does not know stays open.

It runs on its own, as any agent would, and so imports nothing but the standard library. ``--fail-first DIR`` makes it
fail the first time that it has done its second task, and leave a mark in DIR so that it does not again.
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
_ASKED_TASK: Final = re.compile(r"^- (\d[\d.]*) ", re.MULTILINE)
_OPEN_TASK: Final = re.compile(r"^(?P<before>\s*- \[)[ -](?P<after>\] (?P<number>[\d.]+)\s+(?P<title>.+))$")

_DISCOUNTS: Final = '''\
"""Discounts. Money is ``Decimal``, in whole cents."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def apply_discount(price: Decimal, percent: Decimal) -> Decimal:
    """``price`` less ``percent`` of it, rounded half up to whole cents."""
    return (price * (100 - percent) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
'''
_REFUSAL: Final = """\
    if not 0 <= percent <= 100:
        raise ValueError(f"a discount is 0 to 100 percent, not {percent}")
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

    def test_a_percentage_outside_the_range_is_refused(self) -> None:
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
    """Work in the current folder on what the prompt names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fail-first", type=Path, metavar="DIR")
    chosen = parser.parse_args(arguments)
    say("This is the scripted stand-in agent of the demonstration: no model is asked, the edits are real.")
    prompt = sys.stdin.read()
    tasks_file = tasks_file_of(prompt)
    if tasks_file is None:
        say("The prompt names no tasks.md that exists here.")
        return 2
    known, unknown = 0, 0
    asked = {number.rstrip(".") for number in _ASKED_TASK.findall(prompt)}
    for number, title in open_tasks(tasks_file):
        if asked and number not in asked:
            continue
        if work := work_for(title):
            say(f"Task {number} {title}")
            for path in work():
                say(f"  edited {path}")
            tick(tasks_file, number)
            known += 1
            if chosen.fail_first and done_tasks(tasks_file) > 1 and fails_this_time(chosen.fail_first):
                say("This stand-in was told to fail the first time: it gives up in the middle of its work.")
                return 1
        elif tick_group(tasks_file, number):
            say(f"Task {number} {title}: all of its parts are done")
        else:
            say(f"Task {number} {title}: not in my script, left open")
            unknown += 1
    say(f"Done: {known} tasks; {unknown} left open.")
    return 0


def say(text: str) -> None:
    """To whoever watches."""
    print(text, flush=True)


def tasks_file_of(prompt: str) -> Path | None:
    """The tasks.md that the prompt names."""
    paths = (Path(found) for found in _TASKS_FILE.findall(prompt))
    return next((path for path in paths if not path.is_absolute() and ".." not in path.parts and path.is_file()), None)


def open_tasks(tasks_file: Path) -> list[tuple[str, str]]:
    """Number and title, parts before the group they belong to."""
    found = [
        (match["number"].rstrip("."), match["title"])
        for line in tasks_file.read_text().splitlines()
        if (match := _OPEN_TASK.match(line))
    ]
    numbers = [number for number, _ in found]
    groups = [task for task in found if any(number.startswith(f"{task[0]}.") for number in numbers)]
    return [task for task in found if task not in groups] + groups


def done_tasks(tasks_file: Path) -> int:
    """How many boxes are ticked."""
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
    """Tick a task that only holds others together, once all of those are done."""
    text = tasks_file.read_text()
    parts = re.findall(rf"^\s*- \[([ x-])\] {re.escape(number)}\.\d", text, re.MULTILINE)
    if not parts or set(parts) != {"x"}:
        return False
    tick(tasks_file, number)
    return True


def work_for(title: str) -> Callable[[], list[str]] | None:
    """What the script does for a task of this title."""
    for words, work in _SCRIPT:
        if all(word in title for word in words):
            return work
    return None


def add_discounts() -> list[str]:
    """Task 1.1."""
    return [write("shop/discounts.py", _DISCOUNTS)]


def refuse_percentages() -> list[str]:
    """Task 1.2."""
    return [edit("shop/discounts.py", "    return (price", f"{_REFUSAL}    return (price")]


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
    (("Refuse a percentage", "0 to 100"), refuse_percentages),
    (("Test it", "`tests/test_discounts.py`"), test_discounts),
    (("`Order.total`", "percentage"), discount_orders),
    (("Test it", "`tests/test_orders.py`"), test_orders),
)


def write(path: str, text: str) -> str:
    """A new file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return path


def edit(path: str, old: str, new: str) -> str:
    """Replace the one place that reads ``old``. What an earlier attempt had replaced already stays as it is."""
    text = Path(path).read_text()
    if new in text:
        return path
    if text.count(old) != 1:
        raise SystemExit(f"{path} is not what the script expects")
    Path(path).write_text(text.replace(old, new))
    return path


def fails_this_time(folder: Path) -> bool:
    """True once for a folder."""
    mark = folder / "the-agent-has-failed"
    if mark.exists():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
