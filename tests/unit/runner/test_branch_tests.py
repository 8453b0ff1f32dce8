"""Which tests the branch may have changed, from the names that reporters really write."""

from __future__ import annotations

import pytest

from kiro_worker.runner.gate.branch_tests import BranchTests
from kiro_worker.runner.gate.cases import Identity

FILES = (
    *("shop/prices.py", "tests/test_shop.py", "tests/test_new.py", "app1/tests.py", "app2/tests.py"),
    *("tests/unit/test_shop.py", "tests/v1.2/test_old.py", "lib/src/test/java/com/acme/ShopTest.java"),
    *("src/cart.test.ts", "src/price.spec.js", "spec/shop_spec.rb", "go/shop_test.go", "README.md", "test_root.py"),
)
SPEC = ".kiro/specs/feature-x/tasks.md"


def found(classname: str, name: str = "test_it", file: str = "") -> set[str]:
    return set(BranchTests(FILES, (), "/build/checkout").files_of(Identity(file, classname, name)))


@pytest.mark.parametrize(
    ("identity", "files"),
    [
        (("tests.test_new",), {"tests/test_new.py"}),
        (("tests.test_new.TestPrice",), {"tests/test_new.py"}),
        (("", "tests.test_new"), {"tests/test_new.py"}),  # pytest, which could not import the module
        (("tests.v1.2.test_old",), {"tests/v1.2/test_old.py"}),
        (("app2.tests.ShopTest",), {"app2/tests.py"}),
        (("test_root", "test_it[tests/test_new.py::x]"), {"test_root.py"}),
        (("com.acme.ShopTest",), {"lib/src/test/java/com/acme/ShopTest.java"}),
        (("com.acme.ShopTest$Inner",), {"lib/src/test/java/com/acme/ShopTest.java"}),
        (("src/cart.test.ts", "cart > adds"), {"src/cart.test.ts"}),  # vitest
        (("spec.shop_spec",), {"spec/shop_spec.rb"}),
        (("any", "any", "/build/checkout/tests/test_new.py"), {"tests/test_new.py"}),
        (("any", "any", "./spec/shop_spec.rb"), {"spec/shop_spec.rb"}),
        (("any", "any", "C:\\elsewhere\\src\\price.spec.js"), {"src/price.spec.js"}),
        (("any", "any", "src/missing.test.ts"), set()),
        (("cart adds prices", "cart adds prices"), set()),  # jest-junit
        (("shop",), set()),  # a title that is the name of product code
        (("example.com/shop/go",), set()),  # gotestsum
        (("", ""), set()),
    ],
)
def test_file_of_test_is_found(identity: tuple[str, ...], files: set[str]) -> None:
    assert found(*identity) == files


def test_name_that_several_files_have_means_all_of_them() -> None:
    assert found("test_shop.TestX") == {"tests/test_shop.py", "tests/unit/test_shop.py"}


def must_pass(*changed: str, classname: str = "tests.test_shop", file: str = "") -> bool:
    return BranchTests(FILES, (SPEC, *changed)).must_pass(Identity(file, classname, "test_it"))


def test_only_changed_file_must_pass() -> None:
    assert not must_pass()
    assert not must_pass("tests/test_new.py", "shop/prices.py")
    assert must_pass("tests/test_shop.py")


@pytest.mark.parametrize(
    "support",
    ["tests/conftest.py", "conftest.py", "tests/helpers.py", "tests/data/cases.json", "tests/fixtures/a/b.txt"],
)
def test_tests_beside_changed_data_and_helpers_must_pass(support: str) -> None:
    assert must_pass(support)


def test_helpers_of_another_folder_excuse_nothing() -> None:
    assert not must_pass("app1/tests/helpers.py", "tests/unit/conftest.py", "docs/data.json")


@pytest.mark.parametrize("snapshot", ["src/__snapshots__/cart.test.ts.snap", "src/testdata/a.json"])
def test_tests_beside_changed_snapshots_must_pass(snapshot: str) -> None:
    assert must_pass(snapshot, classname="src/cart.test.ts")
    assert not must_pass(snapshot, classname="spec.shop_spec")


def test_test_of_unknown_file_must_pass_if_any_code_changed() -> None:
    assert not must_pass("README.md", classname="cart adds")
    for changed in ("src/cart.test.ts", "go/new_test.go", "src/lib.rs"):
        assert must_pass(changed, classname="cart adds")


def test_title_that_looks_like_module_is_not_trusted() -> None:
    """A JavaScript test can be titled "tests.test_shop"."""
    assert must_pass("src/cart.test.ts")
    assert not must_pass("src/cart.test.ts", file="tests/test_shop.py")


def test_changed_test_file_without_test_is_named() -> None:
    tests = BranchTests(FILES, ())
    ran = [Identity("", "tests.test_shop", "test_it")]
    changed = ["tests/test_new.py", "tests/test_shop.py", "tests/conftest.py", "shop/prices.py", "src/cart.test.ts"]

    assert tests.without_test_in(ran, changed) == ["tests/test_new.py"]
    assert tests.without_test_in([Identity("", "cart adds", "")], changed) == []
