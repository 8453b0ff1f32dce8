from __future__ import annotations

import subprocess

from infra.node import locked_node, use_locked_node


def test_locked_node_is_new_enough_for_jsii() -> None:
    node = locked_node()
    assert node is not None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    assert int(version.removeprefix("v").split(".")[0]) >= 22


def test_jsii_uses_locked_node() -> None:
    environ: dict[str, str] = {}
    use_locked_node(environ)
    assert environ["JSII_NODE"] == str(locked_node())


def test_node_of_caller_is_kept() -> None:
    environ = {"JSII_NODE": "/opt/node"}
    use_locked_node(environ)
    assert environ["JSII_NODE"] == "/opt/node"
