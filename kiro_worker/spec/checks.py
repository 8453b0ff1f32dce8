"""Which tasks only ask for a check, such as "Checkpoint - Ensure all tests pass".

Kiro writes such tasks into every plan. They need no change to any file, because the gate carries out the check. Only
the title decides. In doubt a task is no check: a check counts as done without any work.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kiro_worker.spec.tasks import Task

# "Checkpoint", "Final checkpoint - …", "Checkpoint 2: …", but not "Checkpoint file format".
_CHECKPOINT: Final = re.compile(
    r"(?:(?:final|last|first|second|third|mid|midway|intermediate|(?:phase|milestone) \d+) )*check ?point(?: #?\d+)?"
    r"(?: [:(-] |$)"
)
_CHECK_VERB: Final = re.compile(
    r"(?:ensure|make sure|verify|validate|confirm|check|double-check|run|rerun|re-run|execute|lint|type-check)\b"
)
_STATE: Final = re.compile(
    r"\b(?:completed?|done|finished|ready|works?|working|verified|validated|tested|functional|stable|green"
    r"|pass(?:es|ing|ed)?|succeeds?)\b"
)
_TESTS: Final = r"(?:[\w-]+ ){0,5}?(?:tests?|suites?)"
_TESTS_PASS: Final = re.compile(
    rf"(?:(?:ensure|make sure|verify|validate|confirm|check|double-check) (?:that |if |whether )?{_TESTS}"
    r"|(?:the |all |existing |unit |integration |full |entire ){1,4}(?:tests?|test suite))"
    r"(?: (?:is|are|do|all|both|still|now|successfully)){0,3} (?:pass(?:es|ing|ed)?|green|succeeds?)\b"
)
_RUN_TESTS: Final = re.compile(rf"(?:run|rerun|re-run|execute) {_TESTS}(?:$| (?:in|for|with|on|against|again)\b)")
_DASHES: Final = re.compile("[\u2013\u2014]")
_SYMBOL: Final = re.compile(r"\s*([()]|[,;:.](?=\s|$)|(?<=\s)-(?=\s))\s*")
_SEPARATORS: Final = frozenset((*"()-,;:.", "and", "then", "to", "by", "after", "before", "while"))
"""Where a clause of a title can end."""
_SAME_CLAUSE: Final = frozenset((*"()-:", "and"))
"""What follows one of these may be a noun of the same clause: "Verify topology and inventory changes"."""
_HARMLESS: Final = re.compile(
    r"(?:ask|let|tell) the user\b|(?:with )?no(?:thing)?\b|if\b|(?:fix|address|resolve) (?:any|all)\b.*\b"
    r"(?:failures?|issues?|errors?|regressions?|tests?|problems?)$"
)
_WORK: Final = (
    " add adapt adjust apply change clean commit configure connect convert create define delete deploy design develop"
    " document draft enable expand export extend extract finalize finalise fix generate handle implement import improve"
    " increase init initialize initialise install integrate introduce merge migrate modify move optimize polish"
    " port prepare provide publish push record refactor release remove rename render reorganize replace resolve rewrite"
    " save scaffold set setup ship split store support switch tag update upgrade wire write "
)
"""Verbs that ask for a change."""
_BUILD_SOMETHING: Final = re.compile(r"(?:build|building) (?:a|an|the|new)\b")
_FOREIGN_CHECKS: Final = ("确保", "确认", "验证", "检查", "確認", "検証", "確保")
_FOREIGN_WORK: Final = ("实现", "添加", "创建", "编写", "修复", "更新", "重构", "実装", "追加", "作成", "修正")


def is_check_only(task: Task) -> bool:
    """Whether ``task`` is done when the gate passes, because its title asks for a check and for nothing else."""
    title = _DASHES.sub(" - ", re.sub(r"[`*_]", " ", task.title)).casefold()
    title = " ".join(_SYMBOL.sub(r" \1 ", " ".join(title.split())).split()).strip(" .!")
    checkpoint = _CHECKPOINT.match(title)
    rest = title[checkpoint.end() :] if checkpoint else title
    if checkpoint and any(word in rest for word in _FOREIGN_CHECKS):
        return not any(word in rest for word in _FOREIGN_WORK)
    clauses = _clauses(rest)
    if not clauses:
        return checkpoint is not None
    first = clauses[0][1]
    if checkpoint:
        is_check = not _is_work(first) and bool(_CHECK_VERB.match(first) or _STATE.search(first))
    else:
        is_check = bool(_RUN_TESTS.match(first) or _TESTS_PASS.match(first))
    return is_check and all(
        _continues_check(separator, clause, previous) for (_, previous), (separator, clause) in pairwise(clauses)
    )


def _continues_check(separator: str, clause: str, previous: str) -> bool:
    if _HARMLESS.match(clause):
        return True
    if _is_work(clause) or separator == "by":
        return False
    if _CHECK_VERB.match(clause) or _STATE.search(clause):
        return True
    # "All tests pass and …" is a whole sentence: what follows is another one, and no check.
    return separator in _SAME_CLAUSE and not (separator == "and" and _STATE.search(previous))


def _is_work(clause: str) -> bool:
    """Whether ``clause`` begins with a verb that asks for a change: "add …", "fixing …"."""
    word = clause.partition(" ")[0]
    if f" {word} " in _WORK or _BUILD_SOMETHING.match(clause):
        return True
    stem = word.removesuffix("ing")
    return stem != word and (f" {stem}" in _WORK or (stem[-1:] == stem[-2:-1] and f" {stem[:-1]} " in _WORK))


def _clauses(text: str) -> list[tuple[str, str]]:
    """The clauses of ``text``, each with the separator before it."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for word in text.split():
        if word in _SEPARATORS:
            found.append((word, []))
        else:
            found[-1][1].append(word)
    return [(separator, " ".join(words)) for separator, words in found if words]
