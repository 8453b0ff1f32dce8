"""The CDK app: stacks compose constructs, one construct a file.

Importing `aws_cdk` starts a Node process, so the Node to use is settled here, before any module of the package can
import it.
"""

from __future__ import annotations

from infra.node import use_locked_node

use_locked_node()
