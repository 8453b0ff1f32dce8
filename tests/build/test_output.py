from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.build.output import LONGEST_LINE, Lines, plain

SECRET = "s3cr3t-value-of-ours"


def all_lines(chunks: list[bytes]) -> list[str]:
    lines = Lines(lambda text: text.replace(SECRET, "***"))
    return [line for chunk in chunks for line in lines.feed(chunk)] + list(lines.close())


def test_terminal_codes_are_removed() -> None:
    assert (
        plain("\x1b[1;32mgreen\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x1b\\ \x1b(Bplain\x1b[2K") == "green link plain"
    )


def test_of_a_line_that_was_written_over_the_last_state_is_kept() -> None:
    assert plain("10%\r50%\r100%\r\n") == "100%"


def test_controls_and_direction_marks_are_removed() -> None:
    assert plain("a\x00b\x08c\u202ed\u2028e\tf") == "abcde\tf"


def test_a_line_that_never_ends_comes_in_bounded_pieces() -> None:
    lines = all_lines([b"x" * 10_000] * 20)

    assert "".join(lines) == "x" * 200_000
    assert max(map(len, lines)) <= LONGEST_LINE


def test_characters_cut_between_two_reads_survive() -> None:
    text = "prüfen • ok".encode()

    assert all_lines([text[:3], text[3:9], text[9:]]) == ["prüfen • ok"]


def test_bytes_that_are_no_text_do_not_stop_us() -> None:
    assert all_lines([b"a\xff\xfeb\n"]) == ["a\ufffd\ufffdb"]


@given(st.integers(0, 60_000), st.lists(st.integers(1, 9000), max_size=12), st.booleans())
def test_a_secret_is_removed_wherever_it_is_and_however_it_is_read(before: int, cuts: list[int], ends: bool) -> None:
    text = ("x" * before + SECRET + "y" * 30_000 + ("\n" if ends else "")).encode()
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(text[at : at + cut])
        at += cut
    chunks.append(text[at:])

    joined = "".join(all_lines(chunks))

    assert SECRET not in joined
    assert joined == "x" * before + "***" + "y" * 30_000
