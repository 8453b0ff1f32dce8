"""Published projects, each with the work that the agent does in it, and a fault that its own tests must notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.real.distributions import Distribution

FUNCTION: Final = "confine"
OWN_TEST_WORDS: Final = ("Confine", FUNCTION)
"""One of them is in the name of the agent's test, however the test runner shows it."""

_PYTHON: Final = '''

def confine(value, low, high):
    """Return ``value``, or the nearest bound if it is not from ``low`` to ``high``."""
    return max(low, min(value, high))
'''
_PYTHON_TEST: Final = """\
import unittest

from {module} import confine


class ConfineTest(unittest.TestCase):
    def test_confine_keeps_number_in_range(self):
        self.assertEqual(confine(2, 1, 3), 2)

    def test_confine_returns_nearest_bound(self):
        self.assertEqual((confine(0, 1, 3), confine(4, 1, 3)), (1, 3))
"""
_PYTHON_FAULT: Final = ("min(value, high)", "min(value, low)")


@dataclass(frozen=True)
class Edit:
    """The agent writes ``text`` to a file, or to its end if ``adds``."""

    path: str
    text: str
    adds: bool = False

    def as_json(self) -> dict[str, str]:
        return {"path": self.path, "append" if self.adds else "text": self.text}


@dataclass(frozen=True)
class Fault:
    """A replacement in one line of a file."""

    path: str
    old: str
    new: str

    def as_json(self) -> dict[str, str]:
        return {"path": self.path, "old": self.old, "new": self.new}


@dataclass(frozen=True)
class RealProject:
    """One project.

    ``function`` and ``test`` are what the agent adds. ``own_fault`` breaks the function, and ``fault`` breaks a line of
    the project that its own tests cover. ``configuration`` is the text of its ``.kiro-worker.yml``, empty if it needs
    none.
    """

    distribution: Distribution
    style: str
    function: Edit
    test: Edit
    own_fault: tuple[str, str]
    fault: Fault
    configuration: str = ""
    is_quick: bool = False

    @property
    def name(self) -> str:
        return self.distribution.name

    @property
    def configuration_lines(self) -> int:
        return len(self.configuration.splitlines())

    def edits(self, *, broken: bool = False) -> dict[str, list[dict[str, str]]]:
        """What the agent does for each task; with ``broken``, both faults besides."""
        function = self.function.as_json()
        if not broken:
            return {"1.1": [function], "1.2": [self.test.as_json()]}
        [key] = function.keys() - {"path"}
        assert self.own_fault[0] in function[key]
        function[key] = function[key].replace(*self.own_fault)
        return {"1.1": [function, self.fault.as_json()], "1.2": [self.test.as_json()]}


def _python(
    name: str,
    version: str,
    sha256: str,
    style: str,
    source: str,
    test: str,
    fault: tuple[str, str, str],
    *,
    configuration: str = "",
    is_quick: bool = False,
) -> RealProject:
    """A Python project. ``source`` is the module that gets the function, and ``test`` the new test file."""
    module = source.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return RealProject(
        Distribution("PyPI", name, version, f"sha256-{sha256}"),
        style,
        Edit(source, _PYTHON, adds=True),
        Edit(test, _PYTHON_TEST.format(module=module)),
        _PYTHON_FAULT,
        Fault(*fault),
        configuration,
        is_quick,
    )


