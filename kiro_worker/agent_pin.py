"""The pins of the agents: where each one's archive is, and the hash that it must have.

The Kiro CLI's pin comes from the deployment, which sets it on the CodeBuild project. The other agents are npm packages
whose version and hashes are pinned here, the same that the tests run; the deployment may pin another version. Each is
one archive: the package of the platform for Claude Code and Codex, whose main packages only start it, and a bundle
without dependencies for Gemini. So no package manager runs, and no script of a package.

The preflight checks a pin before a build is started, and the build before it downloads the archive.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import AgentNotPinned

if TYPE_CHECKING:
    from collections.abc import Mapping

URL_VARIABLE: Final = "KIRO_CLI_URL"
DIGEST_VARIABLE: Final = "KIRO_CLI_SHA256"
REGISTRY_VARIABLE: Final = "npm_config_registry"
_ARCHITECTURES: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
"""The names that npm packages use, by the machine's own."""
_ANY: Final = "any"
_KIRO_FIX: Final = (
    "make deploy ARGS='--context kiroCliUrl=https://…/kirocli-aarch64-linux.tar.gz"
    " --context kiroCliSha256=<64 hex digits>',"
    ' or configure another agent: "agent": {"command": […]}'
)


@dataclass(frozen=True)
class AgentPin:
    """Where the archive is, and the hash that it must have: the algorithm and the digest in lower-case hex.

    The ``url`` of an npm package is only its path if the registry is not known.
    """

    url: str
    algorithm: str
    digest: str
    version: str = ""


@dataclass(frozen=True)
class NpmPackage:
    """A package that is one archive per architecture; ``integrity`` is npm's, by architecture.

    ``tarball`` is its address below the registry, with ``{version}`` and ``{arch}``.
    """

    title: str
    name: str
    tarball: str
    version: str
    integrity: Mapping[str, str] = field(repr=False)


NPM_PACKAGES: Final[Mapping[str, NpmPackage]] = {
    "claude": NpmPackage(
        "Claude Code",
        "@anthropic-ai/claude-code-linux-{arch}@{version}",
        "@anthropic-ai/claude-code-linux-{arch}/-/claude-code-linux-{arch}-{version}.tgz",
        "2.1.332",
        {
            "x64": "sha512-f4JWhzwYutJIHScC7/dYOPX6s28tt7ZADhsOi8zwOHq5fFPEuUeChh2NMfinSg0GrUckYxaeebC4h0DqiKzLcw==",
            "arm64": "sha512-BlHNEtK38KBPWU31F4lUSS9sHclCyfWbThT1CErvxxH8+XcljYLZlQwdyXBkTD62rw1TgfE1u1a+quMWS0NSJg==",
        },
    ),
    "codex": NpmPackage(
        "the Codex CLI",
        "@openai/codex@{version}-linux-{arch}",
        "@openai/codex/-/codex-{version}-linux-{arch}.tgz",
        "0.171.0",
        {
            "x64": "sha512-l66NZkQgdk2C3pbcfULDz42yEUB581MVA6I+Y43Wp4OIqEy73HCdmZ0GTjeAHY2ycuH4N00d9VsLrwT1jxshTw==",
            "arm64": "sha512-9z17t4bbUJ9UCIb49O4PoA+ki+45q3rd8nZ8PeH6sYnlKkBld/Xpo/OS3h3Ti954+foshX4o7k5TCU8N7zzqQA==",
        },
    ),
    "gemini": NpmPackage(
        "the Gemini CLI",
        "@google/gemini-cli@{version}",
        "@google/gemini-cli/-/gemini-cli-{version}.tgz",
        "0.61.0",
        {_ANY: "sha512-dbQ9A0qBtFJNi6XBkHvfZ6Azpn6PNgH/P8h2MZ67RLlX8hSAVjup39CRWqdRxZv7YXIuhrFaytr8y0jKnkoxnQ=="},
    ),
}


def title_of(name: str) -> str:
    """Return what the agent's vendor calls it."""
    return NPM_PACKAGES[name].title if name in NPM_PACKAGES else "the Kiro CLI"


