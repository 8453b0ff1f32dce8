"""What git's output is read as: texts that users of github.com and of other git versions report in public issues."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.git_answers import LONGEST_QUOTE, read_answer
from kiro_worker.runner.repository.git_causes import CAUSES, Cause
from kiro_worker.runner.repository.retries import LONGEST_SECONDS, PAUSES, Retries

ACCESS = "fatal: unable to access 'https://github.com/acme/shop.git/': "
REJECTED = " ! [remote rejected] main -> main (push declined due to repository rule violations)"
FILE = Path(__file__).with_name("git_answers.txt")


def read_texts() -> list[tuple[Cause, str]]:
    """Return the texts in the file. Each follows a line ``=== cause``."""
    blocks = FILE.read_text().removeprefix("=== ").split("\n=== ")
    return [(Cause(name), text.strip("\n")) for name, _, text in (block.partition("\n") for block in blocks)]


TEXTS = read_texts()


@pytest.mark.parametrize(("cause", "output"), TEXTS)
def test_text_is_told_apart(cause: Cause, output: str) -> None:
    assert read_answer(output).cause is cause


@pytest.mark.parametrize("output", ["CONFLICT (content): Merge conflict in early EOF", "a HTTP 403 b\nGH006"])
def test_other_lines_are_not_read(output: str) -> None:
    """Paths and contents of the repository must not look like an answer of the server."""
    assert read_answer(output).cause is Cause.OTHER


# What git and git-lfs print about files, with their names between quotes or without.
LOCAL = (
    "error: invalid path '{}'",
    "error: unable to create file {}: File name too long",
    "error: unable to create symlink {}: Permission denied",
    "fatal: cannot create directory at '{}': No space left on device",
    "fatal: unable to write file {}",
    'error: open("{}"): Permission denied',
    "error: unable to index file '{}'",
    "fatal: adding files failed\nerror: short read while indexing {}",
    "fatal: failed to encode '{}' from UTF-16 to UTF-8",
    "fatal: pathspec '{}' did not match any files",
    "fatal: unable to access '{}': Permission denied",
    "error: external filter 'git-lfs filter-process' failed\nfatal: {}: smudge filter lfs failed",
    "fatal: {}: clean filter 'lfs' failed",
    "Error downloading object: {} (0c4): Smudge error",
    "error: The following untracked working tree files would be overwritten by checkout:\n\t{}\nPlease move them.",
    "warning: unable to access '{}': Not a directory",
    "error: Entry '{}' not uptodate. Cannot merge.",
    "CONFLICT (content): Merge conflict in {}",
)
TELLING = [line for _, text in TEXTS for line in text.splitlines() if line] + ["rate limit", "GH001", "hook declined"]
NAMES = st.builds(
    "".join, st.lists(st.one_of(st.sampled_from(TELLING), st.text("a'\"` ./:()[]", max_size=3)), max_size=4)
)


@given(st.sampled_from(LOCAL), NAMES)
def test_name_of_file_is_no_answer(message: str, name: str) -> None:
    # No path has an empty part.
    assert read_answer(message.replace("{}", name.replace("//", "/"))).cause is Cause.OTHER


# What servers say about files and refs.
REMOTE = (
    ("remote: error: File {} is 589.28 MB; this exceeds GitHub's file size limit of 100.00 MB", Cause.LARGE_FILES),
    ("remote: error: GH013: Repository rule violations found for refs/heads/{}.", Cause.RULES),
    (" ! [remote rejected] {} -> {} (pre-receive hook declined)", Cause.HOOK),
    (" ! [rejected]        {} -> {} (fetch first)", Cause.MOVED),
    (" ! [remote rejected] {} -> {} (cannot lock ref 'refs/heads/{}': is at 1 but expected 2)", Cause.MOVED),
    ("remote: - GITHUB PUSH PROTECTION\nremote:     path: {}:1", Cause.SECRETS),
    ("fatal: couldn't find remote ref refs/heads/{}", Cause.REFERENCE_MISSING),
    ("fatal: unable to access 'https://github.com/acme/{}.git/': The requested URL returned error: 404", None),
)


@example(REMOTE[4], "a'-![remote rejected]-x-(failure)")
@given(st.sampled_from(REMOTE), NAMES)
def test_name_in_answer_does_not_change_it(answer: tuple[str, Cause | None], name: str) -> None:
    text, cause = answer
    # Only a file's name can contain a space, a colon or a bracket.
    name = name if "File" in text or "path:" in text else re.sub(r"[\s:\[]|\.\.", "-", name)
    assert read_answer(text.replace("{}", name)).cause is (cause or Cause.REPOSITORY_MISSING)


def test_telling_line_comes_first() -> None:
    output = "\n".join(
        (
            "remote: Resolving deltas: 100% (1/1), completed with 1 local object.        ",
            "remote: error: GH013: Repository rule violations found for refs/heads/x.        ",
            "remote: Review all repository rules at https://github.com/acme/shop/rules?ref=x        ",
            "remote: ",
            "remote: - Changes must be made through a pull request.        ",
            "To https://github.com/acme/shop",
            REJECTED,
        )
    )
    telling, besides = "error: GH013: Repository rule violations found for refs/heads/x.", "- Changes must be made"
    assert read_answer(output).quote == f"{telling}; {besides} through a pull request."


@given(st.text(st.characters(), max_size=2000), st.sampled_from(["", "remote: ", "fatal: ", " ! [remote rejected] "]))
def test_any_output_becomes_a_short_printable_quote(text: str, prefix: str) -> None:
    answer = read_answer(prefix + text)
    assert len(answer.quote) <= LONGEST_QUOTE
    assert "\n" not in answer.quote
    answer.quote.encode()
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in answer.quote)


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("secret", ["", "kiro-worker-production-git-credentials"])
def test_every_cause_has_reason_and_fix(cause: Cause, secret: str) -> None:
    text = next(output for each, output in TEXTS if each is cause)
    stop = stop_because(GitFailed("push", text, secret, 2), Outcome.PUSH_REJECTED, "it cannot be pushed", "look")
    assert "{" not in stop.reason.replace(text, "")
    assert stop.remedy
    assert stop.owner is (CAUSES[cause].owner or FaultOwner.REPOSITORY)
    assert stop.details == text
    if cause in (Cause.UNAUTHENTICATED, Cause.FORBIDDEN, Cause.SINGLE_SIGN_ON, Cause.REPOSITORY_MISSING):
        assert stop.owner is FaultOwner.INSTALLATION
        assert secret in stop.reason
    if cause in (Cause.UNAUTHENTICATED, Cause.FORBIDDEN, Cause.REPOSITORY_MISSING) and secret:
        command = f"aws secretsmanager put-secret-value --secret-id {secret} --secret-string "
        assert command in stop.remedy[:250], "a comment shows 250 characters of the fix"


def test_service_failure_is_named() -> None:
    stop = stop_because(
        GitFailed("fetch", f"{ACCESS}Empty reply from server"), Outcome.CHECKOUT_FAILED, "no fetch", "look"
    )
    assert (stop.outcome, stop.owner) == (Outcome.WORKER_FAILED, FaultOwner.SERVICE)
    assert stop.reason.startswith("GitHubUnavailable: no fetch: ")


def test_pauses_grow_and_end() -> None:
    paused: list[float] = []
    retries = Retries(paused.append, lambda: 0.5, lambda: LONGEST_SECONDS)
    assert [retries.wait(attempt, 0.0) for attempt in range(1, len(PAUSES) + 2)] == [True] * len(PAUSES) + [False]
    assert paused == list(PAUSES) == sorted(PAUSES)
    assert not Retries(paused.append, clock=lambda: LONGEST_SECONDS + 1).wait(1, 0.0)


@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_pauses_vary(jitter: float) -> None:
    paused: list[float] = []
    Retries(paused.append, lambda: jitter, lambda: 0.0).wait(1, 0.0)
    assert 0.5 * PAUSES[0] <= paused[0] < 1.5 * PAUSES[0]