PYTHON: Final = (
    _python(
        "itsdangerous",
        "2.2.0",
        "e0050c0b7da1eea53ffaf149c0cfbb5c6e2e2b69c4bef22c81fa6eb73e5f6173",
        "flit, src, requirements/tests.txt, tox",
        "src/itsdangerous/encoding.py",
        "tests/test_itsdangerous/test_confine.py",
        ("src/itsdangerous/encoding.py", '.rstrip(b"=")', '.rstrip(b"-")'),
        is_quick=True,
    ),
    _python(
        "humanize",
        "4.17.0",
        "1d6a36c453dbfbb3f0b34601d2e0b4ce5d48d780305cd45714843f0068fde6ac",
        "hatchling, version from git tags, src, extra, tox",
        "src/humanize/number.py",
        "tests/test_confine.py",
        ("src/humanize/number.py", "value % 100 in (11, 12, 13) else", "value % 100 in (11, 12) else"),
    ),
    _python(
        "cachetools",
        "8.0.2",
        "30ac523adfc118b51d2b2e7bad8a0ddb31370dfe2700c7f10ca224f36ccf81e0",
        "setuptools, src, tox alone names pytest",
        "src/cachetools/keys.py",
        "tests/test_confine.py",
        ("src/cachetools/__init__.py", "self.__currsize -= itemsize", "self.__currsize += itemsize"),
    ),
    _python(
        "tomlkit",
        "0.15.2",
        "83e32755ba1d20d9340bd069ee97e9f6232ba2346b63ffcba425de01f7e327a6",
        "poetry, dependency group dev",
        "tomlkit/_utils.py",
        "tests/test_confine.py",
        ("tomlkit/_utils.py", "offset = -offset", "offset = +offset"),
    ),
    _python(
        "toolz",
        "1.2.0",
        "9667a038e9d6ecba37995e26cb2f59ec6420b6ad8dd9677de59db9b956b08490",
        "setuptools, version from git tags, dependency group test",
        "toolz/itertoolz.py",
        "toolz/tests/test_confine.py",
        ("toolz/itertoolz.py", "    return next(iter(seq))\n", "    return iter(seq)\n"),
    ),
    _python(
        "pluggy",
        "1.7.0",
        "d1eaa46ebb595891b860ab086b4d09c8588af65ebd4361b8e8f4bb8920b90ba8",
        "setuptools, version from git tags, src, uv.lock, dependency group testing",
        "src/pluggy/_result.py",
        "testing/test_confine.py",
        ("src/pluggy/_manager.py", "self._name2plugin[name] is None", "self._name2plugin[name] is not None"),
    ),
    _python(
        "attrs",
        "26.1.0",
        "d03ceb89cb322a8fd706d4fb91940737b6642aa36998fe130a9bc96c985eff32",
        "hatchling, version from git tags, src, uv.lock, dependency groups, tox",
        "src/attr/filters.py",
        "tests/test_confine.py",
        ("src/attr/filters.py", "return not (\n", "return (\n"),
    ),
    _python(
        "glom",
        "25.12.0",
        "1ae7da88be3693df40ad27bdf57a765a55c075c86c971bcddd67927403eb0069",
        "setup.py, requirements.txt",
        "glom/reduction.py",
        "glom/test/test_confine.py",
        ("glom/reduction.py", "op=operator.iadd):", "op=operator.isub):"),
    ),
    _python(
        "more-itertools",
        "11.2.1",
        "cbf08fd0af284dc69718b9b76a8e6203df624d70209ea511e4219d350c856f63",
        "flit, unittest, requirements/testing.txt, tox",
        "more_itertools/recipes.py",
        "tests/test_confine.py",
        (
            "more_itertools/recipes.py",
            "    return sum(map(pred, iterable))\n",
            "    return sum(map(pred, iterable)) + 1\n",
        ),
    ),
    _python(
        "inflection",
        "0.5.1",
        "1a29730d366e996aaacffb2f1f1cb9593dc38e2ddd30c91250c6dde09ea9b417",
        "setup.py alone, nothing names pytest",
        "inflection/__init__.py",
        "test_confine.py",
        ("inflection/__init__.py", "if number % 100 in (11, 12, 13):", "if number % 100 in (11, 12):"),
    ),
)

