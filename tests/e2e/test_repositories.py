"""One queue for repositories of several ecosystems, which need no configuration of their own."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.real.work import BRANCH, Edits, add_card, create_project, use_scripted_agent
from tests.support.world import World

pytestmark = pytest.mark.e2e

PYTHON = {
    "sums/__init__.py": "def add(a, b):\n    return a + b\n",
    "tests/test_sums.py": "import unittest\n\nfrom sums import add\n\n\nclass Sums(unittest.TestCase):\n"
    "    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n",
}
PYTHON_WORK: Edits = {
    "1.1": [
        {"path": "sums/__init__.py", "append": "\n\ndef confine(a, low, high):\n    return max(low, min(a, high))\n"}
    ],
    "1.2": [
        {
            "path": "tests/test_confine.py",
            "text": "import unittest\n\nfrom sums import confine\n\n\nclass Confine(unittest.TestCase):\n"
            "    def test_confine(self):\n        self.assertEqual(confine(4, 1, 3), 3)\n",
        }
    ],
}
NODE = {
    "package.json": '{"name": "sums", "version": "1.0.0", "scripts": {"test": "node --test"}}\n',
    "sums.js": "exports.add = (a, b) => a + b\n",
    "sums.test.js": "const test = require('node:test')\nconst assert = require('node:assert')\n"
    "const { add } = require('./sums')\n\ntest('add', () => assert.strictEqual(add(1, 2), 3))\n",
}
NODE_WORK: Edits = {
    "1.1": [{"path": "sums.js", "append": "exports.confine = (a, low, high) => Math.max(low, Math.min(a, high))\n"}],
    "1.2": [
        {
            "path": "confine.test.js",
            "text": "const test = require('node:test')\nconst assert = require('node:assert')\n"
            "const { confine } = require('./sums')\n\ntest('confine', () => assert.strictEqual(confine(4, 1, 3), 3))\n",
        }
    ],
}
GO = {
    "go.mod": "module example.com/sums\n\ngo 1.18\n",
    "sums.go": "package sums\n\nfunc Add(a, b int) int { return a + b }\n",
    "sums_test.go": 'package sums\n\nimport "testing"\n\nfunc TestAdd(t *testing.T) {\n\tif Add(1, 2) != 3 {\n'
    '\t\tt.Error("wrong sum")\n\t}\n}\n',
}
GO_WORK: Edits = {
    "1.1": [
        {
            "path": "confine.go",
            "text": "package sums\n\nfunc Confine(a, low, high int) int {\n\tif a < low {\n\t\treturn low\n\t}\n"
            "\tif a > high {\n\t\treturn high\n\t}\n\treturn a\n}\n",
        }
    ],
    "1.2": [
        {
            "path": "confine_test.go",
            "text": 'package sums\n\nimport "testing"\n\nfunc TestConfine(t *testing.T) {\n'
            '\tif Confine(4, 1, 3) != 3 || Confine(0, 1, 3) != 1 {\n\t\tt.Error("not in the range")\n\t}\n}\n',
        }
    ],
}
PROJECTS = {
    "python": (PYTHON, "sums/__init__.py", PYTHON_WORK),
    "node": (NODE, "package.json", NODE_WORK),
    "go": (GO, "go.mod", GO_WORK),
}


def test_queue_works_off_repositories_of_several_ecosystems(world: World) -> None:
    present = {name: project for name, project in PROJECTS.items() if name != "go" or _runs_go()}
    repositories = {name: world.github.board.add_repository(f"{world.organization}/{name}") for name in present}
    cards = []
    for name, (files, _, _) in present.items():
        create_project(repositories[name], files)
        cards.append(add_card(world, repositories[name], "the module", "its tests"))
    use_scripted_agent(world, {marker: work for _, marker, work in present.values()})
    world.configure(repositories=[f"{world.organization}/{name}" for name in present])
    before = {name: repository.git.head_of(BRANCH) for name, repository in repositories.items()}

    first = world.tick()
    runs = [first, *world.runs_after(first)]

    assert [run.outcome for run in runs] == ["Succeeded"] * len(present) + ["NothingToDo"], [run.cause for run in runs]
    assert [world.status(card) for card in cards] == ["In Review"] * len(present)
    for name, repository in repositories.items():
        assert repository.git.head_of(BRANCH) != before[name]
    if "go" not in present:
        pytest.skip("Python and Node passed; go is missing or broken: apt-get install golang-go")


def _runs_go() -> bool:
    go = shutil.which("go", path="/usr/local/bin:/usr/bin:/bin")
    return go is not None and subprocess.run([go, "version"], capture_output=True).returncode == 0
