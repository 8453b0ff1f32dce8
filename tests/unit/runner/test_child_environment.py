"""What agent, setup and tests find in their environment, and who they are."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from kiro_worker.runner.sandbox.accounts import account, account_name
from kiro_worker.runner.sandbox.environment import BuildEnvironment, scrubbed_environment, withheld_variables
from kiro_worker.runner.sandbox.processes import stream
from kiro_worker.runner.sandbox.sandbox import Sandbox, another_user, sandbox
from tests.support.builder import as_root
from tests.support.hostile import PYTHON, SYSTEM_PATH

ADDRESSES = {
    "HTTP_PROXY": "http://proxy.example:3128",
    "https_proxy": "proxy.example:3128",
    "ALL_PROXY": "socks5h://proxy.example",
    "PIP_INDEX_URL": "https://index.example/simple",
    "PIP_EXTRA_INDEX_URL": "https://a.example/simple https://b.example/@scope",
    "PIP_FIND_LINKS": "/opt/wheels",
    "UV_DEFAULT_INDEX": "https://index.example/simple",
    "UV_INDEX": "internal=https://index.example/simple",
    "npm_config_registry": "https://npm.example/",
    "NPM_CONFIG_@acme:registry": "https://npm.example/",
    "GOPROXY": "https://go.example,direct",
    "YARN_NPM_REGISTRY_SERVER": "https://npm.example/",
}
OTHERS = {
    "no_proxy": "localhost,.example",
    "NO_PROXY": "169.254.170.2",
    "SSL_CERT_FILE": "/etc/ssl/a@b.pem",
    "REQUESTS_CA_BUNDLE": "/etc/ssl/ca.pem",
    "NODE_EXTRA_CA_CERTS": "/etc/ssl/ca.pem",
    "PIP_TRUSTED_HOST": "index.example",
    "npm_config_cafile": "/etc/ssl/ca.pem",
}


def test_addresses_and_certificates_reach_children(tmp_path: Path) -> None:
    environment = scrubbed_environment(tmp_path, {**ADDRESSES, **OTHERS})

    assert {name: environment.get(name) for name in (*ADDRESSES, *OTHERS)} == {**ADDRESSES, **OTHERS}
    assert withheld_variables({**ADDRESSES, **OTHERS}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "http://user:password@proxy.example:3128"),
        ("http_proxy", "user:password@proxy.example:3128"),
        ("PIP_INDEX_URL", "https://token@index.example/simple"),
        ("PIP_INDEX_URL", "https://user:pass%40word@index.example/simple"),
        ("PIP_EXTRA_INDEX_URL", "https://a.example https://user:x@b.example"),
        ("UV_INDEX", "internal=https://user:x@index.example/simple"),
        ("GOPROXY", "direct,https://user:x@go.example"),
        ("npm_config_registry", "https://npm.example/?token=ghp_0123456789abcdefABCDEF0123456789abcd"),
    ],
)
def test_address_with_credentials_is_withheld(tmp_path: Path, name: str, value: str) -> None:
    assert name not in scrubbed_environment(tmp_path, {name: value})
    assert withheld_variables({name: value}) == [name]


@pytest.mark.parametrize(
    "name",
    [
        *("PIP_CLIENT_CERT", "PIP_CONFIG_SETTINGS", "UV_INDEX_INTERNAL_PASSWORD", "UV_PUBLISH_TOKEN", "TWINE_PASSWORD"),
        *("npm_config__auth", "npm_config_//npm.example/:_authToken", "NPM_TOKEN", "CARGO_REGISTRIES_ACME_TOKEN"),
        *("BUNDLE_GEMS__EXAMPLE__COM", "GIT_ASKPASS", "COMPOSER_AUTH", "USER", "SSH_AUTH_SOCK", "DISPLAY"),
    ],
)
def test_other_variables_stay_out(tmp_path: Path, name: str) -> None:
    assert name not in scrubbed_environment(tmp_path, {name: "x"})


def test_configured_variables_reach_children_alone(tmp_path: Path) -> None:
    """What the repository configures must not change what the worker itself does."""
    parent = BuildEnvironment({"PATH": "/opt"}, {"TZ": "UTC", "LANG": "de_DE.UTF-8", "PORT": "1"})

    environment = scrubbed_environment(tmp_path, parent, [Path("/first")], PORT="2")

    assert "TZ" not in parent
    assert (environment["TZ"], environment["LANG"], environment["PORT"]) == ("UTC", "de_DE.UTF-8", "2")
    assert environment["PATH"] == "/first:/opt"


def test_java_tools_keep_files_in_the_home(tmp_path: Path) -> None:
    """Java would take the home of the user's account. The configured options stay, but cannot choose another home."""
    configured = {"MAVEN_OPTS": "-Xmx1g", "GRADLE_USER_HOME": "/elsewhere"}
    environment = scrubbed_environment(tmp_path, BuildEnvironment({}, configured))

    assert environment["MAVEN_OPTS"] == f"-Duser.home={tmp_path} -Xmx1g"
    assert environment["GRADLE_USER_HOME"] == f"{tmp_path}/.gradle"


