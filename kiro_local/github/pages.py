"""The web view: plain pages for boards, pull requests, issues, branches and commits.

The pages are read-only, contain no script, and escape everything they show.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from kiro_local.github.git_repository import GitFailed
from kiro_local.github.model import Issue, Project, PullRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kiro_local.github.board import Board
    from kiro_local.github.model import Item, Owner, Repository

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-store",
}
_LONGEST_DIFF: Final = 200_000
_NAME: Final = r"[\w.-]+"
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
color: #1f2328; background: #fff }
a { color: #0757ba } pre { background: #f6f8fa; padding: 1rem; overflow: auto; white-space: pre-wrap }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: 1rem }
.column { background: #f6f8fa; padding: .5rem 1rem 1rem; border-radius: 6px }
.card { background: #fff; border: 1px solid #d1d9e0; border-radius: 6px; padding: .5rem .75rem; margin-top: .5rem }
small { color: #59636e } h2 { font-size: 1rem }
"""


def page(board: Board, path: str) -> str | None:
    """The page at a path, or ``None``. The paths match the ``url`` fields of the API."""
    with board.lock:
        if path == "/":
            return _index(board)
        if match := re.fullmatch(rf"/(?:orgs|users)/({_NAME})/projects/(\d{{1,9}})", path):
            project = board.project(match[1], int(match[2]))
            return _project(project) if project else None
        if match := re.fullmatch(rf"/({_NAME})", path):
            owner = board.owner(match[1])
            return _owner(board, owner) if owner else None
        if match := re.fullmatch(rf"/({_NAME}/{_NAME}?)(?:/(pull|issues|commit)/(\w{{1,64}}))?", path):
            repository = board.repository(match[1].removesuffix(".git"))
            return _repository_page(board, repository, match[2], match[3]) if repository else None
    return None


def missing() -> str:
    return _page("Not found", ["<p>This stand-in has no such page.</p>", '<p><a href="/">Start page</a></p>'])


def _repository_page(board: Board, repository: Repository, kind: str | None, key: str | None) -> str | None:
    if kind is None or key is None:
        return _repository(repository)
    if kind == "commit":
        return _commit(repository, key) if re.fullmatch(r"[0-9a-f]{7,64}", key) else None
    subjects: Iterable[Issue | PullRequest] = repository.pull_requests if kind == "pull" else repository.issues
    subject = next((each for each in subjects if str(each.number) == key), None)
    return _conversation(board, subject) if subject else None


def _index(board: Board) -> str:
    parts = [
        "<h2>Projects</h2>",
        _list(f"{_link(each.path, each.title)} <small>{escape(each.owner.login)}</small>" for each in board.projects),
    ]
    parts += [
        "<h2>Repositories</h2>",
        _list(_link(each.path, each.name_with_owner) for each in board.repositories.values()),
    ]
    return _page("Stand-in GitHub", parts)


def _owner(board: Board, owner: Owner) -> str:
    projects = _list(_link(each.path, each.title) for each in board.projects if each.owner is owner)
    repositories = _list(_link(each.path, each.name) for each in board.repositories.values() if each.owner is owner)
    return _page(owner.login, ["<h2>Projects</h2>", projects, "<h2>Repositories</h2>", repositories])


def _project(project: Project) -> str:
    status = next((each for each in project.fields if each.options is not None), None)
    names = [option.name for option in (status.options if status and status.options else ())]
    columns: dict[str, list[Item]] = {name: [] for name in names}
    for item in project.items:
        if not item.is_archived:
            columns.setdefault((item.value(status.name) if status else None) or "No status", []).append(item)
    parts = ['<div class="columns">']
    for name, items in columns.items():
        cards = "".join(_card(item) for item in items)
        parts.append(f'<section class="column"><h2>{escape(name)} <small>{len(items)}</small></h2>{cards}</section>')
    return _page(project.title, [*parts, "</div>"])


