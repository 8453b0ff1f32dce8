"""All objects of the stand-in, by name and by node ID, under one lock."""

from __future__ import annotations

import itertools
import threading

from kiro_local.github.model import Item, Node, NodeObject, Owner, Project, Repository


class Registry:
    """Looks objects up as GitHub does, ignoring case, and numbers new ones."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.base_url = ""
        self.owners: dict[str, Owner] = {}
        self.projects: list[Project] = []
        self.repositories: dict[str, Repository] = {}
        self._nodes: dict[str, NodeObject] = {}
        self._serial = itertools.count(1)

    def owner(self, login: str) -> Owner | None:
        return self.owners.get(login.lower())

    def repository(self, name_with_owner: str) -> Repository | None:
        return self.repositories.get(name_with_owner.lower())

    def project(self, login: str, number: int) -> Project | None:
        owner = self.owner(login)
        return next((each for each in self.projects if each.owner is owner and each.number == number), None)

    def node(self, node_id: str) -> NodeObject | None:
        return self._nodes.get(node_id)

    def item_titled(self, title: str) -> Item:
        """The first card with that title, in any project."""
        return next(item for project in self.projects for item in project.items if item.title == title)

    def url(self, path: str) -> str:
        return self.base_url + path

    def _id(self, prefix: str) -> str:
        return f"{prefix}_standin{next(self._serial):06d}"

    def _register(self, node: Node) -> Node:
        self._nodes[node.id] = node
        return node

    def _unregister(self, node: NodeObject) -> None:
        del self._nodes[node.id]