def test_tests_can_commit_and_cannot_ask(tmp_path: Path) -> None:
    """In a repository of their own, which has no author configured."""
    lines: list[str] = []
    git = "git init -q . && git commit -q --allow-empty -m x && git log -1 --format='%an <%ae>'"
    ask = "git -c credential.helper= ls-remote http://127.0.0.1:1/x.git; test -t 0 || echo no terminal"
    ended = stream(
        ("sh", "-c", f"locale charmap; echo $USER=$(id -un); {git}; {ask}"),
        cwd=tmp_path,
        environment=scrubbed_environment(tmp_path, {"PATH": os.environ["PATH"]}),
        timeout_seconds=60,
        sink=lines.append,
        sandbox=Sandbox(),
    )

    name = account_name(None)
    assert ended.succeeded, lines
    assert lines[:2] == ["UTF-8", f"{name}={name}"]
    assert lines[2].endswith("<kiro-worker@localhost>")
    assert lines[-1] == "no terminal"


@as_root
def test_users_of_build_have_names(open_folder: Path) -> None:
    """``getpwuid`` fails for a user without an account, and with it many test suites and servers."""
    workspace = open_folder / "workspace"
    workspace.mkdir()
    lines: list[str] = []
    program = (
        "import os, pwd, grp; user = pwd.getpwuid(os.getuid()); group = grp.getgrgid(os.getgid()).gr_name\n"
        "print(user.pw_name, user.pw_dir, os.environ['USER'], os.environ['LOGNAME'], group)"
    )
    before = Path("/etc/passwd").stat().st_mode
    with sandbox({"PATH": SYSTEM_PATH, "AGENT_USER": "own"}, workspace, lines.append) as agent:
        with another_user(agent) as gate:
            for user in (agent, gate):
                stream(
                    (PYTHON, "-c", program),
                    cwd=workspace,
                    environment=scrubbed_environment(workspace / "home", {"PATH": SYSTEM_PATH}),
                    timeout_seconds=60,
                    sink=lines.append,
                    sandbox=user,
                )
            uids = [agent.uid, gate.uid]
        names = [f"kiro-{uid}" for uid in uids]
    assert lines == [f"{name} {workspace / 'home'} {name} {name} {name}" for name in names]
    for name in names:
        with pytest.raises(KeyError):
            pwd.getpwnam(name)
    assert Path("/etc/passwd").stat().st_mode == before


def test_accounts_replace_only_their_own_lines(tmp_path: Path) -> None:
    lines = ("root:x:0:0:root:/root:/bin/bash", "kiro-607:*:607:607::/old:/bin/sh", "kiro-6070:x:1:1::/:/")
    (tmp_path / "passwd").write_text("\n".join(lines))
    (tmp_path / "group").write_text("root:x:0:")
    said: list[str] = []

    with account(607, Path("/new"), said.append, tmp_path):
        inside = (tmp_path / "passwd").read_text().splitlines()
        assert (tmp_path / "group").read_text().splitlines() == ["root:x:0:", "kiro-607:*:607:"]

    assert inside[:2] == ["root:x:0:0:root:/root:/bin/bash", "kiro-6070:x:1:1::/:/"]
    assert inside[2:] == ["kiro-607:*:607:607:Kiro CodeBuild Worker:/new:/bin/sh"]
    assert (tmp_path / "passwd").read_text().splitlines() == inside[:2]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".pwd.lock", "group", "passwd"]
    assert said == []


def test_lines_of_others_are_kept_byte_for_byte(tmp_path: Path) -> None:
    before = (
        "root:x:0:0:root:/root:/bin/sh\nann:x:1:1:A\u2028n\x85n\x0c:/:/\n\n+::::::\n".encode() + b"b:x:2:2:\xff:/:/\n"
    )
    for name in ("passwd", "group"):
        (tmp_path / name).write_bytes(before)

    with account(607, Path("/new"), print, tmp_path):
        assert (tmp_path / "passwd").read_bytes().startswith(before)

    assert (tmp_path / "passwd").read_bytes() == before


def test_machine_without_account_files_is_no_error(tmp_path: Path) -> None:
    said: list[str] = []

    with account(607, Path("/new"), said.append, tmp_path / "missing"):
        pass

    assert len(said) == 1
    assert "has no name on this machine" in said[0]
