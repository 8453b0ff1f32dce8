"""Commits that the agent made itself: what remains of their messages, whatever the agent wrote."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiro_worker.commit_rules import Author
from kiro_worker.config.settings import CommitSettings
from kiro_worker.models import Lease
from kiro_worker.runner.agent.commit_message import checks_message, squash_message, turn_message
from kiro_worker.runner.repository.agent_message import agent_message
from kiro_worker.runner.repository.commit_style import CommitMessage, CommitStyle
from kiro_worker.runner.request import BuildRequest
from kiro_worker.spec import Task
from tests.unit.commit_rules.dangerous import hostile_text, obeyed_in

STYLE = CommitStyle(Author("Acme Bot", "bot@acme.com"), sign_off=True, agent="claude")
FEAT = CommitStyle.of(CommitSettings(author="Acme Bot <bot@acme.com>", sign_off=True, subject="feat: {title}"), "kiro")
CO_AUTHOR = "Co-authored-by: claude <agent.of.kiro.codebuild.worker@users.noreply.github.com>"
SIGN_OFF = "Signed-off-by: Acme Bot <bot@acme.com>"
LEASE = Lease("k", "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-production:run-1", 1, 0)
REQUEST = BuildRequest("acme/shop", "feature/x", "0" * 40, ".kiro/specs/feature-x", 1, LEASE)


def trailers_of(message: CommitMessage) -> list[str]:
    """The trailers of the message, as git reads them."""
    git = ("git", "interpret-trailers", "--parse")
    run = subprocess.run(git, input=str(message).encode(), capture_output=True, check=True, cwd=Path(__file__).parent)
    return run.stdout.decode().splitlines()


def require_rules_kept(message: CommitMessage, style: CommitStyle) -> None:
    text = str(message)
    assert not obeyed_in(text), text
    assert trailers_of(message) == list(message.trailers), text
    assert [t for t in message.trailers if t.startswith("Signed-off-by")] == list(style.sign_offs)
    assert text.splitlines()[0] == message.title
    assert len(message.title) <= 72
    assert text.splitlines()[1] == ""
    assert all(len(line) <= 100 or " " not in line for line in text.splitlines()), text


def test_readable_text_stays() -> None:
    message = agent_message("Second\n\nWith a body,\nof two lines.\n\nRefs: PROJ-12\n", STYLE, "Implement 1")

    assert str(message) == (f"Second\n\nWith a body,\nof two lines.\n\nRefs: PROJ-12\n{CO_AUTHOR}\n{SIGN_OFF}\n"), (
        "a trailer that speaks for nobody stays a trailer"
    )


def test_forged_people_and_marks_are_dropped() -> None:
    text = (
        "Fix it (fixes #12) [skip ci]\n\nCloses acme/shop#3 @alice\nCo-authored-by: Linus <torvalds@linux.org>\n"
        "---\n\n"
        "Signed-off-by: A Boss <boss@acme.com>\nReviewed-by: A Boss <boss@acme.com>\nKiro-Worker-Task: all\n"
        "skip-checks: true\nRelease-As: 9.0.0\n"
    )

    message = agent_message(text, STYLE, "Implement 1")

    assert message.title == "Fix it (fixes no. 12) (skip ci)"
    assert message.body == "Closes acme/shop no. 3 @ alice\n ---"
    assert message.trailers == (CO_AUTHOR, SIGN_OFF)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("", "feat: implement 1 It"),
        ("Signed-off-by: A Boss <boss@acme.com>", "feat: implement 1 It"),
        ("Second", "feat: second"),
        ("feat: second", "feat: second"),
        ("fix(cart)!: Round prices", "fix(cart)!: round prices"),
    ],
)
def test_subject_follows_template(text: str, title: str) -> None:
    assert agent_message(text, FEAT, "Implement 1 It").title == title


def test_sign_off_in_long_line_does_not_get_its_own_line() -> None:
    message = agent_message(f"X\n\n{'word ' * 19}end Signed-off-by: A Boss <boss@acme.com> and so on", STYLE, "")

    assert "\nSigned-off-by: A Boss" not in str(message)
    require_rules_kept(message, STYLE)


@settings(max_examples=60, deadline=None)
@given(hostile_text, st.sampled_from((STYLE, FEAT, CommitStyle())))
def test_nothing_is_obeyed_whatever_agent_writes(text: str, style: CommitStyle) -> None:
    message = agent_message(text, style, "Implement 1 It")

    require_rules_kept(message, style)
    people = [line for line in str(message).splitlines() if "-by:" in line.lower() and not line.startswith(" ")]
    assert [line for line in people if line.lower().startswith(("co-authored-by", "signed-off-by", "reviewed-by"))] == [
        style.co_author,
        *style.sign_offs,
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(hostile_text.map(lambda text: " ".join(text.split()) or "x"), max_size=3),
    st.sampled_from((STYLE, FEAT, CommitStyle())),
    st.booleans(),
)
def test_nothing_is_obeyed_whatever_tasks_say(titles: list[str], style: CommitStyle, finished: bool) -> None:
    tasks = [Task(number, 0, 0, str(number), title, "done", False, 0) for number, title in enumerate(titles, 1)]

    for message in (
        turn_message(REQUEST, tasks, style, finished=finished),
        squash_message(REQUEST, tasks, style),
        checks_message(REQUEST, tasks, style),
    ):
        require_rules_kept(message, style)
        assert message.trailers[0] == "Kiro-Worker-Execution: run-1"


def test_check_is_no_subject() -> None:
    check = Task(2, 0, 0, "2", "Checkpoint - Ensure all tests pass", "open", False, 0)
    work = Task(1, 0, 0, "1", "Add a price", "done", False, 0)

    assert turn_message(REQUEST, [check], STYLE, finished=False).title == "Unfinished: Fix feature-x"
    assert turn_message(REQUEST, [work, check], STYLE, finished=True).title == "Implement 1 Add a price"
    assert turn_message(REQUEST, [work], FEAT, finished=False).title == "feat: unfinished: Add a price"
    assert squash_message(REQUEST, [work, check], FEAT).title == "feat: add a price"


def test_squash_names_every_task() -> None:
    tasks = [Task(n, 0, 0, f"1.{n}", f"Step {n} " + "long " * 30, "done", False, 0) for n in range(1, 61)]

    message = squash_message(REQUEST, tasks, FEAT)

    assert message.title == "feat: implement feature-x"
    assert message.body.splitlines()[2].startswith("- 1.1 Step 1")
    assert message.body.splitlines()[-1] == "- and 10 more tasks"
    assert len([t for t in message.trailers if t.startswith("Kiro-Worker-Task: ")]) == 50
    require_rules_kept(message, FEAT)


@pytest.mark.parametrize("piece", ["-", "--- ", "> ", "fixup! ", "a-", "a-by", "# "])
def test_long_message_takes_no_time(piece: str) -> None:
    started = time.process_time()

    agent_message(f"{piece * 20_000}\n\n{piece * 20_000}", STYLE, "Implement 1")

    assert time.process_time() - started < 5
