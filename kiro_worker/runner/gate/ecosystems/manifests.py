"""The files that say which dependencies a project needs: setup runs again when the work changes one of them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

NODE: Final = (
    *("package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc", ".nvmrc", ".node-version"),
    *("yarn.lock", ".yarnrc", ".yarnrc.yml", ".yarn/*", "pnpm-lock.yaml", "pnpm-workspace.yaml", ".pnpmfile.cjs"),
    # Where patch-package, and pnpm, keep what install scripts apply to dependencies.
    *("bun.lock", "bun.lockb", "bunfig.toml", "lerna.json", "patches/*", "binding.gyp"),
)
GO: Final = ("go.mod", "go.sum", "go.work", "go.work.sum", "vendor/modules.txt")
CARGO: Final = ("Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml", ".cargo/*")
MAVEN: Final = ("pom.xml", "mvnw", ".mvn/*")
GRADLE: Final = (
    *("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts", "gradle.properties", "gradlew"),
    *("*.gradle", "*.gradle.kts", "gradle/*", "buildSrc/*", "gradle.lockfile", "*.lockfile"),
)
BUNDLER: Final = ("Gemfile", "Gemfile.lock", "gems.rb", "gems.locked", "*.gemspec", ".bundle/*", ".ruby-version")
COMPOSER: Final = ("composer.json", "composer.lock", "auth.json")
DOTNET: Final = (
    *("*.sln", "*.slnx", "*.csproj", "*.fsproj", "*.vbproj", "*.props", "*.targets", "packages.lock.json"),
    *("packages.config", "paket.dependencies", "paket.lock", "global.json", "dotnet-tools.json"),
    *("nuget.config", "NuGet.Config", "NuGet.config"),
)
ALL: Final = (*NODE, *GO, *CARGO, *MAVEN, *GRADLE, *BUNDLER, *COMPOSER, *DOTNET)


def matches(path: str, patterns: tuple[str, ...] = ALL) -> bool:
    """Return whether the file at ``path``, relative to the repository, is a manifest or lock file, in any folder.

    A pattern that ends in ``/*`` matches everything in a folder of that name.
    """
    parts = PurePosixPath(path).parts
    return any(_matches(parts, pattern) for pattern in patterns)


def _matches(parts: tuple[str, ...], pattern: str) -> bool:
    folder, _, name = pattern.rpartition("/")
    if not parts:
        return False
    if not folder:
        return fnmatchcase(parts[-1], name)
    if name == "*":
        return folder in parts[:-1]
    return parts[-2:] == (folder, name)