def how_to_install(name: str) -> str:
    """Return the fix for an agent that is not installed, or whose pin is wrong."""
    if name not in NPM_PACKAGES:
        return _KIRO_FIX
    package, (version, integrity) = NPM_PACKAGES[name], _contexts(name)
    spec = package.name.format(version="<version>", arch="arm64")
    return (
        f"make deploy ARGS='--context {version}=<version> --context {integrity}=sha512-…', with the hash that"
        f' "npm view {spec} dist.integrity" shows for the architecture of the build; without both, the build'
        f" installs {package.version}"
    )


def parse_pin(name: str, variables: Mapping[str, str], machine: str = "") -> AgentPin:
    """Return the pin of the agent ``name``, from the project's environment variables.

    ``machine`` is the machine's own name for its architecture; without it, any architecture will do. Raises
    :class:`AgentNotPinned`.
    """
    return _npm_pin(name, variables, machine) if name in NPM_PACKAGES else _kiro_pin(variables)


def _kiro_pin(variables: Mapping[str, str]) -> AgentPin:
    url, digest = variables.get(URL_VARIABLE, ""), variables.get(DIGEST_VARIABLE, "").lower()
    if missing := [name for name in (URL_VARIABLE, DIGEST_VARIABLE) if not variables.get(name)]:
        raise AgentNotPinned(f"the CodeBuild project does not set {' and '.join(missing)}", _KIRO_FIX)
    if not re.fullmatch(r"https?://\S+", url) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise AgentNotPinned(
            f"{URL_VARIABLE} of the CodeBuild project is not an http(s) URL, or {DIGEST_VARIABLE} is not 64 hex digits",
            _KIRO_FIX,
        )
    return AgentPin(url, "sha256", digest)


def _npm_pin(name: str, variables: Mapping[str, str], machine: str) -> AgentPin:
    package = NPM_PACKAGES[name]
    version_variable, integrity_variable = npm_variables(name)
    version, integrity = variables.get(version_variable, ""), variables.get(integrity_variable, "")
    if bool(version) != bool(integrity):
        missing = integrity_variable if version else version_variable
        raise AgentNotPinned(f"the CodeBuild project does not set {missing}", how_to_install(name))
    architecture = _architecture(name, machine)
    if not version:
        version = package.version
        integrity = package.integrity.get(architecture) or package.integrity.get(_ANY, "")
    digest = _digest(integrity)
    if not re.fullmatch(r"\d+(?:\.\d+){2}(?:-[0-9A-Za-z.-]+)?", version) or not digest:
        raise AgentNotPinned(
            f"{version_variable} of the CodeBuild project is not a version such as {package.version}, or"
            f" {integrity_variable} is not sha512- with a hash in base64",
            how_to_install(name),
        )
    registry = variables.get(REGISTRY_VARIABLE, "")
    if registry and not re.fullmatch(r"https?://[^\s/@]+(?:/\S*)?", registry):
        raise AgentNotPinned(
            f"{REGISTRY_VARIABLE} is not an http(s) URL without user name and password",
            f"set {REGISTRY_VARIABLE} of the CodeBuild project to the address of a registry",
        )
    tarball = package.tarball.format(version=version, arch=architecture)
    return AgentPin(f"{registry.rstrip('/')}/{tarball}", "sha512", digest, version)


def npm_variables(name: str) -> tuple[str, str]:
    """Return the environment variables that pin another version of an npm package, and its hash."""
    return f"{name.upper()}_VERSION", f"{name.upper()}_INTEGRITY"


def _contexts(name: str) -> tuple[str, str]:
    return f"{name}Version", f"{name}Integrity"


def _architecture(name: str, machine: str) -> str:
    if not machine:
        return next(iter(_ARCHITECTURES.values()))
    if machine not in _ARCHITECTURES:
        raise AgentNotPinned(f"{title_of(name)} has no package for the architecture {machine}", how_to_install(name))
    return _ARCHITECTURES[machine]


def _digest(integrity: str) -> str:
    """Return the digest of npm's ``sha512-<base64>`` in hex; empty if it has another form."""
    try:
        digest = base64.b64decode(integrity.removeprefix("sha512-"), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return digest.hex() if integrity.startswith("sha512-") and len(digest) == 64 else ""
