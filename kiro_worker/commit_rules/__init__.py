"""What the author, the subject and the text of a commit may be.

The titles of tasks and the agent's own messages can be written by anybody. GitHub and other systems obey some of the
words in a commit's message, so those are changed before they get there.

::

    author.py   who writes the commits: never an address that GitHub gives to a stranger
    text.py     words that close issues, skip CI, mention people or hide
    subject.py  the first line: the template, its length, and the rules of commitlint
"""

from __future__ import annotations

from kiro_worker.commit_rules.author import DEFAULT_AUTHOR, Author, parse_author
from kiro_worker.commit_rules.subject import LONGEST_SUBJECT, subject_line, subject_problem
from kiro_worker.commit_rules.text import LONGEST_LINE, defused, defused_line

__all__ = [
    "DEFAULT_AUTHOR",
    "LONGEST_LINE",
    "LONGEST_SUBJECT",
    "Author",
    "defused",
    "defused_line",
    "parse_author",
    "subject_line",
    "subject_problem",
]