def _card(item: Item) -> str:
    content = item.content
    if isinstance(content, Issue | PullRequest):
        reference = escape(f"{content.repository.name_with_owner}#{content.number}")
        title = f"{_link(content.path, content.title)}<br><small>{reference}</small>"
    else:
        title = escape(content.title if content else "A card that you cannot see")
    texts = [(each.name, item.value(each.name)) for each in item.project.fields if each.options is None]
    fields = "".join(f"<br><small>{escape(name)}: {escape(value)}</small>" for name, value in texts if value)
    return f'<div class="card">{title}{fields}<br><small>{escape(item.id)}</small></div>'


def _repository(repository: Repository) -> str:
    refs = repository.git.refs().items()
    branches = _list(
        f"{escape(name.removeprefix('refs/heads/'))} {_link(f'{repository.path}/commit/{info.oid}', info.oid[:10])}"
        for name, info in refs
        if name.startswith("refs/heads/")
    )
    requests = _list(
        f"{_link(each.path, f'#{each.number} {each.title}')} <small>{each.state}</small>"
        for each in repository.pull_requests
    )
    issues = _list(
        f"{_link(each.path, f'#{each.number} {each.title}')} <small>{each.state}</small>" for each in repository.issues
    )
    archived = ["<p>This repository is archived: it is read-only.</p>"] if repository.is_archived else []
    return _page(
        repository.name_with_owner,
        [*archived, "<h2>Branches</h2>", branches, "<h2>Pull requests</h2>", requests, "<h2>Issues</h2>", issues],
    )


def _commit(repository: Repository, commit: str) -> str | None:
    try:
        shown = repository.git.run("show", "--stat", "--patch", commit, "--").decode(errors="replace")
    except GitFailed:
        return None
    return _page(f"{repository.name_with_owner} {commit[:10]}", [f"<pre>{escape(shown[:_LONGEST_DIFF])}</pre>"])


def _conversation(board: Board, subject: Issue | PullRequest) -> str:
    parts = [
        f"<p>{escape(subject.state)} in {_link(subject.repository.path, subject.repository.name_with_owner)}</p>",
        f"<pre>{escape(subject.body)}</pre>" if subject.body else "",
    ]
    for comment in subject.comments:
        when = comment.updated_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        heading = f"{escape(comment.author.login)} <small>{when}</small>"
        anchor, text = escape(comment.path.partition("#")[2]), escape(comment.body)
        parts.append(f'<section id="{anchor}"><h2>{heading}</h2><pre>{text}</pre></section>')
    if isinstance(subject, PullRequest):
        parts += _changes(board, subject)
    return _page(f"#{subject.number} {subject.title}", parts)


def _changes(board: Board, pull_request: PullRequest) -> list[str]:
    head, source = board.head_oid(pull_request), pull_request.head_repository
    base = pull_request.repository.git.head_of(pull_request.base_ref_name)
    route = escape(f"{pull_request.head_ref_name} into {pull_request.base_ref_name}")
    heading = f"<h2>{route}</h2><p><code>{head}</code></p>"
    if source is None or base is None:
        return [heading]
    try:
        log = source.git.run("log", "--oneline", f"{base}..{head}", "--").decode(errors="replace")
        diff = source.git.run("diff", "--stat", "--patch", f"{base}...{head}", "--").decode(errors="replace")
    except GitFailed:
        return [heading]  # the fork lacks the latest commits of the base
    return [heading, f"<pre>{escape(log)}</pre>", f"<pre>{escape(diff[:_LONGEST_DIFF])}</pre>"]


def _link(path: str, text: str) -> str:
    return f'<a href="{escape(path)}">{escape(text)}</a>'


def _list(entries: Iterable[str]) -> str:
    items = "".join(f"<li>{entry}</li>" for entry in entries)
    return f"<ul>{items}</ul>" if items else "<p><small>none</small></p>"


def _page(title: str, parts: list[str]) -> str:
    name = escape(title)
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    home = '<p><a href="/">Stand-in GitHub</a></p>'
    head = f"<head>{meta}<title>{name}</title><style>{_STYLE}</style></head>"
    return f'<!DOCTYPE html>\n<html lang="en">{head}<body>{home}<h1>{name}</h1>{"".join(parts)}</body></html>\n'
