"""Which branch names are allowed, checked before a name reaches GitHub, git or a shell."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Stricter than `git check-ref-format`, which allows `-f`, `$`, `;`, `@` and the letters of every script. A branch name
# is used in command lines, file names and Markdown, and look-alike letters could deceive a reader. Git reserves HEAD.
_BRANCH: Final = re.compile(r"(?!HEAD\Z)[A-Za-z0-9][A-Za-z0-9._/+#-]*")
_FORBIDDEN_IN_BRANCH: Final = re.compile(r"\.\.|//|/\.|\.(?:/|$)|\.lock(?:/|$)|/$|/-")
_LONGEST_BRANCH: Final = 200
_OWN: Final = "kiro-worker/"


def branch_problem(branch: str) -> str | None:
    """Why the branch name is not allowed and how to fix it; ``None`` if it is allowed or empty."""
    if not branch:
        return None
    if any(ord(character) > 126 for character in branch):
        plain = unicodedata.normalize("NFKC", branch)
        look_alike = " that look like other characters" if plain != branch else ""
        return f"the branch name {branch!a} has characters outside ASCII{look_alike}: rename the branch"
    if branch.startswith(_OWN):
        return f"the branches {_OWN}… belong to the worker: rename {branch!a}"
    if len(branch) > _LONGEST_BRANCH:
        return f"the branch name is longer than {_LONGEST_BRANCH} characters: rename the branch"
    if not _BRANCH.fullmatch(branch) or _FORBIDDEN_IN_BRANCH.search(branch):
        return (
            f"the branch name {branch!a} is not allowed: use only letters, digits and . _ / + # -,"
            " start with a letter or digit, and do not use HEAD"
        )
    return None
