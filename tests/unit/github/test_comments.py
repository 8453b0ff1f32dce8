"""One comment per deployment on an issue or pull request."""

from __future__ import annotations

import asyncio

from kiro_worker.github.comments import add_to_success, find_comments, put_comment, write_comment
from kiro_worker.github.pr_comment import rejected
from tests.support.fake_github import Board, FakeComment, FakeGitHub

RUN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:{}"
MARKER = "<!-- kiro-worker arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:"


def put(fake: FakeGitHub, body: str = "text", subject: str = "I_1", run: str = "one", implemented: str = "") -> str:
    async def act() -> str:
        async with fake.open_session() as session:
            return await put_comment(session, subject, body, RUN.format(run), implemented=implemented)

    return asyncio.run(act())


def github(*comments: FakeComment) -> FakeGitHub:
    return FakeGitHub(Board(comments={"I_1": list(comments)}))


def test_first_comment_is_added_and_linked() -> None:
    fake = github(FakeComment("other", "hello", is_own=False))
    assert put(fake) == fake.board.comments["I_1"][1].url
    assert fake.board.comments["I_1"][1].body == f"{MARKER}one -->\ntext"
    assert fake.sent() == ["FindComments", "AddComment"]


def test_later_run_updates_comment_in_place() -> None:
    fake = github(FakeComment("own", f"{MARKER}one -->\ntext"))
    assert put(fake, "changed", run="two") == fake.board.comments["I_1"][0].url
    assert [comment.body for comment in fake.board.comments["I_1"]] == [f"{MARKER}two -->\nchanged"]
    assert fake.sent() == ["FindComments", "UpdateComment"]


def test_same_comment_is_not_written_again() -> None:
    fake = github(FakeComment("own", f"{MARKER}one -->\ntext"))
    assert put(fake) == fake.board.comments["I_1"][0].url
    assert fake.sent() == ["FindComments"]


def test_forged_marker_is_left_alone() -> None:
    forged = FakeComment("forged", f"{MARKER}one -->\nevil", is_own=False)
    quoted = FakeComment("quoted", f"> {MARKER}one -->\ntext")
    fake = github(forged, quoted)
    put(fake)
    assert len(fake.board.comments["I_1"]) == 3
    assert (forged.body[-4:], quoted.body[0]) == ("evil", ">")


def test_other_deployment_is_left_alone() -> None:
    fake = github(FakeComment("production", f"{MARKER.replace('-test:', '-production:')}one -->\ntext"))
    put(fake)
    assert len(fake.board.comments["I_1"]) == 2


def test_newest_comment_is_updated_and_its_copies_deleted() -> None:
    """A comment that GitHub added after it seemed to be lost was added a second time."""
    chatter = FakeComment("chatter", "hello", is_own=False)
    fake = github(FakeComment("old", f"{MARKER}one -->\nold"), chatter, FakeComment("new", f"{MARKER}one -->\nnew"))
    assert put(fake).endswith("/new")
    assert [comment.id for comment in fake.board.comments["I_1"]] == ["chatter", "new"]


def test_rejections_are_added_below_success() -> None:
    fake = github()
    put(fake, "done", implemented="b" * 40)

    async def reject(text: str) -> None:
        async with fake.open_session() as session:
            comments = await find_comments(session, "I_1", RUN.format("two"))
            assert comments.implemented == "b" * 40
            await add_to_success(session, comments, text)

    for text in ("first", "second"):
        asyncio.run(reject(text))
    [comment] = fake.board.comments["I_1"]
    assert "done" in comment.body
    assert comment.body.endswith("second")
    assert "first" not in comment.body
    put(fake, "failed")
    assert "done" not in fake.board.comments["I_1"][0].body


def add(fake: FakeGitHub, body: str, run: str = "two") -> None:
    async def act() -> None:
        async with fake.open_session() as session:
            await add_to_success(session, await find_comments(session, "I_1", RUN.format(run)), body)

    asyncio.run(act())


def test_addition_to_longest_report_is_shown() -> None:
    report = f"{MARKER}one implemented {'b' * 40} -->\n{'#' * 60_000}"
    fake = github(FakeComment("own", report))
    add(fake, "Not ready: 1")
    add(fake, "Not ready: 2" + "+" * 70_000)
    [comment] = fake.board.comments["I_1"]
    kept, added = comment.body.split("\n\n<!-- kiro-worker added -->\n")
    assert kept == report
    assert added.startswith("Not ready: 2+")
    assert len(comment.body) < 65_536


def test_addition_replaces_earlier_one_with_any_line_ends() -> None:
    fake = github(FakeComment("own", f"{MARKER}one implemented {'b' * 40} -->\r\ndone"))
    add(fake, "first")
    [comment] = fake.board.comments["I_1"]
    comment.body = comment.body.replace("\r\n", "\n").replace("\n", "\r\n")
    add(fake, "second")
    assert comment.body.count("kiro-worker added") == 1
    assert "first" not in comment.body


def reject(fake: FakeGitHub, reason: str, run: str) -> None:
    async def act() -> None:
        async with fake.open_session() as session:
            arn = RUN.format(run)
            comments = await find_comments(session, "I_1", arn)
            await write_comment(session, comments, rejected(reason, arn), arn, ignore_execution=True)

    asyncio.run(act())


def test_same_rejection_of_later_run_is_left_alone() -> None:
    fake = github()
    for run in ("one", "two", "three"):
        reject(fake, "tasks.md is missing", run)
    assert fake.sent() == ["FindComments", "AddComment", "FindComments", "FindComments"]
    reject(fake, "tasks.md has no open task", "four")
    [comment] = fake.board.comments["I_1"]
    assert "no open task" in comment.body
    assert comment.body.startswith(f"{MARKER}four -->")


def test_same_addition_of_later_run_is_left_alone() -> None:
    fake = github(FakeComment("own", f"{MARKER}one implemented {'b' * 40} -->\ndone"))
    for run in ("two", "three"):
        add(fake, rejected("tasks.md is missing", RUN.format(run)), run)
    assert len(fake.sent("UpdateComment")) == 1


def test_same_report_of_later_run_is_updated() -> None:
    fake = github(FakeComment("own", f"{MARKER}one -->\ntext"))
    put(fake, run="two")
    assert fake.board.comments["I_1"][0].body == f"{MARKER}two -->\ntext"


def test_comment_on_older_page_is_found() -> None:
    fake = github(FakeComment("own", f"{MARKER}one -->\nold"), *(FakeComment(str(n), "chatter") for n in range(4)))
    fake.page_size = 2
    put(fake)
    assert fake.board.comments["I_1"][0].body.endswith("text")
    assert [request.variables.get("before") for request in fake.requests[:3]] == [None, "3", "1"]


def test_subject_without_comments_gets_none() -> None:
    fake = github()
    assert put(fake, subject="DI_1") == ""
    assert fake.sent() == ["FindComments"]


def test_long_body_is_cut() -> None:
    fake = github()
    put(fake, "#" * 70_000)
    assert fake.board.comments["I_1"][0].body.count("#") == 60_000
