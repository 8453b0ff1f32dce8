"""The CDK app: stacks compose constructs, one construct per file.

Importing ``aws_cdk`` starts a Node process. This module chooses the Node first, before any module of the package can
import ``aws_cdk``.
"""

from __future__ import annotations

from infra.node import use_locked_node

use_locked_node()
