"""Which URLs of submodules name a repository on the same server."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiro_worker.errors import BuildStopped
from kiro_worker.models import GitCredentials
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.submodules import Source, repository_of

SOURCE = Source(Path("nowhere"), "https://git.example/x", "acme/shop", GitCredentials("git", "secret"), {})


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /tmp/owned",
        "file:///etc",
        "/etc",
        "ssh://git@127.0.0.1/acme/lib.git",
        "git@github.com:acme/lib.git",
        "https://evil.example/acme/lib.git",
        "https://git.example/x.evil.example/acme/lib.git",
        "https://git.example/x@evil.example/acme/lib.git",
        "http://user:password@127.0.0.1/acme/lib.git",
        "../../../lib.git",
        "../../../../etc/passwd",
        "../../../../../../../etc/passwd",
        "../..",
        "../lib/../..",
        "-u./payload",
        "../-lib/../../--upload-pack=x/y",
        "https://git.example/x/acme/lib/extra",
        "https://git.example/x/acme/..",
        "https://git.example/x/acme/lib.git?x=y",
    ],
)
def test_foreign_url_is_rejected(url: str) -> None:
    with pytest.raises(BuildStopped, match="the submodule 'vendor/lib' has the url") as stopped:
        repository_of("vendor/lib", url, SOURCE)

    assert stopped.value.outcome is Outcome.CHECKOUT_FAILED


@pytest.mark.parametrize(
    "url",
    [
        *("../lib.git", "../../acme/lib", "./../lib", "../lib/", "../shop/../lib"),
        *("https://git.example/x/acme/lib.git", "https://git.example/x/acme/lib"),
    ],
)
def test_url_on_same_server_names_repository(url: str) -> None:
    assert repository_of("vendor/lib", url, SOURCE) == "acme/lib"
