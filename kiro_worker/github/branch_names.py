"""Which names a branch may have, before anybody is asked about it."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Stricter than `git check-ref-format`, which allows `-f`, `$`, `;`, `@` and every script's letters: a branch name
# reaches command lines, file names and Markdown, and a look-alike letter in it deceives the reader. HEAD is a name that
# git itself gives.
_BRANCH: Final = re.compile(r"(?!HEAD\Z)[A-Za-z0-9][A-Za-z0-9._/+#-]*")
_FORBIDDEN_IN_BRANCH: Final = re.compile(r"\.\.|//|/\.|\.(?:/|$)|\.lock(?:/|$)|/$|/-")
_LONGEST_BRANCH: Final = 200


def branch_problem(branch: str) -> str | None:
    """Why a branch name is refused before it reaches GitHub, git or a shell; ``None`` when it is fine."""
    if not branch:
        return None
    if any(ord(character) > 126 for character in branch):
        plain = unicodedata.normalize("NFKC", branch)
        looks_like = " that only look like others" if plain != branch else ""
        return f"the branch name {branch!a} has characters outside ASCII{looks_like}"
    if len(branch) > _LONGEST_BRANCH:
        return f"the branch name is longer than {_LONGEST_BRANCH} characters"
    if not _BRANCH.fullmatch(branch) or _FORBIDDEN_IN_BRANCH.search(branch):
        return (
            f"the branch name {branch!a} is not allowed: letters, digits and . _ / + # - only,"
            " beginning with a letter or digit, and not HEAD"
        )
    return None
