"""Real git against the stand-in, with the commands that a build runs."""

from __future__ import annotations

import base64
import gc
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from kiro_local.github.git_repository import Storage
from kiro_local.github.stand_in import StandInGitHub
from tests.aws.github_probes import REF as CUSTOM
from tests.aws.github_probes import custom_refs

if TYPE_CHECKING:
    from tests.integration.kiro_local.github.conftest import Shop


class Client:
    """A directory with its own git configuration; ``run`` runs git in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.mkdir(exist_ok=True)
        (directory / "gitconfig").write_text("[user]\n\tname = Tester\n\temail = t@example.invalid\n")

    def run(self, *arguments: str, folder: str = ".") -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "GIT_CONFIG_GLOBAL": str(self.directory / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }
        return subprocess.run(
            ["git", *arguments],
            cwd=self.directory / folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def must(self, *arguments: str, folder: str = ".") -> str:
        finished = self.run(*arguments, folder=folder)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.strip()


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path / "client")


def url(shop: Shop, path: str = "acme/shop.git", token: str | None = None) -> str:
    return f"{shop.github.git_url}/{path}".replace("://", f"://worker:{token or shop.token}@")


def test_push_is_visible_to_graphql(shop: Shop, client: Client) -> None:
    client.must("clone", "--quiet", "--branch", "feature/checkout", url(shop), "shop")
    (client.directory / "shop/new.txt").write_text("new\n")
    client.must("add", ".", folder="shop")
    client.must("commit", "--quiet", "--message", "Add", folder="shop")
    client.must("push", "--quiet", folder="shop")
    head = client.must("rev-parse", "HEAD", folder="shop")
    assert shop.repository.git.head_of("feature/checkout") == head
    answer = shop.validate()
    assert answer["pullRequests"]["nodes"][0]["headRefOid"] == answer["ref"]["target"]["oid"] == head
    assert [each.status for each in shop.github.requests.git("git-receive-pack")] == [200]
    assert shop.github.requests.git()[0].variables == {"repository": "acme/shop"}


def test_large_push_is_chunked(shop: Shop, client: Client) -> None:
    client.must("clone", "--quiet", url(shop), "shop")
    (client.directory / "shop/large.bin").write_bytes(os.urandom(10_000_000))
    client.must("add", ".", folder="shop")
    client.must("commit", "--quiet", "--message", "Add", folder="shop")
    client.must("push", "--quiet", folder="shop")
    client.must("clone", "--quiet", url(shop), "again")
    assert (client.directory / "again/large.bin").stat().st_size == 10_000_000


def test_compressed_request_is_accepted(shop: Shop, client: Client) -> None:
    # git compresses a request of more than 1,024 bytes; many refs that the server lacks make it that long.
    client.must("clone", "--quiet", url(shop), "shop")
    for number in range(40):
        client.must("commit", "--quiet", "--allow-empty", "--message", f"{number}", folder="shop")
        client.must("branch", f"b{number}", folder="shop")
    shop.repository.git.commit("main", {"more.txt": "more"})
    client.must("fetch", "--quiet", folder="shop")
    assert client.must("rev-parse", "origin/main", folder="shop") == shop.repository.git.head_of("main")


def test_partial_clone_of_one_commit(shop: Shop, client: Client) -> None:
    commit = shop.repository.git.head_of("feature/checkout")
    assert commit is not None
    shop.repository.git.commit("feature/checkout", {"later.txt": "later"})
    client.must("clone", "--quiet", "--filter=blob:none", "--no-checkout", url(shop), "shop")
    client.must("fetch", "--quiet", "--depth=1", "origin", commit, folder="shop")
    client.must("checkout", "--quiet", "--detach", commit, folder="shop")
    assert (client.directory / f"shop/{shop.spec}/tasks.md").read_text() == "- [ ] 1. Add the checkout\n"
    assert not (client.directory / "shop/later.txt").exists()


def test_git_suffix_is_optional(shop: Shop, client: Client) -> None:
    assert "refs/heads/main" in client.must("ls-remote", url(shop, "acme/shop"))
    assert "refs/heads/main" in client.must("ls-remote", url(shop, "ACME/Shop.git"))


def test_non_fast_forward_push_is_rejected(shop: Shop, client: Client) -> None:
    client.must("clone", "--quiet", "--branch", "feature/checkout", url(shop), "shop")
    theirs = shop.repository.git.commit("feature/checkout", {"theirs.txt": "theirs"})
    client.must("commit", "--quiet", "--allow-empty", "--message", "Mine", folder="shop")
    finished = client.run("push", folder="shop")
    assert finished.returncode != 0
    assert "rejected" in finished.stderr
    assert shop.repository.git.head_of("feature/checkout") == theirs


@pytest.mark.parametrize("token", ["ghp_wrong", "ghp_project"])
def test_token_without_repo_scope_is_rejected(shop: Shop, client: Client, token: str) -> None:
    shop.github.add_token("ghp_project", "worker", ("project",))
    finished = client.run("ls-remote", url(shop, token=token))
    assert finished.returncode != 0
    assert "Authentication failed" in finished.stderr
    assert {each.status for each in shop.github.requests} == {401}


def test_missing_credentials_are_requested(shop: Shop) -> None:
    answer = shop.request("GET", "/acme/shop.git/info/refs?service=git-upload-pack")
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="GitHub"')


@pytest.mark.parametrize(
    "path",
    ["acme/nowhere.git", "nobody/shop.git"],
)
def test_unknown_repository_is_not_found(untouched_shop: Shop, client: Client, path: str) -> None:
    finished = client.run("ls-remote", url(untouched_shop, path))
    assert finished.returncode != 0
    assert "not found" in finished.stderr


@pytest.mark.parametrize(
    "path",
    [
        "/acme/../acme/shop.git/info/refs?service=git-upload-pack",
        "/acme/%2e%2e/info/refs?service=git-upload-pack",
        "/%2e%2e/%2e%2e/info/refs?service=git-upload-pack",
        "/.home/gitconfig",
        "/acme/shop.git/config",
        "/acme/shop.git/HEAD",
        "/acme/shop.git/objects/info/packs",
        "/acme/shop.git/info/refs?service=git-nonsense",
        "/acme/shop.git/info/refs",
        "/acme/shop.git/git-upload-pack",
        "/acme/..%2fshop.git/info/refs?service=git-upload-pack",
    ],
)
def test_hostile_path_is_not_found(untouched_shop: Shop, path: str) -> None:
    headers = {"authorization": "Basic " + base64.b64encode(f"x:{untouched_shop.token}".encode()).decode()}
    answer = untouched_shop.request("GET", path, headers=headers)
    assert answer.status == 404
    assert "refs/heads" not in answer.text


def test_archived_repository_is_read_only(shop: Shop, client: Client) -> None:
    shop.repository.is_archived = True
    client.must("clone", "--quiet", "--branch", "feature/checkout", url(shop), "shop")
    client.must("commit", "--quiet", "--allow-empty", "--message", "Mine", folder="shop")
    finished = client.run("push", folder="shop")
    assert finished.returncode != 0
    assert "403" in finished.stderr


def test_pushed_hooks_do_not_run(shop: Shop, client: Client, tmp_path: Path) -> None:
    client.must("clone", "--quiet", "--branch", "feature/checkout", url(shop), "shop")
    hook = client.directory / "shop/hooks/post-receive"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    client.must("add", ".", folder="shop")
    client.must("commit", "--quiet", "--message", "Hook", folder="shop")
    client.must("push", "--quiet", folder="shop")
    assert not (tmp_path / "hooked").exists()
    assert not (shop.repository.git.path / "hooks").exists()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("unauthorized", "Authentication failed"),
        ("forbidden", "403"),
        ("insufficient_scopes", "403"),
        ("rate_limited", "429"),
        ("bad_gateway", "502"),
        ("reset", ""),
    ],
)
def test_fault_affects_git(shop: Shop, client: Client, kind: str, words: str) -> None:
    shop.github.faults.add(kind, "git", times=None)
    finished = client.run("ls-remote", url(shop))
    assert finished.returncode != 0
    assert words in finished.stderr
    shop.github.faults.clear()
    client.must("ls-remote", url(shop))


def test_push_with_lost_answer_is_kept(shop: Shop, client: Client) -> None:
    client.must("clone", "--quiet", "--branch", "feature/checkout", url(shop), "shop")
    client.must("commit", "--quiet", "--allow-empty", "--message", "Mine", folder="shop")
    shop.github.faults.add("lost_answer", "git-receive-pack")
    assert client.run("push", folder="shop").returncode != 0
    assert shop.repository.git.head_of("feature/checkout") == client.must("rev-parse", "HEAD", folder="shop")


def test_large_push_with_lost_answer_is_kept(shop: Shop, client: Client) -> None:
    client.must("clone", "--quiet", "--branch", "feature/checkout", url(shop), "shop")
    (client.directory / "shop/large.bin").write_bytes(os.urandom(2_000_000))
    client.must("add", ".", folder="shop")
    client.must("commit", "--quiet", "--message", "Mine", folder="shop")
    shop.github.faults.add("lost_answer", "git-receive-pack")
    assert client.run("push", folder="shop").returncode != 0
    assert shop.repository.git.head_of("feature/checkout") == client.must("rev-parse", "HEAD", folder="shop")


@pytest.mark.parametrize(("storage", "bitmaps"), [("loose", 0), ("bitmaps", 1), ("alternates", 1)])
def test_repository_can_be_repacked(shop: Shop, client: Client, storage: str, bitmaps: int) -> None:
    git = shop.repository.git
    for number in range(2):
        tip = git.commit("main", {"README.md": f"{number}\n"})
        git.store_as(Storage(storage))

    client.must("clone", "--quiet", url(shop), "shop")

    assert client.must("rev-parse", "HEAD", folder="shop") == tip
    assert client.must("fsck", folder="shop") == ""
    holder = Path(f"{git.path}.alternate") if storage == "alternates" else git.path / "objects"
    assert len(list(holder.glob("pack/*.bitmap"))) == bitmaps


def test_concurrent_clones_succeed(shop: Shop, client: Client) -> None:
    def clone(number: int) -> str:
        return client.must("clone", "--quiet", url(shop), f"shop{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(clone, range(16)))
    assert all((client.directory / f"shop{number}/README.md").exists() for number in range(16))


def test_stop_leaves_no_process_or_directory(shop: Shop, client: Client) -> None:
    client.must("clone", "--quiet", url(shop), "shop")
    directory = shop.repository.git.path
    shop.github.stop()
    assert not directory.exists()
    listed = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    commands = [Path(f"/proc/{child}/cmdline").read_bytes() for children in listed for child in children]
    assert not [command for command in commands if b"git" in command]


def test_unstarted_stand_in_leaves_no_directory() -> None:
    github = StandInGitHub()
    directory = github.board.add_repository("acme/shop").git.path
    del github
    gc.collect()
    assert not directory.exists()


def test_custom_refs_are_kept_apart_from_branches(shop: Shop, tmp_path: Path) -> None:
    answers = custom_refs(tmp_path / "git", f"{shop.github.git_url}/acme/shop.git", shop.token)
    assert all(answers.values()), answers


def test_custom_ref_is_no_branch(shop: Shop, client: Client) -> None:
    client.must("clone", "--quiet", url(shop), "shop")
    client.must("push", "--quiet", "origin", f"HEAD:{CUSTOM}", folder="shop")
    assert CUSTOM in shop.repository.git.refs()
    client.must("clone", "--quiet", url(shop), "again")
    assert "kiro-worker" not in client.must("for-each-ref", folder="again")
    page = urlopen(f"{shop.github.base_url}/acme/shop").read().decode()  # noqa: S310  # the stand-in's address
    assert "kiro-worker" not in page
