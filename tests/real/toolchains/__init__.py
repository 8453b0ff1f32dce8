"""Small repositories without dependencies, one per toolchain, which Debian's packages can test without a network.

Each folder has ``repository``, what is committed, and ``addition``, the files of a change with its own test.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
PATH: Final = "/usr/bin:/bin"
"""Debian's programs. Those of a version manager need the home folder of the person who installed them."""
_MAVEN_PLUGINS: Final = tuple(
    f"org/apache/maven/plugins/maven-{name}-plugin" for name in ("compiler", "dependency", "resources", "surefire")
)


@dataclass(frozen=True)
class ToolchainRepository:
    """A repository of one ecosystem, and what a test of it needs.

    ``programs`` must run, and ``files`` exist; ``packages`` are Debian's, which bring them. ``mutant`` is a file of the
    product code, a text in it, and the text that breaks it. ``tests`` are those of the repository with its addition.
    """

    name: str
    ecosystem: str
    programs: tuple[str, ...]
    packages: tuple[str, ...]
    mutant: tuple[str, str, str]
    tests: int
    files: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The files that the repository commits."""
        return _HERE / self.name / "repository"

    @property
    def addition(self) -> Path:
        """The files that a change adds, a test among them."""
        return _HERE / self.name / "addition"

    @property
    def missing(self) -> str:
        """Why the toolchain cannot be used here, and what installs it; empty if it can."""
        absent = [program for program in self.programs if not _runs(program)]
        absent += [file for file in self.files if not Path(file).exists()]
        return f"{', '.join(absent)} missing or broken: apt-get install {' '.join(self.packages)}" if absent else ""


def toolchain_repositories() -> list[ToolchainRepository]:
    """Return all repositories."""
    return [
        ToolchainRepository(
            *("go", "go", ("go",), ("golang-go",)),
            mutant=("discount/discount.go", "price - price", "price + price"),
            tests=2,
        ),
        ToolchainRepository(
            *("rust", "cargo", ("cargo", "rustc"), ("cargo",)),
            mutant=("src/lib.rs", "price - price", "price + price"),
            tests=4,
        ),
        ToolchainRepository(
            *("maven", "maven", ("mvn", "javac")),
            packages=(
                *("default-jdk-headless", "maven", "junit4", "libmaven-compiler-plugin-java"),
                *("libmaven-dependency-plugin-java", "libmaven-resources-plugin-java", "libsurefire-java"),
            ),
            mutant=("src/main/java/shop/Discount.java", "price - price", "price + price"),
            tests=2,
            files=tuple(f"/usr/share/maven-repo/{name}" for name in (*_MAVEN_PLUGINS, "junit/junit/4.13.2")),
        ),
        ToolchainRepository(
            *("ruby", "ruby", ("ruby",), ("ruby-minitest",)),
            mutant=("lib/discount.rb", "price - price", "price + price"),
            tests=3,
        ),
        ToolchainRepository(
            *("php", "php", ("php", "phpunit"), ("phpunit",)),
            mutant=("src/discount.php", "$price - ", "$price + "),
            tests=2,
        ),
    ]


@cache
def _runs(program: str) -> bool:
    """Return whether the program starts with an empty home folder, as in a build."""
    found = shutil.which(program, path=PATH)
    if found is None:
        return False
    with tempfile.TemporaryDirectory() as home:
        words = (found, "version" if program == "go" else "--version")
        environment = {"PATH": PATH, "HOME": home}
        return subprocess.run(words, env=environment, cwd=home, capture_output=True, timeout=60).returncode == 0
