"""The author and committer of the worker's commits.

GitHub shows a commit as the work of the account that has its address, and accepts an address on an account before it is
verified. So an address that receives no mail belongs to whoever enters it first: ``.invalid``, ``example.com``. The
noreply address ``LOGIN@users.noreply.github.com`` belongs to whoever has the login.
https://docs.github.com/en/account-and-profile/reference/email-addresses-reference
https://github.com/orgs/community/discussions/22767
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kiro_worker.commit_rules.text import is_visible


@dataclass(frozen=True)
class Author:
    """A name and an address, as git stores them."""

    name: str
    address: str

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>"


DEFAULT_AUTHOR: Final = Author("Kiro CodeBuild Worker", "kiro.codebuild.worker@users.noreply.github.com")
"""No stranger can get this address: the domain is GitHub's own, and no login contains a dot."""

_LONGEST: Final = 100
_FORM: Final = re.compile(r"(?P<name>[^<>]+?)\s*<(?P<address>[^<>\s]*)>")
_ADDRESS: Final = re.compile(
    r"(?!')(?P<local>[A-Za-z0-9!#$%&'*+/=?^_`{|}~\[\]-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\[\]-]+)*)"
    r"@(?P<domain>(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)"
)
_LOGIN: Final = re.compile(r"[A-Za-z0-9_-]+(?:\[bot\])?")
"""A login, also of a managed account (``_``) or of an app (``[bot]``)."""
_NOREPLY: Final = "users.noreply."
"""GitHub's domains for such addresses begin so: ``users.noreply.github.com``, and those of other servers."""
_WITHOUT_OWNER: Final = re.compile(
    r"(?:.*\.)?(?:example\.(?:com|org|net|edu)|example|invalid|test|local|localdomain|localhost|internal|lan|home\.arpa|onion|alt|\d+)"
)
_CRUD: Final = ".,:;<>\"\\'"
"""git removes these from both ends of a name, which would then differ from the sign-off."""


def parse_author(text: str) -> Author:
    """Return the author that ``text`` names as ``name <address>``. Raises :class:`ValueError`, which says why not."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be name <address>, such as Acme Bot <bot@acme.com>")
    name, address = match["name"], match["address"]
    if len(name) > _LONGEST or len(address) > _LONGEST:
        raise ValueError(f"the name and the address may have {_LONGEST} characters each")
    if not is_visible(name):
        raise ValueError("the name contains an invisible or control character")
    if name.strip(_CRUD) != name or not any(map(str.isalnum, name)):
        raise ValueError("the name must contain a letter, and not begin or end with one of . , : ; \" ' \\")
    if problem := _address_problem(address):
        raise ValueError(problem)
    return Author(name, address)


def _address_problem(address: str) -> str:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        return f"{address!r} is not an email address"
    local, domain = match["local"], match["domain"].lower()
    if domain.startswith(_NOREPLY):
        if not _LOGIN.fullmatch(local):
            return ""
        return (
            f"{address} belongs to whoever has the login {local}; write the account's ID before it:"
            f" ID+{local}@{match['domain']} (gh api users/{local} --jq .id)"
        )
    if domain in ("github.com", "noreply.github.com"):
        return f"{address} is an address of GitHub itself"
    if _WITHOUT_OWNER.fullmatch(domain):
        return f"nobody owns {domain}, so anybody can add {address} to a GitHub account; use an address of your own"
    return ""
