"""The settings of every command that the worker's own git runs, in place of all configuration files."""

from __future__ import annotations

from typing import Final

SETTINGS: Final = (
    "core.hooksPath={no_hooks}",
    "core.symlinks=true",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.autocrlf=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "diff.ignoreSubmodules=all",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "push.gpgSign=false",
    "push.followTags=false",
    "http.followRedirects=false",
    "credential.helper=",
    # One worker per core when there are many files to write.
    "checkout.workers=0",
    # Nothing here has to survive a crash: everything that matters is on the server.
    "core.fsync=none",
)
LFS_SERVER: Final = (
    # All effective keys that git-lfs also reads from the branch's .lfsconfig. These take precedence.
    # https://github.com/git-lfs/git-lfs/blob/main/docs/man/git-lfs-config.adoc#lfsconfig
    "lfs.url={lfs}",
    "lfs.pushurl={lfs}",
    "lfs.{lfs}.access=basic",
    "lfs.fetchinclude=",
    "lfs.fetchexclude=",
    "lfs.allowincompletepush=false",
    "lfs.skipdownloaderrors=false",
    "lfs.locksverify=false",
    # git-lfs itself transfers files, not a custom program.
    "lfs.basictransfersonly=true",
)
LFS_FILTER: Final = ("filter.lfs.process=git-lfs filter-process", "filter.lfs.required=true")
