"""Attributes that make files on disk the same bytes as their blobs, whatever the branch's ``.gitattributes`` says.

Without them, the tests could run on other bytes than those that are pushed: git converts line ends and encodings, and
expands ``$Id$``, when it writes files and when it adds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

EXACT_BYTES: Final = "* -text -ident !working-tree-encoding\n"
"""``-text`` turns ``eol`` and ``crlf`` off, too. An encoding cannot be turned off, only left unspecified. Filters are
not listed, because the worker's git knows none but LFS. https://git-scm.com/docs/gitattributes"""


def keep_bytes(repository: Path) -> None:
    """Turn off every conversion of files in ``repository``, except LFS: ``info/attributes`` overrides all other files.

    https://git-scm.com/docs/gitattributes#_description
    """
    attributes = repository / "info" / "attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text(EXACT_BYTES)
