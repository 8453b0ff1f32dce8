"""The documentation refers only to existing pages and paths, and avoids replaced words."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.splitlines()
PAGES = [name for name in LISTED if name.endswith(".md") and not name.startswith(("kiro_local/demo/", "tests/"))]
PROSE = [name for name in LISTED if name.endswith((".py", ".md", ".yml", ".toml", ".json", "Makefile"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
# `kiro_worker/errors.py`, `tests/unit`, `docs/how-to/develop.md`: a path below a top-level folder, without placeholders
PATH = re.compile(r"`((?:bench|docs|functions|infra|kiro_local|kiro_worker|statemachine|tests|tools)/[\w./-]*[\w/])`")
# In brackets, so that this file does not contain them.
REPLACED = re.compile(r"\b(m[e]nd(s|ed|ing)?|u[n]told|out[l]asts?|of o[u]rs|somebody e[l]se)\b", re.IGNORECASE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in LINK.findall(page.read_text("utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{name} links to {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{name} links to {link}"


@pytest.mark.parametrize("name", PAGES)
def test_paths_exist(name: str) -> None:
    found = PATH.findall((ROOT / name).read_text("utf-8"))
    assert [path for path in found if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_index_reaches_every_page(name: str) -> None:
    reached, waiting = set(), [ROOT / "README.md", ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in reached or not page.is_file():
            continue
        reached.add(page)
        if page.suffix == ".md":
            links = LINK.findall(page.read_text("utf-8"))
            waiting += [page.parent / link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    if not name.startswith(".github/"):
        assert (ROOT / name).resolve() in reached


def test_replaced_words_are_gone() -> None:
    found = []
    for name in PROSE:
        if name.startswith(("requirements/", "tests/package-lock")):
            continue
        for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), 1):
            if match := REPLACED.search(line):
                found.append(f"{name}:{number}: {match[0]}")
    assert found == []
