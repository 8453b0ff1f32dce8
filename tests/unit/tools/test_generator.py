from __future__ import annotations

from pathlib import Path

import pytest

from tools.generator import ROOT, GeneratedFile, Section, SectionMissing, markdown_table, write_or_check

PAGE = "# Title\n\n<!-- keys: begin (make docs) -->\nold\n<!-- keys: end -->\n\nThe end\n"


@pytest.fixture
def section(tmp_path: Path) -> Section:
    (tmp_path / "page.md").write_text(PAGE)
    return Section("page.md", "keys", root=tmp_path)


def test_section_is_replaced_between_its_markers(section: Section) -> None:
    assert section.read() == "old\n"
    assert section.filled_with("new\n").text == PAGE.replace("old", "new")


def test_same_content_is_current(section: Section) -> None:
    assert section.filled_with("old\n").is_current
    assert not section.filled_with("new\n").is_current


@pytest.mark.parametrize("page", ["# Title\n", "<!-- keys: begin (make docs) -->\n", "<!-- keys: end -->\n"])
def test_page_without_both_markers_is_an_error(section: Section, page: str) -> None:
    (section.root / section.page).write_text(page)
    with pytest.raises(SectionMissing, match=r"page\.md has no section keys\. How to fix: add <!-- keys: begin"):
        section.filled_with("new\n")


def test_outdated_file_is_written(tmp_path: Path) -> None:
    file = GeneratedFile(tmp_path / "new.md", "text\n")
    assert write_or_check([file], check=False) == 0
    assert (tmp_path / "new.md").read_text() == "text\n"


def test_check_reports_outdated_file(capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "docs" / "absent.md"
    assert write_or_check([GeneratedFile(path, "text\n")], check=True) == 1
    assert not path.exists()
    assert capsys.readouterr().err == "docs/absent.md is out of date. How to fix: make docs\n"


def test_check_accepts_current_file(section: Section, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_or_check([section.filled_with("old\n")], check=True) == 0
    assert capsys.readouterr().err == ""


def test_pipe_in_cell_is_escaped() -> None:
    assert markdown_table(("a", "b"), [("1|2", "3")]) == "| a | b |\n|---|---|\n| 1\\|2 | 3 |\n"
