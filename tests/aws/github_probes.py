"""Probes of behavior that GitHub does not document: see docs/reference/unproven.md."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REF = "refs/kiro-worker/checkpoints/kiro-worker-probe"
_CREDENTIALS = '!answer() { echo username=x-access-token; echo "password=$PROBE_TOKEN"; }; answer'


def custom_refs(folder: Path, url: str, token: str) -> Mapping[str, Any]:
    """What a server does with a ref outside ``refs/heads``, which the probe pushes to ``url`` and deletes again."""

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "-C", str(folder), "-c", f"credential.helper={_CREDENTIALS}", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "PROBE_TOKEN": token,
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_CONFIG_NOSYSTEM": "1",
                **{
                    f"GIT_{role}_{part}": "probe@example.invalid"
                    for role in ("AUTHOR", "COMMITTER")
                    for part in ("NAME", "EMAIL")
                },
            },
            capture_output=True,
            text=True,
            timeout=120,
        )

    folder.mkdir(parents=True, exist_ok=True)
    git("init", "--quiet")
    git("fetch", "--quiet", "--depth=1", url, "HEAD")
    commit = git("commit-tree", "FETCH_HEAD^{tree}", "-p", "FETCH_HEAD", "-m", "Probe").stdout.strip()
    pushed = git("push", "--quiet", f"--force-with-lease={REF}:", url, f"{commit}:{REF}")
    answers = {
        "a new ref is accepted": pushed.returncode == 0,
        "it is listed": commit in git("ls-remote", url, REF).stdout,
        "it is fetched by name": git("fetch", "--quiet", url, REF).returncode == 0,
        "a wrong lease is refused": git(
            "push", "--quiet", f"--force-with-lease={REF}:{'1' * 40}", url, f"FETCH_HEAD^:{REF}"
        ).returncode
        != 0,
        "a pull request's ref is refused": git("push", "--quiet", url, f"{commit}:refs/pull/999999/head").returncode
        != 0,
        "a branch named refs/… is refused": git("push", "--quiet", url, f"{commit}:refs/heads/{REF}").returncode != 0,
        "it is deleted": git("push", "--quiet", f"--force-with-lease={REF}:{commit}", url, f":{REF}").returncode == 0,
    }
    git("push", "--quiet", url, f":refs/heads/{REF}")
    return answers
