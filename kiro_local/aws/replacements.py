"""What our extensions change in moto: every replacement is made through one object, which can put everything back."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from moto import __version__ as moto_version

SUPPORTED_MOTO = "5.2"
_ABSENT = object()


class UnsupportedMoto(RuntimeError):
    """The extensions name moto's inner parts, which other versions of it may have changed."""


class ReplacedSince(RuntimeError):
    """Somebody else replaced the same attribute later and has not put it back: theirs is lost."""


class Replacements:
    """Attributes of moto's classes and modules that are replaced while an embedded AWS runs."""

    def __init__(self) -> None:
        if moto_version.split(".")[:2] != SUPPORTED_MOTO.split("."):
            raise UnsupportedMoto(
                f"The embedded AWS is made for moto {SUPPORTED_MOTO}, and {moto_version} is installed. "
                f"How to fix: pip install 'moto=={SUPPORTED_MOTO}.*'"
            )
        self._made: list[tuple[type | ModuleType, str, Any, Any]] = []

    def set(self, owner: type | ModuleType, name: str, value: Any) -> None:
        self._made.append((owner, name, vars(owner).get(name, _ABSENT), value))
        setattr(owner, name, value)

    def set_everywhere(self, package: str, name: str, original: Any, value: Any) -> None:
        """Also where a module of the package holds the original under its own name (``from … import name``)."""
        for module_name, module in list(sys.modules.items()):
            if module_name.startswith(package) and vars(module).get(name) is original:
                self.set(module, name, value)

    def restore(self) -> None:
        """Put everything back, the last replacement first. Raises :class:`ReplacedSince` when it is done and somebody
        who came later has not done so before.
        """
        strays = []
        while self._made:
            owner, name, original, value = self._made.pop()
            if vars(owner).get(name) is not value:
                strays.append(f"{owner.__name__}.{name}")
            if original is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
        if strays:
            raise ReplacedSince(f"replaced by somebody else, and not put back: {', '.join(strays)}")
