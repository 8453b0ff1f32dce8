"""Replaces attributes of moto. Every replacement goes through one object, which can undo them all."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from moto import __version__ as moto_version

from kiro_worker.errors import KiroWorkerError

SUPPORTED_MOTO = "5.2"
_ABSENT = object()


class UnsupportedMoto(KiroWorkerError):
    """The extensions replace internals of one version of moto, and another version is installed."""


class ReplacedSince(RuntimeError):
    """Other code replaced the same attribute later and did not restore it, so its replacement is lost."""


class Replacements:
    """The attributes of moto's classes and modules that are replaced while an embedded AWS runs."""

    def __init__(self) -> None:
        if moto_version.split(".")[:2] != SUPPORTED_MOTO.split("."):
            raise UnsupportedMoto(
                f"The embedded AWS needs moto {SUPPORTED_MOTO}, but {moto_version} is installed.",
                f"pip install 'moto=={SUPPORTED_MOTO}.*'",
            )
        self._made: list[tuple[type | ModuleType, str, Any, Any]] = []

    def set(self, owner: type | ModuleType, name: str, value: Any) -> None:
        """Replace or add an attribute of a class or module."""
        self._made.append((owner, name, vars(owner).get(name, _ABSENT), value))
        setattr(owner, name, value)

    def set_everywhere(self, package: str, name: str, original: Any, value: Any) -> None:
        """Replace ``name`` in every module of ``package`` that imported it by name (``from … import name``)."""
        for module_name, module in list(sys.modules.items()):
            if module_name.startswith(package) and vars(module).get(name) is original:
                self.set(module, name, value)

    def restore(self) -> None:
        """Undo every replacement, the last one first. Raises :class:`ReplacedSince` afterwards if other code replaced
        an attribute later and did not restore it first.
        """
        lost = []
        while self._made:
            owner, name, original, value = self._made.pop()
            if vars(owner).get(name) is not value:
                lost.append(f"{owner.__name__}.{name}")
            if original is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
        if lost:
            raise ReplacedSince(f"replaced by other code and not restored: {', '.join(lost)}")