_NODE_FAULT: Final = ("Math.max(low, Math.min(value, high))", "Math.min(low, Math.max(value, high))")
"""Every argument is still used, so that a linter in front of the tests has no complaint."""
NODE: Final = (
    RealProject(
        Distribution(
            "npm",
            "xtend",
            "4.0.2",
            "sha512-LKYU1iAXJXUgAXn9URjiu+MWhyUXHsvfp7mcuYm9dSUKK0/CjtrUwFAxD82/mCWbtLsGjFIad0wIsod4zrTAEQ==",
        ),
        "tape, no lock file",
        Edit(
            "confine.js",
            "module.exports = confine\n\nfunction confine(value, low, high) {\n"
            "    return Math.max(low, Math.min(value, high))\n}\n",
        ),
        Edit(
            "test.js",
            'var confine = require("./confine")\n\ntest("confine", function (assert) {\n'
            "    assert.equal(confine(2, 1, 3), 2)\n    assert.equal(confine(4, 1, 3), 3)\n    assert.end()\n})\n",
            adds=True,
        ),
        _NODE_FAULT,
        Fault("mutable.js", "target[key] = source[key]", "target[key] = target[key]"),
        is_quick=True,
    ),
    RealProject(
        Distribution(
            "npm",
            "minimist",
            "1.2.8",
            "sha512-2yyAR8qBkN3YuheJanUpWC5U3bb5osDywNB8RzDVlDwDHbocAJveqqj1u8+SVD7jkWT4yvsHCpWqqWqAxb0zCA==",
        ),
        "tape, nyc, eslint before and an audit after the tests, no lock file",
        Edit(
            "confine.js",
            "'use strict';\n\nmodule.exports = function confine(value, low, high) {\n"
            "\treturn Math.max(low, Math.min(value, high));\n};\n",
        ),
        Edit(
            "test/confine.js",
            "'use strict';\n\nvar confine = require('../confine');\nvar test = require('tape');\n\n"
            "test('confine', function (t) {\n\tt.equal(confine(2, 1, 3), 2);\n\tt.equal(confine(4, 1, 3), 3);\n"
            "\tt.end();\n});\n",
        ),
        _NODE_FAULT,
        Fault(
            "index.js",
            "if ((/^0x[0-9a-f]+$/i).test(x)) { return true; }",
            "if ((/^0x[0-9a-f]+$/i).test(x)) { return false; }",
        ),
    ),
    RealProject(
        Distribution(
            "npm",
            "fastq",
            "1.20.3",
            "sha512-XKv5nnLs6nLF71NgiKJLIZFLkPyIEuOselLG7ujZnGrRfQK8HpvY+WqKhAJUAdLomwVHErVS4LfxFlPq0/FTAw==",
        ),
        "tape, nyc, eslint and TypeScript, no lock file",
        Edit(
            "confine.js",
            "'use strict'\n\nmodule.exports = function confine (value, low, high) {\n"
            "  return Math.max(low, Math.min(value, high))\n}\n",
        ),
        Edit(
            "test/test.js",
            "\nvar confine = require('../confine')\n\ntest('confine', function (t) {\n  t.plan(2)\n"
            "  t.equal(confine(2, 1, 3), 2)\n  t.equal(confine(4, 1, 3), 3)\n})\n",
            adds=True,
        ),
        _NODE_FAULT,
        Fault("queue.js", "(_concurrency >= 1)", "(_concurrency >= 0)"),
    ),
    RealProject(
        Distribution(
            "npm",
            "fastify-plugin",
            "6.0.1",
            "sha512-4wW4RxSmvPXLrh5mgQEiu43qU3bw44N2ss4FTkTkQIbprUhE+/s43QX0j/ttcztdWK7PEkHqVthdc5GdEGDvjA==",
        ),
        "node:test, c8 with a threshold of 100 %, type tests, no lock file",
        Edit(
            "lib/confine.js",
            "'use strict'\n\nmodule.exports = function confine (value, low, high) {\n"
            "  return Math.max(low, Math.min(value, high))\n}\n",
        ),
        Edit(
            "test/confine.test.js",
            "'use strict'\n\nconst { test } = require('node:test')\nconst confine = require('../lib/confine')\n\n"
            "test('confine', (t) => {\n  t.assert.strictEqual(confine(2, 1, 3), 2)\n"
            "  t.assert.strictEqual(confine(4, 1, 3), 3)\n})\n",
        ),
        _NODE_FAULT,
        Fault("lib/toCamelCase.js", "return char.toUpperCase()", "return char.toLowerCase()"),
    ),
)
PROJECTS: Final = (*PYTHON, *NODE)
