"""The pin of the Kiro CLI: the URL and the SHA-256 of its archive, which the deployment sets on the CodeBuild project.

The preflight checks it before a build is started, and the build before it downloads the archive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import AgentNotPinned

if TYPE_CHECKING:
    from collections.abc import Mapping

URL_VARIABLE: Final = "KIRO_CLI_URL"
DIGEST_VARIABLE: Final = "KIRO_CLI_SHA256"
HOW_TO_PIN: Final = (
    "make deploy ARGS='--context kiroCliUrl=https://…/kirocli-aarch64-linux.tar.gz"
    " --context kiroCliSha256=<64 hex digits>',"
    ' or configure another agent: "agent": {"command": […]}'
)


@dataclass(frozen=True)
class AgentPin:
    """Where the archive is, and the SHA-256 that it must have, in lower case."""

    url: str
    digest: str

    @classmethod
    def parse(cls, variables: Mapping[str, str]) -> AgentPin:
        """The pin in the project's environment variables. Raises :class:`AgentNotPinned`."""
        url, digest = variables.get(URL_VARIABLE, ""), variables.get(DIGEST_VARIABLE, "").lower()
        if missing := [name for name in (URL_VARIABLE, DIGEST_VARIABLE) if not variables.get(name)]:
            raise AgentNotPinned(f"the CodeBuild project does not set {' and '.join(missing)}", HOW_TO_PIN)
        if not re.fullmatch(r"https?://\S+", url) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise AgentNotPinned(
                f"{URL_VARIABLE} of the CodeBuild project is not an http(s) URL, or {DIGEST_VARIABLE} is not 64 hex"
                " digits",
                HOW_TO_PIN,
            )
        return cls(url, digest)
