"""Output becomes clean, redacted lines, however it is read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.redaction import redact
from kiro_worker.runner.sandbox.output import LONGEST_LINE, Lines, plain
from tests.support.secret_shapes import KNOWN, SHAPES, WRAPS, encodings, survives

SECRET = "s3cr3t-value"


def all_lines(chunks: list[bytes]) -> list[str]:
    lines = Lines(lambda text: text.replace(SECRET, "***"))
    return [line for chunk in chunks for line in lines.feed(chunk)] + list(lines.close())


def test_terminal_codes_are_removed() -> None:
    assert (
        plain("\x1b[1;32mgreen\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x1b\\ \x1b(Bplain\x1b[2K") == "green link plain"
    )


def test_overwritten_line_keeps_its_last_state() -> None:
    assert plain("10%\r50%\r100%\r\n") == "100%"


def test_control_characters_are_removed() -> None:
    assert plain("a\x00b\x08c\u202ed\u2028e\tf") == "abcde\tf"


def test_endless_line_is_split_into_pieces() -> None:
    lines = all_lines([b"x" * 10_000] * 20)

    assert "".join(lines) == "x" * 200_000
    assert max(map(len, lines)) <= LONGEST_LINE


def test_characters_split_between_reads_survive() -> None:
    text = "prüfen • ok".encode()

    assert all_lines([text[:3], text[3:9], text[9:]]) == ["prüfen • ok"]


def test_invalid_utf8_is_replaced() -> None:
    assert all_lines([b"a\xff\xfeb\n"]) == ["a\ufffd\ufffdb"]


@given(st.integers(0, 60_000), st.lists(st.integers(1, 9000), max_size=12), st.booleans())
def test_secret_is_removed_at_every_position(before: int, cuts: list[int], ends: bool) -> None:
    text = ("x" * before + SECRET + "y" * 30_000 + ("\n" if ends else "")).encode()
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(text[at : at + cut])
        at += cut
    chunks.append(text[at:])

    joined = "".join(all_lines(chunks))

    assert SECRET not in joined
    assert joined == "x" * before + "***" + "y" * 30_000


def read_in_pieces(text: str, cuts: list[int], secrets: tuple[str, ...] = ()) -> list[str]:
    data = text.encode()
    lines = Lines(lambda shown: redact(shown, secrets))
    boundaries = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    chunks = [data[begin:end] for begin, end in pairwise(boundaries)]
    return [line for chunk in chunks for line in lines.feed(chunk)] + list(lines.close())


@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data(), before=st.sampled_from([0, 3, 16_370, 20_460]), color=st.sampled_from(["", "\x1b[1m"]))
def test_no_secret_shape_survives_cut(shape: str, data: st.DataObject, before: int, color: str) -> None:
    shown = data.draw(SHAPES[shape])
    before += data.draw(st.integers(0, 40))
    at = data.draw(st.integers(0, len(shown.text)))
    text = "x" * before + " " + shown.text[:at] + color + shown.text[at:] + " " + "y" * data.draw(st.integers(0, 5000))
    cuts = data.draw(st.lists(st.integers(before, before + len(shown.text) + 10), min_size=1, max_size=4))

    lines = read_in_pieces(text, cuts)

    assert not survives(shown, "".join(lines))
    assert max(map(len, lines)) <= LONGEST_LINE


@given(KNOWN, st.data(), st.sampled_from([0, 16_370, 20_460]))
def test_no_known_secret_survives_cut(secret: str, data: st.DataObject, before: int) -> None:
    encoded = data.draw(st.sampled_from(sorted(encodings(secret, data.draw(WRAPS), data.draw(WRAPS)).values())))
    before += data.draw(st.integers(0, 40))
    text = "x" * before + "|" + encoded + "|" + "y" * 5000
    cuts = data.draw(st.lists(st.integers(before, before + len(encoded) + 5), min_size=1, max_size=4))

    joined = "".join(read_in_pieces(text, cuts, (secret,)))

    assert encoded not in joined
    assert joined.startswith("x" * before + "|")
    assert joined.endswith("y" * 5000)


@given(st.text(), st.lists(st.integers(0, 400)))
def test_lines_do_not_depend_on_read_sizes(text: str, cuts: list[int]) -> None:
    assert read_in_pieces(text, cuts) == read_in_pieces(text, [])


def test_endless_secret_is_never_shown() -> None:
    text = "ghp_" + "a1B2" * 50_000 + " and on"

    joined = "".join(read_in_pieces(text, list(range(0, 200_000, 8192))))

    assert "a1B2" not in joined
    assert joined.endswith(" and on")


def test_endless_overwriting_keeps_last_state() -> None:
    text = "".join(f"\r{percent:6}%" for percent in range(20_000)) + "\n"

    assert read_in_pieces(text, list(range(0, len(text), 4096))) == [" 19999%"]


def test_blank_lines_are_kept() -> None:
    assert all_lines([b"a\n\n", b"\n\r\n", b"b\n\n"]) == ["a", "", "", "", "b", ""]
