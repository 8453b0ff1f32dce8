"""The environment of agent, setup and tests: an allow-list, so that a new variable is left out by default.

Nothing in it is secret, because every program of the branch can read it. Addresses of proxies and package indexes are
passed on only without credentials. A credential for an index belongs into ``testSecrets``, which only setup gets.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from kiro_worker.redaction import redact
from kiro_worker.runner.sandbox.toolchains import TOOLCHAINS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

GIT_EMAIL: Final = "kiro-worker@localhost"
"""The address of commits that tests make in repositories of their own. The name is that of the user's account."""
_ADDRESSES: Final = re.compile(
    # Proxies, in both cases, as curl, Python, Node and Go read them.
    r"(?:HTTP|HTTPS|ALL|FTP)_PROXY"
    # https://pip.pypa.io/en/stable/topics/configuration/#environment-variables
    r"|PIP_(?:INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|PROXY)"
    # https://docs.astral.sh/uv/reference/environment/
    r"|UV_(?:INDEX|DEFAULT_INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|PYTHON_INSTALL_MIRROR|PYPY_INSTALL_MIRROR)"
    r"|NPM_CONFIG_(?:REGISTRY|PROXY|HTTP_PROXY|HTTPS_PROXY|@[\w.-]+:REGISTRY)"
    r"|YARN_(?:REGISTRY|NPM_REGISTRY_SERVER|HTTP_PROXY|HTTPS_PROXY)"
    r"|GO(?:PROXY|SUMDB)|CARGO_HTTP_PROXY|CARGO_REGISTRIES_\w+_INDEX|BUNDLE_MIRROR__\w+|RUSTUP_(?:DIST_SERVER|UPDATE_ROOT)",
    re.IGNORECASE,
)
_OTHERS: Final = re.compile(
    r"NO_PROXY"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NODE_EXTRA_CA_CERTS|NODE_USE_SYSTEM_CA|GIT_SSL_CAINFO|GIT_SSL_CAPATH"
    r"|PIP_(?:CERT|TRUSTED_HOST|DEFAULT_TIMEOUT|TIMEOUT|RETRIES|NO_INDEX|DISABLE_PIP_VERSION_CHECK|CONFIG_FILE)"
    r"|UV_(?:NATIVE_TLS|SYSTEM_CERTS|NO_INDEX|INSECURE_HOST|INDEX_STRATEGY|HTTP_TIMEOUT)"
    r"|NPM_CONFIG_(?:CAFILE|NOPROXY|STRICT_SSL|FETCH_TIMEOUT|FETCH_RETRIES)"
    r"|YARN_(?:CAFILE_PATH|HTTPS_CA_FILE_PATH|ENABLE_STRICT_SSL)"
    r"|GO(?:NOPROXY|NOSUMDB|NOSUMCHECK|PRIVATE)|CARGO_HTTP_CAINFO",
    re.IGNORECASE,
)
_CREDENTIALS: Final = re.compile(r"(?:^|[\s,|;=])(?:[a-z][a-z0-9+.-]*://)?[^\s/@,|;]+@", re.IGNORECASE)


class BuildEnvironment(dict[str, str]):
    """The runner's environment, and apart from it the variables that are ``configured`` for agent, setup and tests."""

    def __init__(self, parent: Mapping[str, str], configured: Mapping[str, str]) -> None:
        super().__init__(parent)
        self.configured = dict(configured)


def scrubbed_environment(
    home: Path, parent: Mapping[str, str], programs: Sequence[Path] = (), **additions: str
) -> dict[str, str]:
    """Return the environment of an untrusted child.

    ``programs`` are folders of programs that are found before those of the machine.
    """
    configured = parent.configured if isinstance(parent, BuildEnvironment) else {}
    path = os.pathsep.join((*map(str, programs), parent.get("PATH", os.defpath)))
    return {
        **{name: parent[name] for name in TOOLCHAINS if name in parent},
        **network_variables(parent),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "EMAIL": GIT_EMAIL,
        "GIT_TERMINAL_PROMPT": "0",
        **configured,
        **_java_home(home, configured),
        "PATH": path,
        "HOME": str(home),
        **additions,
    }


def _java_home(home: Path, configured: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make Maven and Gradle keep their files in ``home``.

    Java asks the system for the home of the user, and looks at ``HOME`` only if there is none.
    """
    own = f"-Duser.home={home}"
    return {
        "MAVEN_OPTS": " ".join(filter(None, (own, configured.get("MAVEN_OPTS", "")))),
        "MAVEN_USER_HOME": str(home / ".m2"),
        "GRADLE_USER_HOME": str(home / ".gradle"),
    }


def withheld_variables(parent: Mapping[str, str]) -> list[str]:
    """Return the names of variables that no child gets, because their addresses contain credentials."""
    return sorted(name for name, value in parent.items() if _ADDRESSES.fullmatch(name) and _has_credentials(value))


def network_variables(parent: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that package managers need to reach their indexes, without those that hold credentials."""
    return {
        name: value
        for name, value in parent.items()
        if _OTHERS.fullmatch(name) or (_ADDRESSES.fullmatch(name) and not _has_credentials(value))
    }


def _has_credentials(value: str) -> bool:
    return bool(_CREDENTIALS.search(value)) or redact(value) != value
